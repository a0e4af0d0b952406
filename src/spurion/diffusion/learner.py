"""A network that learns: its weights, their optimizer and their moving average, one step at a time.

On CUDA the step is recorded and replayed (`spurion.diffusion.captured`); where it cannot be, the logger says
so and steps are taken one operation at a time, with the same numbers to rounding.
"""

__all__ = ["Learner"]

import logging
import sys
from collections.abc import Callable
from contextlib import nullcontext

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from spurion.core.random import derive_seed
from spurion.diffusion.batches import Batch
from spurion.diffusion.captured import CapturedStep, NotCaptured, can_capture
from spurion.diffusion.checkpoint import TrainingState
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.device import Execution
from spurion.diffusion.flat import FlatParameters
from spurion.diffusion.training_config import TrainingConfig

_OPTIMIZERS: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


class Learner:
    """The network of a denoiser in training.

    Arguments:
        denoiser: The denoiser; its network is moved to the device of `execution` and trained in place.
        training: How to train.
        execution: Where and how the network computes.
        seed: The seed of what the layers draw themselves (dropout).
        captured: Whether steps on CUDA are recorded and replayed.
    """

    def __init__(
        self,
        denoiser: NetworkDenoiser,
        training: TrainingConfig,
        execution: Execution,
        *,
        seed: int,
        captured: bool = True,
    ) -> None:
        self._denoiser, self._training, self._execution, self._seed = denoiser, training, execution, seed
        network = denoiser.network.to(execution.device).train()
        if execution.bf16 and execution.device == "cpu":
            _prepare_for_bf16(network)
        self._forward: Callable[..., Tensor] = torch.compile(network) if execution.compile else network
        self._flat = FlatParameters(network, channels_last=execution.channels_last)
        weights = self._flat.vector
        self._average = weights.detach().clone()
        self._optimizer = _OPTIMIZERS[training.optimizer](
            [weights], lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
        )
        zeros = torch.zeros_like(self._average)
        self._moments = (zeros, zeros.clone())
        self._captures = captured and can_capture(execution.device)
        self._captured: CapturedStep | None = None
        self._to_be_captured = self._captures
        self._set_optimizer(0)
        self._rate, self._share = self._average.new_zeros(()), self._average.new_zeros(())

    def step(self, step: int, batch: Batch) -> Float[Tensor, ""]:
        """Take one step and return its loss, on the device, without waiting for it."""
        rate, share = self._training.learning_rate_at(step), 1 - self._training.ema_decay_at(step)
        if self._to_be_captured:
            self._to_be_captured = False
            self._capture(step, batch)
        self._seed_layers(step)
        if self._captured is None or not self._captured.fits((*batch, self._rate, self._share)):
            return self._update(*batch, rate, share)
        return self._captured(*batch, self._rate.fill_(rate), self._share.fill_(share))

    def _update(
        self, x_t: Tensor, t: Tensor, target: Tensor, rate: float | Tensor, share: float | Tensor
    ) -> Float[Tensor, ""]:
        """One step at a learning rate; a share of the new weights enters the average."""
        self._flat.gradient.zero_()
        loss = mse_loss(self._predict(x_t, t), target)
        loss.backward()
        if self._training.clip_norm is not None:
            norm = self._flat.gradient.norm()
            self._flat.gradient.mul_((self._training.clip_norm / (norm + 1e-6)).clamp(max=1.0))
        recording = self.device == "cuda" and torch.cuda.is_current_stream_capturing()
        self._optimizer.param_groups[0] |= {"lr": rate, "capturable": recording}
        self._optimizer.step()
        self._average.lerp_(self._flat.vector.detach(), share)
        return loss.detach()

    def _capture(self, step: int, batch: Batch) -> None:
        """Record a step, if that can be done."""
        count = self._optimizer.state[self._flat.vector]["step"]
        state = (self._flat.vector.detach(), self._flat.gradient, self._average, *self._moments, count)
        buffers = tuple(self._denoiser.network.buffers())
        inputs = (*batch, self._rate.fill_(1e-3), self._share.fill_(1e-3))
        try:
            self._captured = CapturedStep(
                self._update, inputs, state + buffers, lambda: self._seed_layers(step)
            )
        except NotCaptured as error:
            logging.getLogger("spurion").warning(
                "The training step is not recorded as a CUDA graph and takes longer: %s.", error
            )

    @property
    def device(self) -> str:
        """Where the network computes."""
        return self._execution.device

    def averaged(self) -> NetworkDenoiser:
        """The denoiser with the averaged weights, which replace those in training: this ends it."""
        self._flat.vector.detach().copy_(self._average)
        self._denoiser.network.eval()
        return self._denoiser

    def restore(self, state: TrainingState) -> None:
        """Go on from a state."""
        self._flat.vector.detach().copy_(state.weights)
        self._average.copy_(state.average)
        for moment, saved in zip(self._moments, (state.first_moment, state.second_moment), strict=True):
            moment.copy_(saved)
        self._set_optimizer(state.step)

    def state(self, step: int, losses: Tensor, log: Tensor) -> TrainingState:
        """The state after `step` steps, with the losses not yet in the log."""
        first, second = self._moments
        weights = self._flat.vector.detach().clone()
        return TrainingState(step, weights, self._average, first, second, losses, log)

    def _set_optimizer(self, step: int) -> None:
        first, second = self._moments
        self._captured, self._to_be_captured = None, self._captures
        count = torch.tensor(float(step), device=self._average.device)
        self._optimizer.state[self._flat.vector] = {"step": count, "exp_avg": first, "exp_avg_sq": second}

    def _predict(self, x_t: Tensor, t: Tensor) -> Tensor:
        if self._execution.channels_last:
            x_t = x_t.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device, torch.bfloat16) if self._execution.bf16 else nullcontext():
            output = self._forward(x_t, t)
        predicted: Tensor = output if isinstance(output, Tensor) else output.sample
        return predicted.float()

    def _seed_layers(self, step: int) -> None:
        """Make what the layers draw from torch's global generators a function of the step."""
        seed = derive_seed(self._seed, "layers", step)
        torch.random.default_generator.manual_seed(seed)
        if self.device == "cuda":
            torch.cuda.manual_seed(seed)


def _prepare_for_bf16(network: nn.Module) -> None:
    if "diffusers.models.attention_processor" in sys.modules:  # else nothing attends
        from spurion.diffusion.half_attention import attend_in_float32

        attend_in_float32(network)

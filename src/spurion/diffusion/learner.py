"""A network that learns: its weights, their optimizer and their moving average, one step at a time."""

__all__ = ["Learner"]

from collections.abc import Callable
from contextlib import nullcontext

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import mse_loss

from spurion.core.random import derive_seed
from spurion.diffusion.batches import Batch
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
    """

    def __init__(
        self, denoiser: NetworkDenoiser, training: TrainingConfig, execution: Execution, *, seed: int
    ) -> None:
        self._denoiser, self._training, self._execution, self._seed = denoiser, training, execution, seed
        network = denoiser.network.to(execution.device).train()
        self._forward: Callable[..., Tensor] = torch.compile(network) if execution.compile else network
        self._flat = FlatParameters(network, channels_last=execution.channels_last)
        weights = self._flat.vector
        self._average = weights.detach().clone()
        self._optimizer = _OPTIMIZERS[training.optimizer](
            [weights], lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
        )
        zeros = torch.zeros_like(self._average)
        self._moments = (zeros, zeros.clone())
        self._set_optimizer(0)

    def step(self, step: int, batch: Batch) -> Float[Tensor, ""]:
        """Take one step and return its loss, on the device, without waiting for it."""
        self._seed_layers(step)
        self._flat.gradient.zero_()
        loss = mse_loss(self._predict(batch), batch.target)
        loss.backward()
        if self._training.clip_norm is not None:
            norm = self._flat.gradient.norm()
            self._flat.gradient.mul_((self._training.clip_norm / (norm + 1e-6)).clamp(max=1.0))
        self._optimizer.param_groups[0]["lr"] = self._training.learning_rate_at(step)
        self._optimizer.step()
        self._average.lerp_(self._flat.vector.detach(), 1 - self._training.ema_decay_at(step))
        return loss.detach()

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
        count = torch.tensor(float(step), device=self._average.device)
        self._optimizer.state[self._flat.vector] = {"step": count, "exp_avg": first, "exp_avg_sq": second}

    def _predict(self, batch: Batch) -> Tensor:
        x_t = batch.x_t
        if self._execution.channels_last:
            x_t = x_t.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device, torch.bfloat16) if self._execution.bf16 else nullcontext():
            output = self._forward(x_t, batch.t)
        predicted: Tensor = output if isinstance(output, Tensor) else output.sample
        return predicted.float()

    def _seed_layers(self, step: int) -> None:
        """Make what the layers draw from torch's global generators a function of the step."""
        seed = derive_seed(self._seed, "layers", step)
        torch.random.default_generator.manual_seed(seed)
        if self.device == "cuda":
            torch.cuda.manual_seed(seed)

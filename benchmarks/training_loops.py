"""One training step in several hands: this package's, and a plain loop of diffusers and torch."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from spurion.core.random import generator
from spurion.diffusion.batches import Batches
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.denoisers.unet import UNetConfig
from spurion.diffusion.device import Execution, choose_execution
from spurion.diffusion.learner import Learner
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.training import TrainingConfig

SCHEDULE = DDPMSchedule()

Step = Callable[[int], Tensor]
"""Takes step 0, 1, ... and returns its loss."""


@dataclass(frozen=True)
class Case:
    """What is trained: a network, the shape of its images, and the batch."""

    name: str
    network: MLPConfig | UNetConfig
    shape: tuple[int, int, int]
    batch: int
    rate: float = 2e-4

    @property
    def training(self) -> TrainingConfig:
        """How both loops train; the steps are so many that the learning rate stays where it is."""
        return TrainingConfig(
            iterations=10**6, batch_size=self.batch, learning_rate=self.rate, warmup=1, device="cpu"
        )

    def fresh(self, images: Tensor, seed: int) -> NetworkDenoiser:
        """The network before its first step."""
        return self.network.build(images, SCHEDULE, generator=generator(seed, "weights"))

    def execution(self, precision: str = "auto") -> Execution:
        """What a training would choose on this machine."""
        convolutions = isinstance(self.network, UNetConfig)
        return choose_execution("cpu", precision, "auto", "auto", self.shape, convolutions=convolutions)


def ours(case: Case, images: Tensor, precision: str = "auto", seed: int = 0) -> Step:
    """A step as `spurion.diffusion.training` takes it."""
    batches = Batches(images, SCHEDULE, batch_size=case.batch, replacement=True, seed=seed)
    learner = Learner(case.fresh(images, seed), case.training, case.execution(precision), seed=seed)
    return lambda step: learner.step(step, batches(step))


def plain(case: Case, images: Tensor, seed: int = 0) -> Step:
    """The same step in the words of diffusers' examples: scheduler, AdamW, clipping, EMAModel, in float32."""
    training = case.training
    network = with_torchs_dropout(case.fresh(images, seed).network.train())
    scheduler = DDPMScheduler(num_train_timesteps=SCHEDULE.steps)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
    )
    average = EMAModel(network.parameters(), decay=training.ema_decay)
    draw = generator(seed, "plain")

    def step(number: int) -> Tensor:
        x = images[torch.randint(len(images), (case.batch,), generator=draw)]
        noise = torch.randn(x.shape, generator=draw)
        t = torch.randint(SCHEDULE.steps, (case.batch,), generator=draw)
        output = network(scheduler.add_noise(x, noise, t), t)
        loss = mse_loss(output if isinstance(output, Tensor) else output.sample, noise)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.step(network.parameters())
        return loss.detach()

    return step


def network_alone(case: Case, images: Tensor) -> Step:
    """Forward and backward pass of one batch in float32, and nothing else."""
    network = with_torchs_dropout(case.fresh(images, 0).network.train())
    batch = Batches(images, SCHEDULE, batch_size=case.batch, replacement=True, seed=0)(0)

    def step(number: int) -> Tensor:
        output = network(batch.x_t, batch.t)
        loss = mse_loss(output if isinstance(output, Tensor) else output.sample, batch.target)
        loss.backward()
        return loss.detach()

    return step


def with_torchs_dropout(network: nn.Module) -> nn.Module:
    """Undo what this package does to a network of diffusers."""
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout):
                setattr(module, name, nn.Dropout(child.p))
    return network

"""How to train: the one configuration of all trainings."""

__all__ = ["TrainingConfig"]

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from spurion.core.config import Config
from spurion.diffusion.device import DeviceName, Precision


class TrainingConfig(Config):
    """How to train a network; the defaults suit the residual MLP on small images and a laptop.

    Attributes:
        iterations: The number of steps that the learning rate is made for, and that are taken.
        stop_after: Take only so many of them: the model is that of a longer training, at an earlier step.
            None: all.
        batch_size: Images in a batch; without replacement never more than there are.
        replacement: Whether images are drawn with replacement, or by seeded permutations.
        optimizer: "adam" (`weight_decay` is a penalty on the loss) or "adamw" (it shrinks the weights).
        learning_rate: The highest learning rate.
        weight_decay: The weight decay.
        warmup: Steps in which the learning rate rises linearly from 0.
        decay: "constant", or "cosine" down to 0 at the last step.
        clip_norm: The largest Euclidean norm of the gradient; longer ones are scaled down. None: no limit.
        ema_decay: The decay d of the moving average of the weights.
        ema_ramp: Whether the decay rises from 0.1 to d, so that the average forgets the initial weights.
        log_every: Steps between two lines of the log, each with the mean loss in between.
        checkpoint_every: Steps between two states on disk; what a kill can cost. It changes no number.
        device: "auto" is CUDA, else MPS, else the CPU; so for the next three, see `spurion.diffusion.device`.
        precision: "float32", or "bf16" for matrix products and convolutions (weights: float32); with "auto" a
            training goes on in the one it was begun in.
        channels_last: Whether images and convolutions are laid out with channels last.
        compile: Whether the network is compiled by `torch.compile`.
    """

    iterations: int = Field(16_000, ge=1)
    stop_after: int | None = Field(None, ge=1)
    batch_size: int = Field(128, ge=1)
    replacement: bool = True
    optimizer: Literal["adam", "adamw"] = "adamw"
    learning_rate: float = Field(5e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    warmup: int = Field(500, ge=0)
    decay: Literal["constant", "cosine"] = "cosine"
    clip_norm: float | None = Field(1.0, gt=0)
    ema_decay: float = Field(0.999, ge=0, lt=1)
    ema_ramp: bool = True
    log_every: int = Field(100, ge=1)
    checkpoint_every: int = Field(1000, ge=1)
    device: DeviceName = "auto"
    precision: Precision = "auto"
    channels_last: bool | Literal["auto"] = "auto"
    compile: bool | Literal["auto"] = "auto"

    @model_validator(mode="after")
    def _within_the_schedule(self) -> "TrainingConfig":
        if self.steps > self.iterations:
            raise ValueError(
                f"`stop_after` must be at most `iterations`, got {self.steps} of {self.iterations} steps"
            )
        return self

    @property
    def steps(self) -> int:
        """The number of steps that are taken."""
        return self.iterations if self.stop_after is None else self.stop_after

    def identity(self) -> dict[str, Any]:
        """What decides the weights after any step, as plain values; where it stops decides none of them."""
        return self.model_dump(mode="json", exclude={"checkpoint_every", "stop_after"})

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of step 0, 1, ..., iterations - 1.

        Example:
            >>> config = TrainingConfig(iterations=10, learning_rate=1.0, warmup=2)
            >>> [round(config.learning_rate_at(step), 3) for step in (0, 1, 2, 6)]
            [0.5, 1.0, 1.0, 0.5]
        """
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        if self.decay == "constant":
            return self.learning_rate
        done = (step - self.warmup) / max(self.iterations - self.warmup, 1)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    def ema_decay_at(self, step: int) -> float:
        """Decay of the moving average after step 0, 1, ...

        Example:
            >>> config = TrainingConfig(ema_decay=0.999)
            >>> [round(config.ema_decay_at(step), 3) for step in (0, 8, 98, 10_000)]
            [0.1, 0.5, 0.917, 0.999]
        """
        return min(self.ema_decay, (1 + step) / (10 + step)) if self.ema_ramp else self.ema_decay

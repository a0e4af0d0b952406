"""The configurations of networks for items of any shape.

The networks themselves are diffusers models, and diffusers takes seconds to import: a network is imported
when one is made, so that whoever makes none does not wait.
"""

__all__ = ["FourierMLPConfig", "FourierResidualConfig", "MLPConfig", "NetworkConfig"]

from abc import ABC, abstractmethod
from dataclasses import asdict
from typing import Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from spurion.core.config import Config
from spurion.diffusion.denoisers.fourier import fourier_network
from spurion.diffusion.denoisers.initialize import initialized
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.schedule import DDPMSchedule, Schedule


class NetworkConfig(Config, ABC):
    """Configuration of a network that predicts the noise, for any item shape; a member writes `fresh`."""

    @abstractmethod
    def fresh(self, shape: tuple[int, ...], schedule: Schedule, generator: torch.Generator) -> nn.Module:
        """Make the network, with weights drawn from a CPU generator.

        Arguments:
            shape: The shape of one item.
            schedule: The noise schedule.
            generator: A CPU generator.

        Raises:
            ValueError: If the network does not work on such a schedule.
        """

    def build(
        self, images: Float[Tensor, "k *shape"], schedule: Schedule, *, generator: torch.Generator
    ) -> NetworkDenoiser:
        """Build the network for the shape of `images`, with weights drawn from `generator`.

        Arguments:
            images: The training items; only their shape is used.
            schedule: The noise schedule.
            generator: A CPU generator.

        Raises:
            ValueError: If the network does not work on such a schedule.
        """
        shape = tuple(images.shape[1:])
        return NetworkDenoiser(self.fresh(shape, schedule, generator), schedule, shape)


class MLPConfig(NetworkConfig):
    """Configuration of a freshly initialized residual network for any item shape."""

    kind: Literal["mlp"] = "mlp"
    width: int = Field(default=128, ge=1)
    blocks: int = Field(default=3, ge=1)

    def fresh(self, shape: tuple[int, ...], schedule: Schedule, generator: torch.Generator) -> nn.Module:
        """The network, for a `DDPMSchedule`.

        Raises:
            ValueError: If the schedule is of another kind.
        """
        if not isinstance(schedule, DDPMSchedule):
            raise ValueError(
                f"`schedule` must be a DDPMSchedule for the network mlp, got {type(schedule).__name__}; "
                "choose fourier-residual or fourier-mlp for continuous time."
            )
        from spurion.diffusion.denoisers.mlp import ResidualMLP

        answer: nn.Module = initialized(
            lambda: ResidualMLP(
                shape=shape,
                width=self.width,
                blocks=self.blocks,
                steps=schedule.steps,
                beta_start=schedule.beta_start,
                beta_end=schedule.beta_end,
                beta_schedule=schedule.beta_schedule,
            ),
            generator=generator,
        )
        return answer


class FourierResidualConfig(NetworkConfig):
    """Configuration of the network of the paper's text for any item shape.

    Attributes:
        kind: "fourier-residual".
        width: The width of all layers, even; 256 in the paper.
        blocks: The number of residual blocks of the encoder, and of the decoder; 4 in the paper.
        scale: The standard deviation of the Fourier frequencies, in cycles per unit of log noise.
    """

    kind: Literal["fourier-residual"] = "fourier-residual"
    width: int = Field(default=256, ge=2, multiple_of=2)
    blocks: int = Field(default=4, ge=1)
    scale: float = Field(default=0.1, gt=0)

    def fresh(self, shape: tuple[int, ...], schedule: Schedule, generator: torch.Generator) -> nn.Module:
        """The network, for a schedule of either kind."""
        from spurion.diffusion.denoisers.fourier_residual import FourierResidual

        steps: dict[str, Any] = {}
        if isinstance(schedule, DDPMSchedule):
            steps = asdict(schedule)
        answer: nn.Module = fourier_network(
            lambda: FourierResidual(shape=shape, width=self.width, blocks=self.blocks, **steps),
            scale=self.scale,
            generator=generator,
        )
        return answer


class FourierMLPConfig(NetworkConfig):
    """Configuration of the authors' network for any item shape.

    Attributes:
        kind: "fourier-mlp".
        width: The width of all layers, even; 128 in the authors' code.
        scale: The standard deviation of the Fourier frequencies, in cycles per unit of time; theirs is 16.
    """

    kind: Literal["fourier-mlp"] = "fourier-mlp"
    width: int = Field(default=128, ge=2, multiple_of=2)
    scale: float = Field(default=16.0, gt=0)

    def fresh(self, shape: tuple[int, ...], schedule: Schedule, generator: torch.Generator) -> nn.Module:
        """The network, for a schedule of either kind."""
        from spurion.diffusion.denoisers.fourier_mlp import FourierMLP

        steps = schedule.steps if isinstance(schedule, DDPMSchedule) else None
        answer: nn.Module = fourier_network(
            lambda: FourierMLP(shape=shape, width=self.width, steps=steps),
            scale=self.scale,
            generator=generator,
        )
        return answer

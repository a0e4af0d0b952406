"""What the configurations of networks for items of any shape have in common."""

__all__ = ["NetworkConfig"]

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spurion.core.config import Config
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.schedule import Schedule


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

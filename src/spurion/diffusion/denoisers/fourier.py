r"""Gaussian Fourier features of time, for networks that work on any schedule.

.. math:: \tau \mapsto (\sin 2\pi \omega_i \tau, \; \cos 2\pi \omega_i \tau)_i, \qquad
    \omega_i \sim \mathcal{N}(0, s^2),

where :math:`\tau` is the clock that a network reads its time on. The frequencies are drawn once and never
trained.

References:
    | Score-Based Generative Modeling through Stochastic Differential Equations (Song et al., 2021), App. C.2
    | Fourier Features Let Networks Learn High Frequency Functions (Tancik et al., 2020), Sec. 4
"""

__all__ = ["FourierTime", "fourier_network"]

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spurion.diffusion.denoisers.initialize import initialized


class FourierTime(nn.Module):
    """Fourier features of a clock.

    Arguments:
        features: The number of features, even.

    Attributes:
        frequencies: The frequencies, saved with the weights but not trained, with shape (features / 2).
    """

    frequencies: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.zeros(features // 2, device="cpu"))

    def forward(self, clock: Float[Tensor, " n"]) -> Float[Tensor, "n features"]:
        """Sines, then cosines, with shape (n, features)."""
        angles = 2 * math.pi * clock.unsqueeze(1) * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)


NetworkT = TypeVar("NetworkT", bound=nn.Module)


def fourier_network(build: Callable[[], NetworkT], *, scale: float, generator: torch.Generator) -> NetworkT:
    """Make a network with Fourier features; its weights, then its frequencies come from `generator`.

    Arguments:
        build: Makes the network; see `initialized`.
        scale: The standard deviation of the frequencies, in cycles per unit of the clock.
        generator: A CPU generator.
    """
    network = initialized(build, generator=generator)
    for module in network.modules():
        if isinstance(module, FourierTime):
            module.frequencies.normal_(generator=generator).mul_(scale)
    return network

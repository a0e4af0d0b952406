"""The measures of curvature: names for what `spurion.geometry.stiffness` finds, each read at one noise."""

__all__ = ["CurvatureMeasure", "IntrinsicDimension", "LogDeterminant", "MeanCurvature", "SoftDirections"]

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.measure import Measure, Measured
from spurion.geometry.spectrum import CUT
from spurion.geometry.stiffness import stiffness

SPECTRUM = "Sec. 4, Eq. 35-36"
FLIPD = "Kamkari et al. (2024), Eq. 12"


@dataclass(frozen=True)
class CurvatureMeasure(Measure):
    r"""A number read off the spectrum of the score Jacobian; a subclass says which by its name.

    Arguments:
        noise: The noise :math:`\sigma_t / \alpha_t` at which it is read, in units of the clean data; better
            chosen by `spurion.geometry.noise_scan.choose_time`.
        cut: Directions with less than this stiffness are soft.
    """

    noise: float = 0.1
    cut: float = CUT

    def __init_subclass__(cls, *, name: str, unit: str, source: str) -> None:
        """Keep what a subclass is, as every `Measure` says it."""
        super().__init_subclass__()
        cls.name, cls.unit, cls.source = name, unit, source

    def __call__(
        self, denoiser: Denoiser, x: Float[Tensor, "n *shape"], *, generator: torch.Generator
    ) -> Measured:
        """Read every point; undecided where there are too many coordinates for what needs a full spectrum."""
        seed = int(torch.randint(2**62, (), generator=generator))
        time = denoiser.schedule.nearest(self.noise)
        return stiffness(denoiser, x, time, cut=self.cut, seed=seed).of(self.name)


@final
class SoftDirections(CurvatureMeasure, name="soft-directions", unit="directions", source=SPECTRUM):
    """The number of directions in which the energy is soft."""


@final
class IntrinsicDimension(CurvatureMeasure, name="intrinsic-dimension", unit="dimensions", source=FLIPD):
    """The local intrinsic dimension by FLIPD."""


@final
class MeanCurvature(CurvatureMeasure, name="mean-curvature", unit="1 / sigma_t^2", source=SPECTRUM):
    """The mean curvature of -log p_t over all directions."""


@final
class LogDeterminant(CurvatureMeasure, name="log-determinant", unit="nats", source=SPECTRUM):
    """The log-determinant of the score Jacobian in units of 1 / sigma_t^2."""

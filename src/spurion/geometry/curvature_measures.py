"""The measures of curvature: each a number of what `spurion.geometry.stiffness` finds, read at one noise."""

__all__ = ["CurvatureMeasure", "IntrinsicDimension", "LogDeterminant", "MeanCurvature", "SoftDirections"]

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.kinds import Measure
from spurion.geometry.measured import Measured
from spurion.geometry.setting import Setting
from spurion.geometry.spectrum import CUT
from spurion.geometry.stiffness import FULL_DIM, Stiffness, stiffness

SPECTRUM = "Sec. 4, Eq. 35-36"
FLIPD = "Kamkari et al. (2024), Eq. 12"


@dataclass(frozen=True)
class CurvatureMeasure(Measure):
    r"""A number read off the spectrum of the score Jacobian.

    Arguments:
        noise: The noise :math:`\sigma_t / \alpha_t` at which it is read, in units of the clean data; better
            chosen by `spurion.geometry.groups.scan`.
        cut: Directions with less than this stiffness are soft.
    """

    shared = "curvature"
    section = "curvature"
    noise: float = 0.1
    cut: float = CUT

    def __call__(
        self, denoiser: Denoiser, x: Float[Tensor, "n *shape"], *, generator: torch.Generator
    ) -> Measured:
        """Read every point; undecided where there are too many coordinates for what needs a full spectrum."""
        seed = int(torch.randint(2**62, (), generator=generator))
        time = denoiser.schedule.nearest(self.noise)
        return self.of(stiffness(denoiser, x, time, cut=self.cut, seed=seed))

    def find(
        self,
        measures: Sequence[Any],
        denoiser: Denoiser,
        x: Float[Tensor, "n *shape"],
        setting: Setting,
        *,
        seed: int,
    ) -> Stiffness:
        """The stiffness at the time of the setting."""
        return stiffness(denoiser, x, setting.time, cut=setting.cut, seed=seed)

    @abstractmethod
    def of(self, found: Stiffness) -> Measured:
        """Read the measure off stiffness already found."""


@final
class SoftDirections(CurvatureMeasure):
    """The number of directions in which the energy is soft."""

    name = "soft-directions"
    unit = "directions"
    source = SPECTRUM
    descending = False

    def of(self, found: Stiffness) -> Measured:
        """Soft directions of stiffness already found."""
        return found.soft_directions


@final
class IntrinsicDimension(CurvatureMeasure):
    """The local intrinsic dimension by FLIPD."""

    name = "intrinsic-dimension"
    unit = "dimensions"
    source = FLIPD
    descending = False

    def of(self, found: Stiffness) -> Measured:
        """Dimensions of stiffness already found."""
        return found.dimension

    def caution(self, found: Measured, dim: int) -> str:
        """Where a point lies off the model's density."""
        if not bool((found.values > dim).any()):
            return ""
        return (
            f"Where the intrinsic dimension exceeds the {dim} coordinates, the image lies off the model's "
            "density: the estimate holds only on it."
        )


@final
class MeanCurvature(CurvatureMeasure):
    """The mean curvature of -log p_t over all directions."""

    name = "mean-curvature"
    unit = "1 / sigma_t^2"
    source = SPECTRUM
    descending = True
    drawn = False
    told = False

    def of(self, found: Stiffness) -> Measured:
        """Mean curvature of stiffness already found."""
        return found.mean


@final
class LogDeterminant(CurvatureMeasure):
    """The log-determinant of the score Jacobian in units of 1 / sigma_t^2."""

    name = "log-determinant"
    unit = "nats"
    source = SPECTRUM
    descending = True
    most_dim = FULL_DIM
    drawn = False
    told = False

    def of(self, found: Stiffness) -> Measured:
        """Log-determinants of stiffness already found; undecided where only densities were computed."""
        return found.log_determinant

"""The measures of curvature: thin shells around `spurion.geometry.stiffness`, each read at one noise."""

__all__ = ["CurvatureMeasure", "IntrinsicDimension", "LogDeterminant", "MeanCurvature", "SoftDirections"]

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.curvature import judged
from spurion.geometry.measure import Measure, Measured
from spurion.geometry.noise_scan import nearest_time
from spurion.geometry.spectrum import CUT
from spurion.geometry.stiffness import stiffness


@dataclass(frozen=True)
class CurvatureMeasure(Measure):
    r"""A number read off the spectrum of the score Jacobian.

    Arguments:
        noise: The noise :math:`\sigma_t / \alpha_t` at which it is read, in units of the clean data; better
            chosen by `spurion.geometry.noise_scan.choose_time`.
        cut: Directions with less than this stiffness are soft.
    """

    noise: float = 0.1
    cut: float = CUT

    def __call__(
        self, denoiser: Denoiser, x: Float[Tensor, "n *shape"], *, generator: torch.Generator
    ) -> Measured:
        """Read every point; undecided where there are too many coordinates for what needs a full spectrum."""
        seed = int(torch.randint(2**62, (), generator=generator))
        time = nearest_time(denoiser.schedule, self.noise)
        found = stiffness(denoiser, x, time, cut=self.cut, seed=seed).measures
        if self.name in found:
            return found[self.name]
        failed = found[SoftDirections.name].has("failed")
        return judged(torch.full(failed.shape, torch.nan, dtype=torch.float64), failed)


@final
class SoftDirections(CurvatureMeasure):
    """The number of directions in which the energy is soft."""

    name: ClassVar[str] = "soft-directions"
    unit: ClassVar[str] = "directions"
    source: ClassVar[str] = "Sec. 4, Eq. 35-36"


@final
class IntrinsicDimension(CurvatureMeasure):
    """The local intrinsic dimension by FLIPD."""

    name: ClassVar[str] = "intrinsic-dimension"
    unit: ClassVar[str] = "dimensions"
    source: ClassVar[str] = "Kamkari et al. (2024), Eq. 12"


@final
class MeanCurvature(CurvatureMeasure):
    """The mean curvature of -log p_t over all directions."""

    name: ClassVar[str] = "mean-curvature"
    unit: ClassVar[str] = "1 / sigma_t^2"
    source: ClassVar[str] = "Sec. 4, Eq. 35-36"


@final
class LogDeterminant(CurvatureMeasure):
    """The log-determinant of the score Jacobian in units of 1 / sigma_t^2."""

    name: ClassVar[str] = "log-determinant"
    unit: ClassVar[str] = "nats"
    source: ClassVar[str] = "Sec. 4, Eq. 35-36"

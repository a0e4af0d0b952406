r"""The noise at which curvature is read, chosen by rule.

At high noise all patterns are one basin, at low noise every one is alone: both spectra are flat, and what
lies between depends on the time. So the spectra are scanned over a grid of the noise :math:`\sigma_t /
\alpha_t` (in units of the clean data), and the time is taken where they fall apart most clearly into soft
and stiff directions:

.. math:: t^\star = \operatorname{argmax}_t \frac1n \sum_{\text{points}} \eta\big(\rho(x, t)\big),

with Otsu's separation :math:`\eta` at the cut that defines softness (`spurion.geometry.spectrum`). There the
number of soft directions depends least on the cut.

Use it so that the classes cannot influence it: scan the *training points* of one model, the one with the
most training images (where there is a manifold to see), and read every model and every class at the time
that it gives. The scan itself belongs into the report.

References:
    | A Threshold Selection Method from Gray-Level Histograms (Otsu, 1979)
"""

__all__ = ["Choice", "Scan", "choose_time", "clearest", "noise_times", "scan_curvature"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.schedule import Schedule
from spurion.geometry.hessian import Curvature, curvature
from spurion.geometry.measure import Measured
from spurion.geometry.spectrum import CUT


@dataclass(frozen=True)
class Scan:
    """Spectra of the same points at several times.

    Attributes:
        curvatures: One for each time, in the order of the times.
    """

    curvatures: tuple[Curvature, ...]

    @property
    def times(self) -> tuple[float, ...]:
        """The times."""
        return tuple(one.t for one in self.curvatures)

    @property
    def noise(self) -> tuple[float, ...]:
        r"""The noise :math:`\sigma_t / \alpha_t` at each time."""
        return tuple(one.noise for one in self.curvatures)

    def separation(self, cut: float = CUT) -> Float64[Tensor, " times"]:
        """Mean separation over the points at each time; NaN where every point failed."""
        return _means([one.separation(cut) for one in self.curvatures])

    def soft_directions(self, cut: float = CUT) -> Float64[Tensor, " times"]:
        """Mean number of soft directions over the points at each time."""
        return _means([one.soft_directions(cut) for one in self.curvatures])

    def normal_bundle_dimension(self) -> Float64[Tensor, " times"]:
        """Mean dimension by the drop of the spectrum over the points at each time."""
        return _means([one.normal_bundle_dimension() for one in self.curvatures])

    def flipd(self) -> Float64[Tensor, " times"]:
        """Mean dimension by FLIPD over the points at each time."""
        return _means([one.flipd() for one in self.curvatures])


@dataclass(frozen=True)
class Choice:
    """The time that the rule gives.

    Attributes:
        index: Its place in the scan.
        t: The time.
        noise: The noise in units of the clean data.
        separation: Mean separation at each time of the scan, with shape (times,).
    """

    index: int
    t: float
    noise: float
    separation: Float64[Tensor, " times"]


def scan_curvature(
    denoiser: Denoiser, x: Shaped[Tensor, "n *shape"], times: Sequence[float], *, batch_size: int = 1024
) -> Scan:
    """Spectra of the points at every time.

    Arguments:
        denoiser: The model.
        x: Clean points, with shape (n, *shape): training points.
        times: The times, such as `noise_times` gives.
        batch_size: How many vectors go through the model at once.

    Raises:
        ValueError: If there are no times; as `curvature`.
    """
    if not len(times):
        raise ValueError("`times` must hold at least one time, got none.")
    return Scan(tuple(curvature(denoiser, x, t, batch_size=batch_size) for t in times))


def choose_time(scan: Scan, cut: float = CUT) -> Choice | None:
    """The time of the scan where soft and stiff directions separate most clearly.

    Returns:
        The choice, the first of equals; None where no spectrum at any time has directions on both sides of
        the cut, as for a model of one pattern, or where every point failed: then there is nothing to choose
        by.
    """
    return clearest(scan.times, scan.noise, scan.separation(cut))


def clearest(
    times: Sequence[float], noise: Sequence[float], separation: Float64[Tensor, " times"]
) -> Choice | None:
    """The time of the largest separation, the first of equals; None where all are 0 or NaN."""
    index = int(separation.nan_to_num().argmax())
    if not float(separation[index]) > 0:
        return None
    return Choice(index, times[index], noise[index], separation)


def noise_times(
    schedule: Schedule, count: int = 12, low: float = 0.02, high: float = 1.0
) -> tuple[float, ...]:
    r"""Times whose noise :math:`\sigma_t / \alpha_t` is evenly spaced in its logarithm.

    Arguments:
        schedule: The noise schedule.
        count: How many, at least 1; fewer where two fall on the same step.
        low: The least noise, in units of the clean data.
        high: The most noise.

    Raises:
        ValueError: If `count` is below 1 or not 0 < low <= high.

    Example:
        >>> from spurion.diffusion.schedule import DDPMSchedule
        >>> noise_times(DDPMSchedule(), count=4)
        (2, 18, 79, 258)
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1, got {count}.")
    if not 0 < low <= high:
        raise ValueError(f"`low` and `high` must satisfy 0 < low <= high, got {low} and {high}.")
    levels = torch.linspace(math.log(low), math.log(high), count, dtype=torch.float64).exp().tolist()
    return tuple(dict.fromkeys(schedule.nearest(level) for level in levels))


def _means(measured: list[Measured]) -> Tensor:
    return torch.stack([one.values.nanmean() for one in measured])

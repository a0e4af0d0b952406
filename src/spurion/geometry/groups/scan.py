r"""The noise at which curvature is read, chosen by rule at training points of a study's largest model.

At high noise all patterns are one basin, at low noise every one is alone: both spectra are flat, and what
lies between depends on the time. So the spectra are scanned over a grid of the noise :math:`\sigma_t /
\alpha_t` (in units of the clean data), and the time is taken where they fall apart most clearly into soft
and stiff directions:

.. math:: t^\star = \operatorname{argmax}_t \frac1n \sum_{\text{points}} \eta\big(\rho(x, t)\big),

with Otsu's separation :math:`\eta` at the cut that defines softness (`spurion.geometry.spectrum`). There the
number of soft directions depends least on the cut. The classes have no part in it, and every model and every
class is read at the time that it gives.

References:
    | A Threshold Selection Method from Gray-Level Histograms (Otsu, 1979)
"""

__all__ = ["DEFAULT_NOISE", "noise_times", "scan"]

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from scipy.stats import t as student
from torch import Tensor

from spurion.core.failures import Losses
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.schedule import Schedule
from spurion.geometry.groups.config import GeometryConfig
from spurion.geometry.groups.results import ScanResult
from spurion.geometry.jacobian import coefficients
from spurion.geometry.spectrum import separation
from spurion.geometry.stiffness import stiffness
from spurion.statistics.intervals import ALPHA

DEFAULT_NOISE = 0.1
"""Where nothing can be chosen by."""

NOTHING_TO_CHOOSE = "No level separates soft from stiff directions; the curvature is read at 0.1."


class _Means(NamedTuple):
    """Means over the points at each level of noise, and the ends of their 95 % intervals (Student's)."""

    value: Float64[Tensor, " levels"]
    low: Float64[Tensor, " levels"]
    high: Float64[Tensor, " levels"]


def scan(
    denoiser: Denoiser,
    points: Float[Tensor, "n *shape"],
    config: GeometryConfig,
    *,
    train_size: int,
    seed: int,
) -> ScanResult:
    """Scan the curvature over the noise and choose one level; one that fails is left out, with a note.

    Arguments:
        denoiser: The model.
        points: Training images, with shape (n, *shape).
        config: The number of levels, and what is soft.
        train_size: How many images the model was trained on.
        seed: Seed of the probes, where spectra are not computed whole.
    """
    times = noise_times(denoiser.schedule, config.scan)
    noise, losses = [_noise(denoiser, t) for t in times], Losses()
    levels = torch.full((3, len(times), len(points)), torch.nan, dtype=torch.float64)
    for level, (t, size) in enumerate(zip(times, noise, strict=True)):
        with losses.alone("curvature", where=f"noise {size:.3g}"):
            found = stiffness(denoiser, points, t, cut=config.cut, seed=seed)
            known = found.soft_directions, found.dimension
            parts = separation(found.ranks, config.cut), *(one.values for one in known)
            levels[:, level] = torch.stack([part.double() for part in parts])
    clear, soft, dimension = map(_means, levels)
    clearest = int(clear.value.nan_to_num().argmax())  # the first of equals
    separates = float(clear.value[clearest]) > 0
    chosen = times[clearest] if separates else denoiser.schedule.nearest(DEFAULT_NOISE)
    notes = [*losses.sentences(), *([] if separates else [NOTHING_TO_CHOOSE])]
    return ScanResult(
        train_size=train_size,
        points=len(points),
        times=times,
        noise=tuple(noise),
        separation=_numbers(clear.value),
        separation_low=_numbers(clear.low),
        separation_high=_numbers(clear.high),
        soft_directions=_numbers(soft.value),
        soft_directions_low=_numbers(soft.low),
        soft_directions_high=_numbers(soft.high),
        intrinsic_dimension=_numbers(dimension.value),
        intrinsic_dimension_low=_numbers(dimension.low),
        intrinsic_dimension_high=_numbers(dimension.high),
        chosen_time=chosen,
        chosen_noise=_noise(denoiser, chosen),
        note=" ".join(notes),
    )


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


def _noise(denoiser: Denoiser, t: float) -> float:
    alpha, sigma = coefficients(denoiser.schedule, t)
    return sigma / alpha


def _means(values: Float64[Tensor, "levels n"]) -> _Means:
    """Means over the points at each level, failed ones left out; NaN where there is none."""
    known = ~values.isnan()
    count, mean = known.sum(dim=1), values.nanmean(dim=1)
    squares = (values - mean[:, None]).masked_fill(~known, 0.0).square().sum(dim=1)
    error = (squares / (count * (count - 1))).sqrt()  # NaN for a single point
    half = torch.from_numpy(student.ppf(1 - ALPHA / 2, (count - 1).numpy())) * error
    return _Means(mean, mean - half, mean + half)


def _numbers(values: Float[Tensor, " levels"]) -> tuple[float | None, ...]:
    return tuple(value if math.isfinite(value) else None for value in values.tolist())

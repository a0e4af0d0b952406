"""The noise at which a study reads curvature: scanned at training points of its largest model.

The classes have no part in it, and all models and all classes are read at the noise that it gives. See
`spurion.geometry.noise_scan` for the rule.
"""

__all__ = ["DEFAULT_NOISE", "scan"]

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from scipy.stats import t as student
from torch import Tensor

from spurion.core.failures import Losses
from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.groups.config import GeometryConfig
from spurion.geometry.groups.results import ScanResult
from spurion.geometry.jacobian import coefficients
from spurion.geometry.noise_scan import clearest, noise_times
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
            known = found.measures["soft-directions"], found.measures["intrinsic-dimension"]
            parts = separation(found.ranks, config.cut), *(one.values for one in known)
            levels[:, level] = torch.stack([part.double() for part in parts])
    clear, soft, dimension = map(_means, levels)
    choice = clearest(times, noise, clear.value)
    chosen = denoiser.schedule.nearest(DEFAULT_NOISE) if choice is None else choice.t
    notes = [*losses.sentences(), *([] if choice else [NOTHING_TO_CHOOSE])]
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

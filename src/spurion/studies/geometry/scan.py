"""The noise at which a study reads curvature: scanned at training points of its largest model.

The classes have no part in it, and all models and all classes are read at the noise that it gives. See
`spurion.geometry.noise_scan` for the rule.
"""

__all__ = ["DEFAULT_NOISE", "scan"]

import math

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.jacobian import coefficients
from spurion.geometry.noise_scan import clearest, nearest_time, noise_times
from spurion.geometry.spectrum import separation
from spurion.geometry.stiffness import Stiffness, stiffness
from spurion.studies.geometry.config import GeometryConfig
from spurion.studies.geometry.results import ScanResult

DEFAULT_NOISE = 0.1
"""Where nothing can be chosen by."""


def scan(
    denoiser: Denoiser,
    points: Float[Tensor, "n *shape"],
    config: GeometryConfig,
    *,
    train_size: int,
    seed: int,
) -> ScanResult:
    """Scan the curvature over the noise and choose one level.

    Arguments:
        denoiser: The model.
        points: Training images, with shape (n, *shape).
        config: The number of levels, and what is soft.
        train_size: How many images the model was trained on.
        seed: Seed of the probes, where spectra are not computed whole.
    """
    times = noise_times(denoiser.schedule, config.scan)
    found = [stiffness(denoiser, points, t, cut=config.cut, seed=seed) for t in times]
    noise = [_noise(denoiser, t) for t in times]
    clear = torch.stack([separation(one.ranks, config.cut).nanmean() for one in found])
    choice = clearest(times, noise, clear)
    chosen = nearest_time(denoiser.schedule, DEFAULT_NOISE) if choice is None else choice.t
    note = "" if choice else "No level separates soft from stiff directions; the curvature is read at 0.1."
    return ScanResult(
        train_size=train_size,
        points=len(points),
        times=times,
        noise=tuple(noise),
        separation=_numbers(clear),
        soft_directions=_means(found, "soft-directions"),
        intrinsic_dimension=_means(found, "intrinsic-dimension"),
        chosen_time=chosen,
        chosen_noise=_noise(denoiser, chosen),
        note=note,
    )


def _noise(denoiser: Denoiser, t: float) -> float:
    alpha, sigma = coefficients(denoiser.schedule, t)
    return sigma / alpha


def _means(found: list[Stiffness], name: str) -> tuple[float | None, ...]:
    return _numbers(torch.stack([one.measures[name].values.nanmean() for one in found]))


def _numbers(values: Float[Tensor, " levels"]) -> tuple[float | None, ...]:
    return tuple(value if math.isfinite(value) else None for value in values.tolist())

r"""The valley between the two modes of a histogram of distances, or a plain "there is none".

Distances are looked at on a log scale, where copies and novel images form modes of like width. Their
density is estimated with a Gaussian kernel of width h, from Silverman's width for one mode down by
factors of :math:`\sqrt 2`. At each width, every point between two higher ones is a valley; with f the density
there and :math:`f_\text{low}` the lower of the highest peaks on its two sides, its *significance* is

.. math:: z = \frac{\sqrt{f_\text{low}} - \sqrt{f}}{\sqrt{R / (2 n h)}}, \qquad R = \frac{1}{2 \sqrt \pi},

the drop in standard deviations of the estimate (the square root of a kernel density has the standard
deviation :math:`\sqrt{R / (4 n h)}` wherever it is taken). The most significant valley counts, and it is
accepted at the coarsest width where

- :math:`z \geq 5`: no accident of sampling, over all places and widths,
- its depth :math:`1 - f / f_\text{low} \geq 1/2`: a histogram that everybody would call bimodal,
- Ashman's :math:`D = \sqrt 2 |\mu_1 - \mu_2| / \sqrt{s_1^2 + s_2^2 + 2 h^2} > 2` for the logs on its two
  sides: two groups, not one group and its tail.

Samples of one mode (normal, uniform, heavy-tailed, on either scale) pass with a probability below 1 %. A
mode of 2 % is found from about 2,000 distances on.

References:
    | Density Estimation for Statistics and Data Analysis (Silverman, 1986), Sec. 3.4
    | Detecting bimodality in astronomical datasets (Ashman et al., 1994), Eq. 4
"""

__all__ = ["Valley", "valley"]

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from spurion.core.config import Config

SIGNIFICANCE = 5.0
DEPTH = 0.5
ASHMAN_D = 2.0

WIDTHS = 8
"""The number of kernel widths, each 1/sqrt(2) of the one before."""

BINS = 2048
"""Bins of the grid on which densities are computed."""

REACH = 4.0
"""Kernel widths after which a kernel ends."""

ZERO = 1e-4
"""Exact zeros have no logarithm; they stand at this share of the largest distance, or at the smallest."""


class Valley(Config):
    """What was found between the modes of a histogram of log distance.

    Attributes:
        identifiable: Whether there is a valley that deserves the name.
        value: The distance at its bottom; None if there is none.
        depth: One minus the density at the bottom relative to the lower peak, in [0, 1].
        significance: The drop from the lower peak in standard deviations.
        ashman_d: Separation of the logs on its two sides, in units of their spread.
        peaks: The distances at the highest peaks on its two sides.
        reason: Why there is none; empty if there is one.

    Without a valley `depth`, `significance`, `ashman_d` and `peaks` describe the best candidate.
    """

    identifiable: bool
    value: float | None = None
    depth: float | None = None
    significance: float | None = None
    ashman_d: float | None = None
    peaks: tuple[float, float] | None = None
    reason: str = ""


class _Candidate(NamedTuple):
    at: float
    peaks: tuple[float, float]
    depth: float
    significance: float
    ashman_d: float


def valley(distances: Float[Tensor, " n"]) -> Valley:
    """Find the valley between two modes of distances, if there are two modes.

    Arguments:
        distances: Distances of at least 0, finite, in any order, with shape (n,). Exact zeros (copies)
            are welcome.

    Returns:
        The valley, in the unit of the distances; see `Valley`.

    Raises:
        ValueError: If a distance is negative, infinite or NaN.

    Example:
        >>> import torch
        >>> near, far = torch.linspace(0.1, 0.2, 100), torch.linspace(1.0, 2.0, 100)
        >>> found = valley(torch.cat([near, far]))
        >>> found.identifiable, 0.2 < found.value < 1.0
        (True, True)
        >>> valley(far).reason
        'the histogram of log distance has one mode'
    """
    values = distances.detach().cpu().double().numpy()
    if not ((values >= 0) & (values < np.inf)).all():
        raise ValueError("`distances` must be finite and at least 0, got NaN, infinite or negative ones.")
    if len(values) == 0 or values.min() == values.max():
        return Valley(identifiable=False, reason="there are no two different distances")
    logs = _logs(values)
    candidates = [_most_significant(logs, width) for width in _widths(logs)]
    for candidate in candidates:
        if not _objection(candidate):
            return _described(candidate, "")
    best = max(candidates, key=lambda candidate: candidate.significance)
    return _described(best, _objection(best))


def _logs(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    positive = distances[distances > 0]
    lowest = min(ZERO * positive.max(), positive.min())
    return np.sort(np.log(np.where(distances > 0, distances, lowest)))


def _widths(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.9 * logs.std() * len(logs) ** -0.2 * 2.0 ** (-0.5 * np.arange(WIDTHS))


def _most_significant(logs: NDArray[np.float64], width: float) -> _Candidate:
    """The most significant valley of the density of sorted logs at one kernel width."""
    ends = logs[0] - REACH * width, logs[-1] + REACH * width
    counts, edges = np.histogram(logs, bins=BINS, range=ends)
    bin_width = (ends[1] - ends[0]) / BINS
    density = gaussian_filter1d(counts / (len(logs) * bin_width), width / bin_width, truncate=REACH)
    left = np.maximum.accumulate(density)
    right = np.maximum.accumulate(density[::-1])[::-1]
    low = np.minimum(left, right)
    deviation = math.sqrt(1 / (4 * math.sqrt(math.pi) * len(logs) * width))
    significance = (np.sqrt(low) - np.sqrt(density)) / deviation
    bottom = np.flatnonzero(significance == significance.max())
    i = int(bottom[len(bottom) // 2])  # the middle of an empty gap
    centers = edges[:-1] + bin_width / 2
    return _Candidate(
        at=float(centers[i]),
        peaks=(float(centers[density[: i + 1].argmax()]), float(centers[i + density[i:].argmax()])),
        depth=float(1 - density[i] / low[i]),
        significance=float(significance[i]),
        ashman_d=_ashman_d(logs, float(centers[i]), width),
    )


def _ashman_d(logs: NDArray[np.float64], at: float, width: float) -> float:
    below, above = logs[logs <= at], logs[logs > at]
    if not (len(below) and len(above)):
        return 0.0
    spread = math.sqrt(below.var() + above.var() + 2 * width**2)
    return float(math.sqrt(2) * (above.mean() - below.mean()) / spread)


def _objection(candidate: _Candidate) -> str:
    """Why a candidate is not a valley; empty if it is one."""
    if candidate.significance < SIGNIFICANCE:
        return "the histogram of log distance has one mode"
    if candidate.depth < DEPTH:
        return "the valley in the histogram of log distance is not half as deep as its lower peak is high"
    if candidate.ashman_d <= ASHMAN_D:
        return "the two modes in the histogram of log distance are not separated (Ashman's D is 2 or less)"
    return ""


def _described(candidate: _Candidate, objection: str) -> Valley:
    return Valley(
        identifiable=not objection,
        value=None if objection else math.exp(candidate.at),
        depth=candidate.depth,
        significance=candidate.significance,
        ashman_d=candidate.ashman_d,
        peaks=(math.exp(candidate.peaks[0]), math.exp(candidate.peaks[1])),
        reason=objection,
    )

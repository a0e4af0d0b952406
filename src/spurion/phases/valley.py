r"""The valley between the two modes of a histogram of distances, or a plain "there is none".

Distances are looked at on a log scale, where copies and novel images form modes of like width. Their
density f is estimated with Gaussian kernels of several widths h, from half the standard deviation of the
logs down. Every local minimum of every estimate is a candidate. With :math:`f_\text{low}` the lower of the
highest peaks on its two sides, and the logs parted there into shares :math:`w_1, w_2` with means
:math:`\mu_1, \mu_2` and variances :math:`s_1^2, s_2^2`, it is a valley if

- its significance
  :math:`z = (\sqrt{f_\text{low}} - \sqrt f) / \sqrt{R / (2 n h)}` is at least 5, where
  :math:`R = 1 / (2 \sqrt \pi)`: the drop in standard deviations, since the square root of a kernel density
  has the standard deviation :math:`\sqrt{R / (4 n h)}` everywhere. No accident of sampling;
- its depth :math:`1 - f / f_\text{low}` is at least 1/2. Nobody would overlook it;
- Ashman's :math:`D = \sqrt 2 (\mu_2 - \mu_1) / \sqrt{s_1^2 + s_2^2 + 2 h^2}` is above 2. Two groups, not a
  group and its tail;
- it explains a share :math:`\eta = w_1 w_2 (\mu_2 - \mu_1)^2 / s^2` of at least 1/2 of the variance
  :math:`s^2` of all logs (Otsu's criterion). The main division of the data, not one within a mode.

Of several valleys the one that explains most is taken, but a finer estimate overrules a coarser one only
by two percent of the variance: coarse estimates place the bottom more steadily.

Samples of one mode (normal, uniform, heavy-tailed, on either scale) pass with a probability below 1 %. A
mode of 2 %, well apart, is found from about 2,000 distances on.

References:
    | A threshold selection method from gray-level histograms (Otsu, 1979), Eq. 12-18
    | Detecting bimodality in astronomical datasets (Ashman et al., 1994), Eq. 4
"""

__all__ = ["Valley", "valley"]

import math
from itertools import filterfalse
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks
from torch import Tensor

from spurion.core.config import Config
from spurion.core.quantities import Distance, Number, Share

SIGNIFICANCE = 5.0
DEPTH = 0.5
ASHMAN_D = 2.0
EXPLAINED = 0.5

OVERRULE = 0.02
"""Share of the variance by which a finer estimate must explain more."""

WIDTHS = 0.5 * 2.0 ** (-0.5 * np.arange(10))
"""Kernel widths in standard deviations of the logs."""

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
        explained: Share of the variance of the logs that lies between the two sides, in [0, 1].
        peaks: The distances at the highest peaks on its two sides.
        reason: Why there is none; empty if there is one.

    Without a valley the other numbers describe the most significant candidate, if there is any.
    """

    identifiable: bool
    value: Distance | None = None
    depth: Number | None = None
    significance: Number | None = None
    ashman_d: Number | None = None
    explained: Share | None = None
    peaks: tuple[Distance, Distance] | None = None
    reason: str = ""


class _Candidate(NamedTuple):
    """A local minimum of a density; places are logs."""

    at: float
    peaks: tuple[float, float]
    depth: float
    significance: float
    ashman_d: float
    explained: float


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
    best: _Candidate | None = None
    candidates = []
    for width in WIDTHS * logs.std():
        found = _candidates(logs, width)
        candidates += found
        good = max(filterfalse(_objection, found), key=lambda candidate: candidate.explained, default=None)
        if good and (best is None or good.explained > best.explained + OVERRULE):
            best = good
    if best is None:
        best = max(candidates, key=lambda candidate: candidate.significance, default=None)
    return _described(best)


def _logs(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    positive = distances[distances > 0]
    lowest = min(ZERO * positive.max(), positive.min())
    return np.sort(np.log(np.where(distances > 0, distances, lowest)))


def _candidates(logs: NDArray[np.float64], width: float) -> list[_Candidate]:
    """The significant minima of the density of sorted logs at one kernel width, or the most significant one.

    Of a flat minimum, the middle.
    """
    ends = logs[0] - REACH * width, logs[-1] + REACH * width
    counts, edges = np.histogram(logs, bins=BINS, range=ends)
    bin_width = (ends[1] - ends[0]) / BINS
    density = gaussian_filter1d(counts / (len(logs) * bin_width), width / bin_width, truncate=REACH)
    centers = edges[:-1] + bin_width / 2
    left = np.maximum.accumulate(density)
    right = np.maximum.accumulate(density[::-1])[::-1]
    low = np.minimum(left, right)
    deviation = math.sqrt(1 / (4 * math.sqrt(math.pi) * len(logs) * width))
    significance = (np.sqrt(low) - np.sqrt(density)) / deviation
    minima = find_peaks(-density)[0]
    passing = [int(i) for i in minima if significance[i] >= SIGNIFICANCE]
    return [
        _Candidate(
            float(centers[i]),
            (float(centers[density[:i].argmax()]), float(centers[i + density[i:].argmax()])),
            float(1 - density[i] / low[i]),
            float(significance[i]),
            *_separation(logs, float(centers[i]), width),
        )
        for i in passing or [int(i) for i in minima[significance[minima].argsort()[-1:]]]
    ]


def _separation(logs: NDArray[np.float64], at: float, width: float) -> tuple[float, float]:
    """Ashman's D and the explained share of the variance for sorted logs parted at a place."""
    count = int(np.searchsorted(logs, at, side="right"))
    if count in (0, len(logs)):
        return 0.0, 0.0
    below, above = logs[:count], logs[count:]
    difference = float(above.mean() - below.mean())
    spread = math.sqrt(below.var() + above.var() + 2 * width**2)
    shares = count / len(logs) * (1 - count / len(logs))
    return math.sqrt(2) * difference / spread, shares * difference**2 / float(logs.var())


def _objection(candidate: _Candidate) -> str:
    """Why a candidate is not a valley; empty if it is one."""
    if candidate.significance < SIGNIFICANCE:
        return "the histogram of log distance has one mode"
    if candidate.depth < DEPTH:
        return "the valley in the histogram of log distance is less than half as deep as it could be"
    if candidate.ashman_d <= ASHMAN_D:
        return "the two modes in the histogram of log distance are not separated (Ashman's D is 2 or less)"
    if candidate.explained < EXPLAINED:
        return "the valley in the histogram of log distance explains less than half of its variance"
    return ""


def _described(candidate: _Candidate | None) -> Valley:
    if candidate is None:
        return Valley(identifiable=False, reason="the histogram of log distance has one mode")
    reason = _objection(candidate)
    return Valley(
        identifiable=not reason,
        value=None if reason else math.exp(candidate.at),
        depth=candidate.depth,
        significance=candidate.significance,
        ashman_d=candidate.ashman_d,
        explained=candidate.explained,
        peaks=(math.exp(candidate.peaks[0]), math.exp(candidate.peaks[1])),
        reason=reason,
    )

r"""Which of two groups lies higher, and by how much.

Groups are compared by rank, so that a value of infinity ("recovered from any noise") has its place and no
unit matters. The effect size is the probability that a member of the first group exceeds one of the second,

.. math:: \theta = P(X > Y) + \tfrac12 P(X = Y),

the area under the ROC curve (AUC): 1 if the groups are apart, 1/2 if they are alike. It is the Mann-Whitney
statistic over :math:`m n`, whose one-sided test gives the p-value. The interval solves

.. math::
    (\hat\theta - \theta)^2 = z^2 V(\theta), \qquad
    V(\theta) = \frac{\theta (1 - \theta)}{mn} \Big[ 1 + N^* \Big(
        \frac{1 - \theta}{2 - \theta} + \frac{\theta}{1 + \theta} \Big) \Big], \quad
    N^* = \frac{m + n}{2} - 1 ,

a score interval, which keeps its width where the groups are apart.

The location of one group is its median, with the exact interval of order statistics: for n values sorted
upward, :math:`P(x_{(r)} \le \text{median} \le x_{(n + 1 - r)}) = 1 - 2 P(B < r)` with
:math:`B \sim \mathrm{Binomial}(n, 1/2)`.

References:
    | Confidence intervals for an effect size measure based on the Mann-Whitney statistic, Part 2
    | (Newcombe, 2006), Method 5
    | The meaning and use of the area under a receiver operating characteristic curve (Hanley & McNeil, 1982)
"""

__all__ = ["Median", "Ordering", "compare", "median", "score_interval"]

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from pydantic import Field
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import binom, mannwhitneyu
from torch import Tensor

from spurion.core.config import Config
from spurion.core.quantities import PValue
from spurion.statistics.intervals import ALPHA, Interval, ShareInterval


class Ordering(Config):
    """Whether one group lies higher than another."""

    auc: ShareInterval = Field(description="P(higher > lower) + P(equal) / 2, with its 95 % interval.")
    p_value: PValue = Field(description="One-sided Mann-Whitney test that the groups are alike.")


class Median(NamedTuple):
    """A median with the two ends of its 95 % interval; any of the three may be infinite."""

    value: float
    low: float
    high: float


def compare(higher: Float[Tensor, " m"], lower: Float[Tensor, " n"]) -> Ordering:
    """Compare a group that should lie higher with one that should lie lower.

    Arguments:
        higher: Values, infinities allowed, with shape (m,), m at least 1.
        lower: Values, infinities allowed, with shape (n,), n at least 1.

    Raises:
        ValueError: If a group is empty or holds NaN.

    Example:
        >>> import torch
        >>> compare(torch.tensor([3.0, 4.0, torch.inf]), torch.tensor([1.0, 2.0, 3.0])).auc.value
        0.9444444444444444
    """
    x, y = _values(higher, "higher"), _values(lower, "lower")
    found = mannwhitneyu(_ranks(x, y)[: len(x)], _ranks(x, y)[len(x) :], alternative="greater")
    share = float(found.statistic) / (len(x) * len(y))
    return Ordering(auc=score_interval(share, len(x), len(y)), p_value=float(found.pvalue))


def median(values: Float[Tensor, " n"]) -> Median | None:
    """The median with its 95 % interval, or None if there are too few values for one (fewer than 6).

    Arguments:
        values: Values, infinities allowed, with shape (n,).

    Raises:
        ValueError: If a value is NaN.

    Example:
        >>> import torch
        >>> median(torch.arange(9.0))
        Median(value=4.0, low=1.0, high=7.0)
    """
    if not len(values):
        return None
    ordered = np.sort(_values(values, "values"))
    rank = int(binom.ppf(ALPHA / 2, len(ordered), 0.5))  # the largest r with P(B < r) <= 0.025
    if rank < 1:
        return None
    left, right = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    middle = left if left == right else (left + right) / 2
    return Median(float(middle), float(ordered[rank - 1]), float(ordered[len(ordered) - rank]))


def score_interval(share: float, m: float, n: float) -> Interval:
    """The score interval of an AUC; see the module.

    Arguments:
        share: The AUC.
        m: The size of the first group, positive; no whole number where its members are not independent.
        n: That of the second.
    """
    z = float(ndtri(1 - ALPHA / 2))

    def excess(theta: float) -> float:
        spread = (1 - theta) / (2 - theta) + theta / (1 + theta)
        variance = theta * (1 - theta) / (m * n) * (1 + ((m + n) / 2 - 1) * spread)
        return abs(theta - share) - z * math.sqrt(variance)

    # At 0 and 1 the variance vanishes, and the equation has a second, trivial root: stay inside.
    low = 0.0 if share == 0 else float(brentq(excess, 0.0, min(share, 1 - 1e-12)))
    high = 1.0 if share == 1 else float(brentq(excess, max(share, 1e-12), 1.0))
    return Interval(value=share, low=low, high=high)


def _values(group: Tensor, name: str) -> np.ndarray:
    values = group.detach().cpu().double().numpy()
    if not len(values):
        raise ValueError(f"`{name}` must hold at least one value, got none.")
    if np.isnan(values).any():
        raise ValueError(f"`{name}` must not hold NaN; leave out the points without a value.")
    return values


def _ranks(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Positions of all values among the distinct ones: infinities become numbers, ties stay ties."""
    return np.unique(np.concatenate([x, y]), return_inverse=True)[1].astype(float)

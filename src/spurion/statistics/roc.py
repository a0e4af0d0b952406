r"""How well a score tells positives from negatives that come in clusters.

Members of one cluster, such as prompts of one image, are not independent, so that intervals must be wider
than their number says. With scores :math:`x_i` of m positives and :math:`y_j` of n negatives,

.. math::
    A = \frac{1}{mn} \sum_{ij} \psi(x_i, y_j), \qquad
    \psi(x, y) = [x > y] + \tfrac12 [x = y],

the area under the ROC curve; its placements :math:`V_i = \frac1n \sum_j \psi(x_i, y_j)` and
:math:`W_j = \frac1m \sum_i \psi(x_i, y_j)`; and :math:`V_k, W_k` their sums over the :math:`m_k` positives
and :math:`n_k` negatives of cluster k, of which :math:`I_x, I_y, I` hold positives, negatives, and any,

.. math::
    \mathrm{Var}\,A = \frac{I_x}{(I_x - 1) m^2} \sum_k (V_k - m_k A)^2
        + \frac{I_y}{(I_y - 1) n^2} \sum_k (W_k - n_k A)^2
        + \frac{2 I}{(I - 1) mn} \sum_k (V_k - m_k A)(W_k - n_k A).

Its ratio to the same with every member a cluster of its own is the design effect. The interval is the score
interval of `spurion.statistics.ranks` for m and n divided by it, but for no fewer than the clusters and no
more than the members; with none known (all placements alike) for as many as the clusters.

References:
    | Nonparametric analysis of clustered ROC curve data (Obuchowski, 1997)
    | Comparing the areas under two or more correlated receiver operating characteristic curves
    | (DeLong, DeLong & Clarke-Pearson, 1988)
"""

__all__ = ["Scores", "Trend", "auc", "call_above", "even", "sensitivity", "share_of", "trend"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from pydantic import Field
from scipy.stats import kendalltau, norm, rankdata

from spurion.core.config import Config
from spurion.core.quantities import PValue
from spurion.core.random import derive_seed
from spurion.statistics.counts import clopper_pearson
from spurion.statistics.intervals import ALPHA, Interval
from spurion.statistics.ranks import score_interval

RESAMPLES = 1000


@dataclass(frozen=True)
class Scores:
    """Scores of positives or of negatives, and the cluster of each.

    Attributes:
        values: The scores, infinities allowed, with shape (n,), n at least 1.
        clusters: The name of the cluster of each.

    Raises:
        ValueError: If there are none, one is NaN, or there is not one cluster each.
    """

    values: Float64[np.ndarray, " n"]
    clusters: Sequence[str]

    def __post_init__(self) -> None:
        if not len(self.values) or len(self.values) != len(self.clusters):
            raise ValueError(
                f"`values` must hold at least one score, and one for each of the {len(self.clusters)} "
                f"`clusters`, got {len(self.values)}."
            )
        if np.isnan(self.values).any():
            raise ValueError("`values` must not hold NaN; leave out what has no score.")


class Trend(Config):
    """Whether scores rise with a level."""

    tau: float = Field(ge=-1, le=1, description="Kendall's tau-b; 0 where there is one level or one score.")
    p_value: PValue = Field(description="One-sided test that they do not rise.")
    clusters: int = Field(ge=0, description="Independent clusters that were compared.")


def auc(positives: Scores, negatives: Scores) -> Interval:
    """P(positive > negative) + P(equal) / 2, with its 95 % interval.

    A cluster may hold positives and negatives.

    Example:
        >>> import numpy as np
        >>> found = auc(Scores(np.array([2.0, 3.0]), "ab"), Scores(np.array([1.0, 2.0]), "cd"))
        >>> found.value
        0.875
    """
    return score_interval(*_area(positives, negatives))


def even(positives: Scores, negatives: Scores) -> float:
    """Two-sided p-value of the score test that the AUC is 1/2: that of the interval of `auc`."""
    area, m, n = _area(positives, negatives)
    variance = (1 + ((m + n) / 2 - 1) * 2 / 3) / (4 * m * n)
    return float(2 * norm.sf(abs(area - 0.5) / math.sqrt(variance)))


def _area(positives: Scores, negatives: Scores) -> tuple[float, float, float]:
    """The AUC, and how many independent positives and negatives it stands on."""
    x, y = positives.values, negatives.values
    m, n = len(x), len(y)
    ranks = rankdata(_finite(np.concatenate([x, y])))
    above = (ranks[:m] - rankdata(_finite(x))) / n
    below = 1 - (ranks[m:] - rankdata(_finite(y))) / m
    area = float(above.mean())
    names = list(dict.fromkeys((*positives.clusters, *negatives.clusters)))
    place = {name: i for i, name in enumerate(names)}
    mine = np.array([place[name] for name in positives.clusters])
    others = np.array([place[name] for name in negatives.clusters])
    clustered = _variance(above - area, below - area, mine, others)
    alone = _variance(above - area, below - area, np.arange(m), m + np.arange(n))
    effect = np.inf if alone <= 0 else clustered / alone
    sizes = [
        float(np.clip(count / max(effect, 1e-12), len(np.unique(own)), count))
        for count, own in ((m, mine), (n, others))
    ]
    return area, sizes[0], sizes[1]


def call_above(negatives: Float64[np.ndarray, " n"], rate: float) -> float:
    """The lowest score above which at most a share `rate` of the negatives lies: one of theirs.

    Arguments:
        negatives: Their scores, with shape (n,), n at least 1.
        rate: A false positive rate, 0 to below 1.

    Example:
        >>> import numpy as np
        >>> call_above(np.arange(200.0), 0.01)
        197.0
    """
    return float(np.sort(negatives)[len(negatives) - 1 - int(rate * len(negatives) + 1e-9)])


def sensitivity(positives: Scores, negatives: Scores, rate: float, *, seed: int) -> Interval:
    """Share of the positives above all but a share `rate` of the negatives, with its 95 % interval.

    The interval holds the exact one for the positives of independent clusters, and the middle 95 % of sets
    whose clusters were drawn again, with their own threshold.

    Arguments:
        positives: The positives.
        negatives: The negatives.
        rate: The false positive rate, 0 to below 1.
        seed: The seed of the draws.
    """
    exact = share_of(positives.values > call_above(negatives.values, rate), positives.clusters)
    rng = np.random.default_rng(derive_seed(seed, "sensitivity"))
    mine, others = _Clusters(positives), _Clusters(negatives)
    drawn = [float((mine.drawn(rng) > call_above(others.drawn(rng), rate)).mean()) for _ in range(RESAMPLES)]
    ends = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2])
    return Interval(
        value=exact.value, low=min(exact.low, float(ends[0])), high=max(exact.high, float(ends[1]))
    )


def share_of(found: Bool[np.ndarray, " n"], clusters: Sequence[str]) -> Interval:
    """A share of clustered members with its exact interval for as many as are independent.

    Arguments:
        found: What is counted, with shape (n,), n at least 1.
        clusters: The name of the cluster of each.
    """
    share, n = float(found.mean()), _independent(found, clusters)
    tail = ALPHA if share in (0, 1) else ALPHA / 2
    low, high = clopper_pearson(share * n, n, tail)
    return Interval(value=share, low=min(low, share), high=max(high, share))


def trend(scores: Scores, levels: Float64[np.ndarray, " n"]) -> Trend:
    """Whether scores rise with a level: Kendall's rank test over the means of clusters at each level.

    Arguments:
        scores: The scores.
        levels: The level of each, with shape (n,).
    """
    cells: dict[tuple[str, float], list[float]] = {}
    for value, cluster, level in zip(_finite(scores.values), scores.clusters, levels.tolist(), strict=True):
        cells.setdefault((cluster, level), []).append(float(value))
    x = [level for _, level in cells]
    y = [float(np.mean(values)) for values in cells.values()]
    if len(set(x)) < 2 or len(set(y)) < 2:
        return Trend(tau=0.0, p_value=1.0, clusters=len(cells))
    found = kendalltau(x, y, alternative="greater")
    return Trend(tau=float(found.statistic), p_value=float(found.pvalue), clusters=len(cells))


class _Clusters:
    """Scores by cluster, drawn again with replacement."""

    def __init__(self, scores: Scores) -> None:
        places: dict[str, list[int]] = {}
        for i, name in enumerate(scores.clusters):
            places.setdefault(name, []).append(i)
        self._values = scores.values
        self._members = [np.array(members) for members in places.values()]

    def drawn(self, rng: np.random.Generator) -> Float64[np.ndarray, " drawn"]:
        chosen = rng.integers(len(self._members), size=len(self._members))
        values: Float64[np.ndarray, " drawn"] = self._values[
            np.concatenate([self._members[i] for i in chosen])
        ]
        return values


def _variance(
    above: Float64[np.ndarray, " m"],
    below: Float64[np.ndarray, " n"],
    mine: Int64[np.ndarray, " m"],
    others: Int64[np.ndarray, " n"],
) -> float:
    """The variance of A, from placements less A and the clusters of either kind."""
    count = int(max(mine.max(), others.max())) + 1
    v, w = np.bincount(mine, above, count), np.bincount(others, below, count)
    m, n = len(above), len(below)
    any_of = len(np.union1d(mine, others))
    parts = (
        _few(len(np.unique(mine))) * float(v @ v) / m**2,
        _few(len(np.unique(others))) * float(w @ w) / n**2,
        2 * _few(any_of) * float(v @ w) / (m * n),
    )
    return sum(parts)


def _few(clusters: int) -> float:
    return clusters / max(clusters - 1, 1)


def _independent(found: np.ndarray, clusters: Sequence[str]) -> float:
    """How many independent members a share of clustered ones stands on."""
    share, n, names = float(found.mean()), len(found), sorted(set(clusters))
    if share in (0, 1) or len(names) < 2:
        return float(len(names))
    place = {name: i for i, name in enumerate(names)}
    index = np.array([place[name] for name in clusters])
    excess = np.bincount(index, found - share)
    variance = _few(len(names)) * float(excess @ excess) / n**2
    return float(np.clip(share * (1 - share) / variance if variance else n, len(names), n))


def _finite(values: np.ndarray) -> np.ndarray:
    """Positions among the distinct values: infinities become numbers, ties stay ties."""
    return np.unique(values, return_inverse=True)[1].astype(float)

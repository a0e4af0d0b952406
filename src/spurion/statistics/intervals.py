r"""Fractions with honest intervals.

Resampling n labeled samples with replacement and counting the classes *is* a multinomial draw with the
observed fractions, so the bootstrap of class fractions needs no resampling: 10,000 resamples of 10,000
samples take milliseconds.

The percentile bootstrap is too narrow where a class has few samples or lacks few (92 % at 20 of n), and has
no width at all at 0 of n. So with k the samples that a class has or lacks, whichever is less:

- :math:`k \geq 50`: the bootstrap;
- :math:`12 \leq k < 50`: mid-p, half of the probability of what was seen left out of either exact tail,
  :math:`P(X > k \mid p_\text{low}) + \tfrac12 P(X = k \mid p_\text{low}) = 0.025`, and likewise above;
- :math:`k < 12`: Clopper and Pearson's, from the whole tails,
  :math:`P(X \geq k \mid p_\text{low}) = P(X \leq k \mid p_\text{high}) = 0.025`, and one-sided at the very
  ends, where only one end can be wrong: 0 of n gives the upper bound :math:`1 - 0.05^{1/n} \approx 3 / n`.

Coverage, summed over all counts, is least right beside an end of an interval. There it was computed, with
infinitely many resamples, for every n to 130 and others to 2,000: at least 92.5 % for n up to 50 (.9251 at n
= 50 and the share .9418) and 93.3 % from n = 51 on (.9337 at n = 51 and the share .4501). Just above
:math:`1 - 0.05^{1/n}`, about 3 expected samples, none is seen 5 % of the time and too many up to 2.5 %, so
92.5 % is what Clopper and Pearson's rule with one-sided ends promises. From 50 samples on, of which 20 are
expected, coverage is at most 97 %. With fewer it is often higher, on the safe side, and cannot be brought to
95 % by any rule: with 1 expected, the counts {0, 1, 2} hold 92 % of all outcomes and {0, 1, 2, 3} hold 98 %.

References:
    | Memorization to Generalization (Pham et al., 2025), Appendix B (bootstrap of the fractions)
    | The use of confidence or fiducial limits (Clopper & Pearson, 1934)
    | Significance tests in discrete distributions (Lancaster, 1961): mid-p
"""

__all__ = [
    "ClassFractions",
    "Interval",
    "ShareInterval",
    "class_fractions",
    "drawn_fractions",
    "proportion",
]

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from jaxtyping import Float64, Int64
from pydantic import AfterValidator, model_validator
from scipy.optimize import brentq
from scipy.stats import binom
from torch import Tensor

from spurion.core.config import Config
from spurion.core.quantities import ROUNDING, Number
from spurion.core.random import derive_seed
from spurion.statistics.counts import clopper_pearson

ALPHA = 0.05
"""Probability that an interval may miss."""

FEW = 12
"""A class with fewer samples, or lacking fewer, gets Clopper and Pearson's interval."""

MANY = 50
"""A class with as many samples, and lacking as many, gets the bootstrap's."""


class Interval(Config):
    """A value with the two ends of its 95 % interval."""

    value: Number
    low: Number
    high: Number

    @model_validator(mode="after")
    def _ordered(self) -> "Interval":
        if self.low > self.high + ROUNDING * max(1.0, abs(self.high)):
            raise ValueError(f"`low` must not lie above `high`, got {self.low:g} and {self.high:g}")
        return self


def _of_shares(interval: Interval) -> Interval:
    for number in (interval.low, interval.value, interval.high):
        if not -ROUNDING <= number <= 1 + ROUNDING:
            raise ValueError(f"a share must lie between 0 and 1, got {number:g}")
    return interval


ShareInterval = Annotated[Interval, AfterValidator(_of_shares)]
"""An interval whose numbers are shares."""


class ClassFractions(Config):
    """Fractions of samples in each class; the values sum to 1."""

    memorized: ShareInterval
    spurious: ShareInterval
    generalized: ShareInterval


def proportion(successes: int, n: int) -> Interval:
    """An observed share with its exact interval (Clopper-Pearson, one-sided at 0 and at n).

    Arguments:
        successes: How many of the n, from 0 to n.
        n: How many in all, at least 1.

    Raises:
        ValueError: If `n` is below 1 or `successes` lies outside 0..n.

    Example:
        >>> print("{0.value} {0.low} {0.high:.4f}".format(proportion(0, 300)))
        0.0 0.0 0.0099
    """
    if n < 1:
        raise ValueError(f"`n` must be at least 1, got {n}; nothing was counted.")
    if not 0 <= successes <= n:
        raise ValueError(f"`successes` must be from 0 to {n}, got {successes}.")
    tail = ALPHA if successes in (0, n) else ALPHA / 2
    low, high = clopper_pearson(successes, n, tail)
    return Interval(value=successes / n, low=low, high=high)


def class_fractions(labels: Int64[Tensor, " n"], *, seed: int, resamples: int = 10_000) -> ClassFractions:
    """Fractions of the three classes with 95 % intervals.

    Arguments:
        labels: 0 memorized, 1 spurious, 2 generalized, with shape (n,), n at least 1.
        seed: Seed of the bootstrap; the same seed gives the same intervals.
        resamples: The number of bootstrap resamples, at least 1.

    Raises:
        ValueError: If there are no labels, a label is none of the three, or `resamples` is below 1.
    """
    n = len(labels)
    if n == 0:
        raise ValueError("`labels` must hold at least one label, got none; draw samples first.")
    if not 0 <= int(labels.min()) <= int(labels.max()) <= 2:
        raise ValueError(f"`labels` must be 0, 1 or 2, got {int(labels.min())} to {int(labels.max())}.")
    if resamples < 1:
        raise ValueError(f"`resamples` must be at least 1, got {resamples}.")
    counts = np.bincount(labels.cpu().numpy(), minlength=3)
    draws = np.random.default_rng(derive_seed(seed, "class fractions"))
    resampled = draws.multinomial(n, counts / n, size=resamples) / n
    ends = np.quantile(resampled, [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    memorized, spurious, generalized = (
        _interval(int(count), n, float(low), float(high))
        for count, low, high in zip(counts, *ends, strict=True)
    )
    return ClassFractions(memorized=memorized, spurious=spurious, generalized=generalized)


def drawn_fractions(
    shares: Sequence[float], drawn: Float64[np.ndarray, "r 3"], samples: int
) -> ClassFractions:
    """Fractions of the three classes with the intervals of replicates.

    An interval holds the middle 95 % of the replicates, the share itself, and the exact interval of so large
    a share of so many samples: replicates of samples without a copy have none either.

    Arguments:
        shares: The shares of memorized, spurious and generalized samples, which sum to 1.
        drawn: The same of every replicate, with shape (R, 3).
        samples: The number of samples, at least 1.

    Example:
        >>> found = drawn_fractions((0.0, 0.5, 0.5), np.tile((0.0, 0.5, 0.5), (100, 1)), 300)
        >>> found.memorized == proportion(0, 300), round(found.spurious.low, 2)
        (True, 0.44)
    """
    ends = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    found = []
    for share, low, high in zip(shares, *ends, strict=True):
        tail = ALPHA if share in (0, 1) else ALPHA / 2
        exact = clopper_pearson(share * samples, samples, tail)
        lowest, highest = min(float(low), exact[0], share), max(float(high), exact[1], share)
        found.append(Interval(value=share, low=lowest, high=highest))
    return ClassFractions(memorized=found[0], spurious=found[1], generalized=found[2])


def _interval(count: int, n: int, low: float, high: float) -> Interval:
    fewer = min(count, n - count)
    if fewer < FEW:
        return proportion(count, n)
    if fewer < MANY:
        low, high = _mid_p(count, n)
    return Interval(value=count / n, low=low, high=high)


def _mid_p(count: int, n: int) -> tuple[float, float]:
    """The ends of the mid-p interval, each between those of Clopper and Pearson and the share itself."""

    def above(share: float) -> float:
        return float(binom.sf(count, n, share) + 0.5 * binom.pmf(count, n, share))

    exact = proportion(count, n)
    low = brentq(lambda share: above(share) - ALPHA / 2, exact.low, exact.value)
    high = brentq(lambda share: above(share) - (1 - ALPHA / 2), exact.value, exact.high)
    return float(low), float(high)

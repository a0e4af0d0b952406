r"""What the samples could have missed: absence of copies is as good as the number of samples.

**Seen at all.** A model that copies at rate c shows at least one copy among n samples with probability
:math:`1 - (1 - c)^n`. The smallest rate that would have been seen with probability 0.95 is

.. math:: c_{\min} = 1 - 0.05^{1/n} \approx 3 / n .

**Told from chance.** Thresholds from held-out images (`holdout:ALPHA`) call an honest sample memorized with
probability q, so some are expected anyway. With X the number called memorized, :math:`k^\star` is the least
count with :math:`P(X \geq k^\star \mid c = 0) \leq 0.05`, and the detectable excess is the smallest c with
:math:`P(X \geq k^\star \mid c) \geq 0.95`, where a sample is a copy (always called memorized) with
probability c and else called so with probability q:

.. math:: X \sim \mathrm{Bin}(n, q + (1 - q)\, c) .

With q known to be :math:`\alpha` this is exact. But the threshold is itself an estimate: that of rank
:math:`r = \lfloor \alpha (h + 1) \rfloor` among h held-out images has a q that is distributed as
:math:`\mathrm{Beta}(r, h + 1 - r)`, with mean at most :math:`\alpha`. With `held_out` the probabilities are
averaged over it, so that few held-out images cost power, as they do.

References:
    | If nothing goes wrong, is everything all right? (Hanley & Lippman-Hand, 1983): three over n
    | Order Statistics (David & Nagaraja, 2003), Sec. 2.3: the Beta law
"""

__all__ = ["Power", "power", "samples_needed"]

import math

import numpy as np
from jaxtyping import Float64
from pydantic import Field
from scipy.optimize import brentq
from scipy.stats import beta, binom

from spurion.core.config import Config
from spurion.core.quantities import Count, Share, Size

MISS = 0.05
"""Probability of missing a copy rate, and of crying wolf at none."""

QUADRATURE = 2_000
"""Points in which the law of q is averaged; their error is below 0.001 in probability."""


class Power(Config):
    """The copy rates that this number of samples could have missed."""

    samples: Size
    seen_rate: Share = Field(description="Smallest copy rate that shows a copy with probability 0.95.")
    false_positive_rate: Share | None = Field(
        None, description="Promised share of honest samples called memorized; null if none is promised."
    )
    count_needed: Count | None = Field(
        None, description="Samples called memorized from which on they are more than false positives."
    )
    detectable_excess: Share | None = Field(
        None, description="Smallest copy rate told from false positives with probability 0.95; null if none."
    )

    def could_be_chance(self, count: int) -> bool:
        """Whether so many samples called memorized could all be false positives of the threshold."""
        return self.false_positive_rate is not None and (
            self.count_needed is None or count < self.count_needed
        )


def power(
    samples: int,
    *,
    false_positive_rate: float | None = None,
    held_out: int | None = None,
    rank: int | None = None,
) -> Power:
    r"""The copy rates that a number of samples could have missed; see the module.

    Arguments:
        samples: The number n of samples, at least 1.
        false_positive_rate: The promised share :math:`\alpha` of honest samples called memorized, in [0, 1);
            None where thresholds promise none.
        held_out: The number h of held-out images that set the threshold; None if :math:`\alpha` is exact.
        rank: The rank of the order statistic from which it was carried on to :math:`\alpha`; None for that of
            :math:`\alpha` itself.

    Raises:
        ValueError: If a number is out of range, or the held-out images are too few for the promised share.

    Example:
        >>> found = power(10_000, false_positive_rate=0.01)
        >>> f"{found.seen_rate:.5f} {found.count_needed} {found.detectable_excess:.5f}"
        '0.00030 118 0.00367'
    """
    if samples < 1:
        raise ValueError(f"`samples` must be at least 1, got {samples}.")
    seen = Power(samples=samples, seen_rate=-math.expm1(math.log(MISS) / samples))
    if false_positive_rate is None:
        return seen
    if not 0 <= false_positive_rate < 1:
        raise ValueError(f"`false_positive_rate` must be in [0, 1), got {false_positive_rate}.")
    rates = _rates(false_positive_rate, held_out, rank)
    count = _count_needed(samples, rates)
    return seen.model_copy(
        update={
            "false_positive_rate": false_positive_rate,
            "count_needed": count,
            "detectable_excess": None if count is None else _excess(samples, count, rates),
        }
    )


def samples_needed(rate: float) -> int:
    """Samples without a single copy that put the upper end of the interval at `rate` or below.

    Raises:
        ValueError: If `rate` is not inside (0, 1).

    Example:
        >>> samples_needed(0.01)
        299
    """
    if not 0 < rate < 1:
        raise ValueError(f"`rate` must be inside (0, 1), got {rate}.")
    return math.ceil(math.log(MISS) / math.log1p(-rate))


def _rates(alpha: float, held_out: int | None, rank: int | None) -> Float64[np.ndarray, " points"]:
    """Equally likely values of the share q of honest samples called memorized."""
    if held_out is None:
        return np.array([alpha])
    scale = 1.0 if rank is None else alpha * (held_out + 1) / rank
    rank = math.floor(alpha * (held_out + 1) + 1e-9) if rank is None else rank
    if rank < 1:
        raise ValueError(
            f"`held_out` must be at least {math.ceil(1 / alpha) - 1 if alpha else 'infinite'} to promise a "
            f"share of {alpha:g}, got {held_out}."
        )
    levels = (np.arange(QUADRATURE) + 0.5) / QUADRATURE
    return np.minimum(1.0, scale * np.asarray(beta.ppf(levels, rank, held_out + 1 - rank)))


def _count_needed(samples: int, rates: Float64[np.ndarray, " points"]) -> int | None:
    """The smallest count that false positives reach with probability at most 0.05, or None."""
    low, high = 0, samples + 1  # reached surely, and never
    while high - low > 1:
        middle = (low + high) // 2
        if binom.sf(middle - 1, samples, rates).mean() <= MISS:
            high = middle
        else:
            low = middle
    return high if high <= samples else None


def _excess(samples: int, count: int, rates: Float64[np.ndarray, " points"]) -> float:
    """The smallest copy rate that reaches the count with probability 0.95."""

    def shortfall(copied: float) -> float:
        return float(binom.sf(count - 1, samples, rates + (1 - rates) * copied).mean()) - (1 - MISS)

    return float(brentq(shortfall, 0.0, 1.0, xtol=1e-12))

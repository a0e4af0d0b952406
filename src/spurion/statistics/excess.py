r"""What a share shows beyond the share that honest images show.

If a share :math:`r_0` of images that nobody copied lies below a threshold, and a share :math:`r` of samples,
the *excess risk* is the share of copies that explains the difference,

.. math:: \frac{r - r_0}{1 - r_0} ,

for copies lie below it, and the rest of the samples as often as honest images. Its interval is exact for both
numbers of images: it takes the ends of two intervals of Clopper and Pearson, each of which misses with a
probability of at most 2.5 %.

References:
    | A Unified Framework for Quantifying Privacy Risk in Synthetic Data (Giomi et al., 2023), Section 3
"""

__all__ = ["excess"]

from spurion.statistics.counts import clopper_pearson
from spurion.statistics.intervals import ALPHA, Interval


def excess(count: int, samples: int, honest_count: int, honest: int) -> Interval:
    """The share of copies beyond what honest images show, with an interval that holds it with 95 %.

    Arguments:
        count: How many samples lie below a threshold.
        samples: The number of samples, at least 1.
        honest_count: How many honest images do; if all do, no excess can be told.
        honest: The number of honest images, at least 1.

    Returns:
        The excess, at most 1; negative where honest images lie below the threshold more often.

    Raises:
        ValueError: If a number is out of range, or all honest images lie below the threshold.

    Example:
        >>> found = excess(60, 1000, 10, 1000)
        >>> round(found.value, 4), round(found.low, 3), round(found.high, 3)
        (0.0505, 0.025, 0.075)
    """
    for name, part, whole in (("samples", count, samples), ("honest", honest_count, honest)):
        if not 0 <= part <= whole or whole < 1:
            raise ValueError(f"The number of `{name}` must be at least 1 and hold the {part}, got {whole}.")
    if honest_count == honest:
        raise ValueError(f"All {honest} honest images lie below the threshold, so no excess can be told.")
    low, high = clopper_pearson(count, samples, ALPHA / 4)
    honest_low, honest_high = clopper_pearson(honest_count, honest, ALPHA / 4)
    value = _beyond(count / samples, honest_count / honest)
    return Interval(value=value, low=_beyond(low, honest_high), high=_beyond(high, honest_low))


def _beyond(share: float, honest: float) -> float:
    return (share - honest) / (1 - honest)

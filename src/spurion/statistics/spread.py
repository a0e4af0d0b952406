r"""Means over a few independent repetitions, such as seeds, with Student's interval.

For n values with mean m and standard deviation s the interval is
:math:`m \pm t_{n-1}(0.975)\, s / \sqrt n`: it holds the mean over all repetitions there could be in 95 % of
all cases, if values are about normal. It is wide for two values (12.7 standard errors) because two values
tell little. Of sizes, which are positive and vary by factors, it is taken of the logarithms.
"""

__all__ = ["mean_interval", "mean_of_logs"]

from collections.abc import Sequence
from math import exp, inf, log, sqrt

import numpy as np
from scipy.stats import t as student

from spurion.statistics.intervals import ALPHA, Interval


def mean_interval(values: Sequence[float], lowest: float = -inf, highest: float = inf) -> Interval:
    """The mean of at least two values, with its 95 % interval.

    Arguments:
        values: The values, finite.
        lowest: What no value lies below; the interval neither.
        highest: The same above.

    Raises:
        ValueError: If there are fewer than two values.

    Example:
        >>> found = mean_interval([1.0, 3.0])
        >>> round(found.value, 3), round(found.low, 2), round(found.high, 2)  # 2 -+ 12.706
        (2.0, -10.71, 14.71)
    """
    if len(values) < 2:
        raise ValueError(f"`values` must hold at least two values, got {len(values)}.")
    mean = float(np.mean(values))
    reach = float(student.ppf(1 - ALPHA / 2, len(values) - 1)) * float(np.std(values, ddof=1))
    reach /= sqrt(len(values))
    return Interval(value=mean, low=max(lowest, mean - reach), high=min(highest, mean + reach))


def mean_of_logs(values: Sequence[float]) -> Interval:
    """The geometric mean of at least two positive values, with its 95 % interval.

    Example:
        >>> round(mean_of_logs([50.0, 200.0]).value, 6)
        100.0

    Raises:
        ValueError: If there are fewer than two values, or one is not positive.
    """
    if min(values, default=1.0) <= 0:
        raise ValueError(f"`values` must be positive, got {min(values):g}.")
    found = mean_interval([log(value) for value in values])
    return Interval(value=exp(found.value), low=exp(max(found.low, -200.0)), high=exp(min(found.high, 200.0)))

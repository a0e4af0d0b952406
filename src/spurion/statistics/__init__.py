"""Intervals, medians and tests that every room uses; none knows what is counted."""

__all__ = [
    "ClassFractions",
    "Interval",
    "Median",
    "Ordering",
    "ShareInterval",
    "class_fractions",
    "compare",
    "median",
    "p_value",
    "p_words",
    "proportion",
]

from spurion.statistics.intervals import (
    ClassFractions,
    Interval,
    ShareInterval,
    class_fractions,
    proportion,
)
from spurion.statistics.numbers import p_value, p_words
from spurion.statistics.ranks import Median, Ordering, compare, median

"""Fractions with honest intervals."""

from spurion.core.config import Config


class Interval(Config):
    """A value with the two ends of its 95 % interval."""

    value: float
    low: float
    high: float


class ClassFractions(Config):
    """Fractions of samples in each class; the values sum to 1."""

    memorized: Interval
    spurious: Interval
    generalized: Interval

"""Fractions against the threshold."""

from spurion.core.config import Config


class Sensitivity(Config):
    """Class fractions as both thresholds are scaled by common factors."""

    factors: tuple[float, ...]
    memorized: tuple[float, ...]
    spurious: tuple[float, ...]
    generalized: tuple[float, ...]

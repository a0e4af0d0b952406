"""Spurious share against the number of samples, exactly."""

from spurion.core.config import Config


class Rarefaction(Config):
    """The spurious share expected among m samples, for m up to the number drawn."""

    sample_sizes: tuple[int, ...]
    spurious: tuple[float, ...]

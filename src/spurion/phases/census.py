"""Attractor census."""

from spurion.core.config import Config


class Census(Config):
    """Clusters of mutual duplicates among the samples: how many attractors, and how much is unseen."""

    attractors: int
    memorized: int
    spurious: int
    unseen_mass: float
    chao1: float | None
    shares: tuple[float, ...]

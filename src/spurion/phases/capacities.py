"""Capacities of a model family."""

from spurion.core.config import Config


class Capacity(Config):
    """A training size with interval and the bracket of the grid around it; null where not reached."""

    value: float | None
    low: float | None
    high: float | None
    bracket: tuple[int | None, int | None]
    note: str = ""


class Capacities(Config):
    """Memorization, spurious and generalization capacity (workshop Definitions 2.1-2.3)."""

    epsilon: float
    memorization: Capacity
    spurious: Capacity
    generalization: Capacity

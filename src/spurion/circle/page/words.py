"""Names, colors and numbers of the circle, the same in figures, tables and texts."""

__all__ = [
    "DEFINITIONS",
    "KINDS",
    "KIND_COLORS",
    "KIND_MARKERS",
    "angle",
    "barrier_text",
    "beta_text",
    "count_text",
    "network_text",
    "time_text",
]

import math

from spurion.report.figures.canvas import CLASS_COLORS, CLASS_MARKERS
from spurion.statistics.numbers import size, value

KINDS = ("memory", "spurious", "continuum")

_CLASSES = dict(zip(KINDS, ("memorized", "spurious", "generalized"), strict=True))
KIND_COLORS = {kind: CLASS_COLORS[name] for kind, name in _CLASSES.items()}
KIND_MARKERS = {kind: CLASS_MARKERS[name] for kind, name in _CLASSES.items()}
"""A memory is a memorized pattern, the continuum is what generalization looks like here."""

DEFINITIONS = {
    "memory": "A minimum of the energy that is one training pattern: that pattern has at least 90% of the "
    "softmax weight there.",
    "spurious": "A minimum that is no training pattern and that a real barrier, of at least 0.1 kT, "
    "separates from the others: with the exact energy a group of patterns that have merged.",
    "continuum": "A dent in a flat valley: a minimum that is no pattern and that less than 0.1 kT separates "
    "from the next. Noise carries the state across; with many patterns the valley is the circle itself.",
}
"""The three kinds of minima in plain words."""

NETWORKS = {"paper": "network of the paper’s text", "code": "network of the authors’ code"}


def angle(x: float, y: float) -> float:
    """Angle of a point in degrees, from 0 to 360.

    Example:
        >>> angle(0.0, -1.0)
        270.0
    """
    return math.degrees(math.atan2(y, x)) % 360


def barrier_text(barrier: float | None) -> str:
    """A barrier in kT to three digits.

    Example:
        >>> barrier_text(0.6091), barrier_text(49812.3), barrier_text(None)
        ('0.609', '49,812', '–')
    """
    return value(barrier) if barrier is None or barrier < 1000 else size(barrier)


def beta_text(beta: float) -> str:
    """An inverse temperature, short.

    Example:
        >>> beta_text(10 / 3), beta_text(1e5)
        ('3.33', '100,000')
    """
    return f"{beta:,.0f}" if beta >= 1000 else f"{beta:.3g}"


def time_text(beta: float) -> str:
    """The time t = 1 / (2 beta) of an inverse temperature.

    Example:
        >>> time_text(10 / 3)
        '0.15'
    """
    return f"{1 / (2 * beta):.3g}"


def count_text(count: int | None) -> str:
    """A number of patterns; infinitely many are ∞."""
    return "∞" if count is None else f"{count:,}"


def network_text(name: str) -> str:
    """What a network is, by its name in the configuration."""
    return NETWORKS.get(name, f"network “{name}”")

"""Thresholds by rule."""

from spurion.core.config import Config


class Identifiable(Config):
    """Which thresholds the data themselves determine."""

    memorized: bool
    spurious: bool


class ThresholdInfo(Config):
    """Thresholds with the rule that made them."""

    rule: str
    memorized: float | None
    spurious: float | None
    identifiable: Identifiable
    notes: tuple[str, ...] = ()

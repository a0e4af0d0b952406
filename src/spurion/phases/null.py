"""The held-out null."""

from spurion.core.config import Config
from spurion.phases.intervals import Interval


class NullTest(Config):
    """Are samples closer to the training set than to an equally large held-out set?"""

    share_closer_to_train: Interval | None
    share_p_value: float | None
    set_size: int
    ct: float | None
    authpct: float | None
    notes: tuple[str, ...] = ()

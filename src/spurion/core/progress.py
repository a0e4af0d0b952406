"""Progress of long work, seen from the work itself: a callback and nothing else.

Long functions take ``progress: Progress = silent`` and call ``progress(done, total)`` now and then. Work of
several stages names the stage first, as ``progress(stage, done, total)``, and where several works are under
way, each names itself before that, as ``progress(name, stage, done, total)``. The callback of one stage is
``partial(progress, stage)``. Who shows it, a terminal bar, another process or nobody, is not their business.
"""

__all__ = ["Progress", "shifted", "silent"]

from collections.abc import Callable

Progress = Callable[..., None]
"""Called as ``progress(*names, done, total)`` with 0 <= done <= total, cheap enough for every step.

A total of 0 is unknown.
"""


def silent(*told: str | int) -> None:
    """Show nothing."""


def shifted(progress: Progress, before: int, total: int) -> Progress:
    """The progress of work that begins when `before` of `total` steps are done."""
    return lambda done, *_: progress(before + done, total)

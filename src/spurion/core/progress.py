"""Progress of long work, seen from the work itself: a callback and nothing else.

Long functions take ``progress: Progress = silent`` and call ``progress(done, total)`` now and then.
Who shows it, a terminal bar, another process or nobody, is not their business.
"""

__all__ = ["Progress", "silent"]

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called as ``progress(done, total)`` with 0 <= done <= total, cheap enough for every step."""


def silent(done: int, total: int) -> None:
    """Show nothing."""

"""A request to stop that Python may swallow: an exception that a signal raises inside a finalizer is lost."""

__all__ = ["raise_if_asked", "remember"]

_asked: list[BaseException] = []


def remember(error: BaseException) -> BaseException:
    """Keep what a signal raises, and return it."""
    _asked.append(error)
    return error


def raise_if_asked() -> None:
    """Raise what a signal has raised before, if the process goes on regardless.

    Raises:
        BaseException: What was remembered, once.
    """
    if _asked:
        raise _asked.pop()

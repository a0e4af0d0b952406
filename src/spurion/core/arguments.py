"""Arguments at the doors of the package: a value of a wrong kind is one sentence."""

__all__ = ["Kind", "check_arguments"]

from collections.abc import Mapping
from typing import Any

Kind = tuple[Any, str]
"""What an argument must be, as one type or a union, and in words."""


def check_arguments(values: Mapping[str, object], kinds: Mapping[str, Kind]) -> None:
    """Refuse arguments of a wrong kind.

    Arguments:
        values: Arguments by name, such as the `locals()` at the start of a function.
        kinds: What those that are checked must be.

    Raises:
        ValueError: If one is something else.

    Example:
        >>> check_arguments({"beta": "1"}, {"beta": (float, "a number")})
        Traceback (most recent call last):
        ValueError: `beta` must be a number, got str.
    """
    for name, (kind, words) in kinds.items():
        if not isinstance(values[name], kind):
            raise ValueError(f"`{name}` must be {words}, got {type(values[name]).__name__}.")

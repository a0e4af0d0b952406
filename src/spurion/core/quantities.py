"""Quantities of results, each with the bounds that hold for it, whoever wrote the file.

The same bounds hold when a result is made and when it is read back, so that a page is never drawn from
numbers that cannot be: a share of 3, half a list, a count of 10^90.
"""

__all__ = [
    "Count",
    "Distance",
    "Label",
    "Notes",
    "Number",
    "PValue",
    "Percentage",
    "Positive",
    "Seconds",
    "Settings",
    "Share",
    "Size",
    "check_lengths",
]

from collections.abc import Sized
from typing import Annotated, Any

from pydantic import AfterValidator, Field

LARGEST = 1e100
"""The largest number of any kind: its square is a float too, and so is the span of two of them."""

ROUNDING = 1e-9
"""How far a sum of shares may lie beyond 1."""

MOST_SETTINGS = 10_000
"""Values of a configuration, of an environment or of other settings that are shown as they are."""

Count = Annotated[int, Field(ge=0, le=10**15)]
Size = Annotated[int, Field(ge=1, le=10**15)]
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Positive = Annotated[float, Field(gt=0, le=LARGEST)]
Distance = Annotated[float, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(ge=-ROUNDING, le=1 + ROUNDING)]
PValue = Share
Percentage = Annotated[float, Field(ge=-ROUNDING, le=100 + ROUNDING)]
Label = Annotated[str, Field(max_length=500)]
Notes = Annotated[tuple[str, ...], Field(max_length=1000)]
Seconds = Annotated[dict[Label, Distance], Field(max_length=1000)]


def _few(values: dict[str, Any]) -> dict[str, Any]:
    left = MOST_SETTINGS
    inner: list[Any] = [values]
    while inner:
        value = inner.pop()
        left -= 1
        if isinstance(value, dict | list | tuple):
            left -= len(value)
            inner += value.values() if isinstance(value, dict) else value
        if left < 0:
            raise ValueError(f"there must be at most {MOST_SETTINGS:,} values, got more")
    return values


Settings = Annotated[dict[str, Any], AfterValidator(_few)]
"""Settings shown as they are."""


def check_lengths(name: str, length: int, **lists: Sized | None) -> None:
    """Refuse lists that do not have one entry for each of something.

    Arguments:
        name: What there is one entry for.
        length: How many there are.
        lists: The lists by name; None for one that there is not.

    Raises:
        ValueError: If one has another length.

    Example:
        >>> check_lengths("times", 2, noise=(0.1, 0.2), separation=(0.1,))
        Traceback (most recent call last):
        ValueError: `separation` must have one entry for each of the 2 times, got 1
    """
    for key, values in lists.items():
        if values is not None and len(values) != length:
            raise ValueError(
                f"`{key}` must have one entry for each of the {length} {name}, got {len(values)}"
            )

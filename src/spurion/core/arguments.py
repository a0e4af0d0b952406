"""Arguments at the doors of the package: a value of a wrong kind is one sentence."""

__all__ = [
    "FLAG",
    "FUNCTION",
    "GENERATOR",
    "NUMBER",
    "PATH",
    "TENSOR",
    "TEXT",
    "WHOLE",
    "Kind",
    "check_arguments",
    "check_choice",
    "optional",
]

import os
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch

Kind = tuple[Any, str]
"""What an argument must be, as one type or a union, and in words."""

FLAG: Kind = (bool | np.bool_, "True or False")
FUNCTION: Kind = (Callable, "a function")
GENERATOR: Kind = (torch.Generator, "a torch.Generator")
NUMBER: Kind = (Real, "a number")
PATH: Kind = (str | os.PathLike, "a path")
TENSOR: Kind = (torch.Tensor, "a tensor")
TEXT: Kind = (str, "a text")
WHOLE: Kind = (Integral, "a whole number")


def optional(kind: Kind) -> Kind:
    """A kind, or None."""
    return kind[0] | None, f"{kind[1]} or None"


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


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Refuse an argument that is none of some words.

    Raises:
        ValueError: If it is none of them.

    Example:
        >>> check_choice("engine", "fast", ("auto", "int8"))
        Traceback (most recent call last):
        ValueError: `engine` must be one of auto, int8, got 'fast'.
    """
    if value not in (known := list(choices)):
        raise ValueError(f"`{name}` must be one of {', '.join(known)}, got {value!r}.")

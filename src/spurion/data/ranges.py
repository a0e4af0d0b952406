"""What stands for black and for white in an array: said by its type, by its name, or declared.

Arrays of uint8, uint16 and bool say it by their type, floats called ``samples`` in a ``.npz`` by their name:
they are in [-1, 1]. Others need a range that is declared, and what is declared goes before a name.

One range may be declared for several sets: it is that of every array of floats, whatever it is called, and of
integers whose type does not tell; for an array whose type tells only if there are no others, for floats
in [0, 1] beside bytes do not make the bytes so. A range declared for a set by name is for that set alone,
whatever its type.
"""

__all__ = ["Declared", "ValueRange", "check_range", "declared_ranges", "range_of_type"]

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

ValueRange = tuple[float, float]

Declared = ValueRange | Mapping[str, ValueRange]
"""One range, or one for each of several sets by its name."""

_RANGE_OF_TYPE: dict[str, ValueRange] = {"uint8": (0, 255), "uint16": (0, 65535), "bool": (0, 1)}


def range_of_type(dtype: np.dtype) -> ValueRange | None:
    """What stands for black and for white in arrays of a type, if it says so.

    Example:
        >>> range_of_type(np.dtype(">u2")), range_of_type(np.dtype("f4"))
        ((0, 65535), None)
    """
    return _RANGE_OF_TYPE.get(dtype.name)


def check_range(value_range: object) -> ValueRange:
    """Read two numbers, the first below the second.

    Raises:
        ValueError: If they are not, or not finite.
    """
    ends = tuple(value_range) if isinstance(value_range, tuple | list) else (value_range,)
    numbers = len(ends) == 2 and all(isinstance(end, Real) for end in ends)
    if not numbers or not ends[0] < ends[1] or not math.isfinite(float(ends[1]) - float(ends[0])):
        shown = ",".join(map(str, ends))
        raise ValueError(f"`value_range` must be two numbers, the first below the second, got {shown:.40}.")
    return float(ends[0]), float(ends[1])


def declared_ranges(
    declared: Declared | None, types: Mapping[str, np.dtype | None]
) -> dict[str, ValueRange | None]:
    """The range to read each of several sets with, as far as it was declared; see the module.

    Arguments:
        declared: What was declared; None if nothing was.
        types: The type of each set's array by the set's name; None for a set that is no array.

    Raises:
        ValueError: If a range is none, or is declared for what is no array or no set.

    Example:
        >>> declared_ranges((0, 1), {"train": np.dtype("u1"), "samples": np.dtype("f4")})
        {'train': None, 'samples': (0.0, 1.0)}
    """
    if declared is None:
        return dict.fromkeys(types)
    if isinstance(declared, Mapping):
        return {**dict.fromkeys(types), **{name: _named(name, declared[name], types) for name in declared}}
    ends = check_range(declared)
    arrays = {name: dtype for name, dtype in types.items() if dtype is not None}
    if not arrays:
        raise ValueError("`value_range` is for arrays only, and there is none; leave it out.")
    needy = [name for name, dtype in arrays.items() if range_of_type(dtype) is None] or list(arrays)
    return {name: ends if name in needy else None for name in types}


def _named(name: str, value_range: Any, types: Mapping[str, np.dtype | None]) -> ValueRange:
    if name not in types:
        raise ValueError(f"`value_range` may be declared for {', '.join(types)}, got `{name:.40}`.")
    if types[name] is None:
        raise ValueError(f"`value_range` is for arrays only, and {name} is none; leave it out.")
    return check_range(value_range)

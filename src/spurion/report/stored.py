"""Stored results, which may come from anyone: read whole and in bounds, or refused in one sentence.

Every check comes before anything is drawn, and before much memory is taken: a few bytes can claim to be an
array of terabytes.
"""

__all__ = ["read_arrays", "read_loss", "read_rows", "read_stored"]

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from spurion.core.config import Config, StoredResult, build_config
from spurion.core.files import read_bounded, read_json
from spurion.core.plain import parse_json
from spurion.core.quantities import Count, Number
from spurion.core.tensors import load_arrays

StoredT = TypeVar("StoredT", bound=StoredResult)

LARGEST_LOG = 2**24
"""Bytes of the largest log of a training."""

LARGEST_ARRAY = 2**29
"""Bytes of the largest array."""


class _Logged(Config):
    """A line of a training's log."""

    step: Count
    loss: Number | None
    learning_rate: Number | None = None


def read_stored(kind: type[StoredT], path: Path, of: str) -> StoredT:
    """Read a stored result.

    Arguments:
        kind: Its type.
        path: The file.
        of: What its folder is, for the sentence that says there is no such file.

    Raises:
        ValueError: If it is missing, damaged, or of another version of Spurion.
    """
    if not path.is_file():
        raise ValueError(f"There is no file {path}; `folder` must be the folder of {of}.")
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(values).__name__}.")
    known, found = str(kind.model_fields["schema_"].default), str(values.get("schema"))
    name, _, version = known.partition("/")
    other = re.fullmatch(rf"{re.escape(name)}/([0-9]{{1,9}})", found)
    if other and int(other[1]) != int(version):
        age = "a newer" if int(other[1]) > int(version) else "an older"
        again = "" if age == "a newer" else "; the command that made it makes it again"
        raise ValueError(
            f"{path} was made by {age} version of Spurion ({found}; this one knows {known}){again}."
        )
    return build_config(kind, values, str(path))


def read_rows(
    path: Path, columns: Sequence[str], count: int, *, more: Sequence[str] = ()
) -> Iterator[dict[str, str]]:
    """The rows of a CSV file, one by one, each by the titles that the file has.

    Arguments:
        path: The file.
        columns: The titles that it must have, first and in this order.
        count: How many rows it must have.
        more: Titles that it may have after them, each once.

    Raises:
        ValueError: If it is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            titles = next(rows, None) or []
            further = titles[len(columns) :]
            if titles[: len(columns)] != [*columns] or not set(further) <= set(more):
                raise ValueError(f"the columns must be {','.join(columns)}")
            if len(set(further)) < len(further):
                raise ValueError("each column must be there once")
            found = 0
            for found, row in enumerate(rows, 1):
                if len(row) != len(titles):
                    raise ValueError(f"row {found} must have {len(titles)} values, got {len(row)}")
                if found <= count:
                    yield dict(zip(titles, row, strict=True))
            if found != count:
                raise ValueError(f"there must be {count} samples, the file has {found}")
    except FileNotFoundError:
        raise ValueError(f"There is no file {path}.") from None
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} is damaged ({error}).") from None


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Arrays of numbers from an `.npz` file.

    Arguments:
        path: The file.
        names: Which arrays.

    Raises:
        ValueError: If the file is missing or damaged, or an array is larger than 512 MiB.
        OSError: If it cannot be opened.
    """
    try:
        return load_arrays(path, *names, largest=LARGEST_ARRAY)
    except FileNotFoundError:
        raise ValueError(f"There is no file {path}.") from None


def read_loss(path: Path) -> list[tuple[int, float]]:
    """Steps and losses from the log of a training; a line without a loss is left out.

    Raises:
        ValueError: If it is missing or damaged.
    """
    try:
        lines = read_bounded(path, LARGEST_LOG).splitlines()
    except FileNotFoundError:
        raise ValueError(f"There is no file {path}.") from None
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = build_config(_Logged, parse_json(line))
        except ValueError as error:
            raise ValueError(f"{path} is damaged (line {number}: {str(error).rstrip('.')}).") from None
        if row.loss is not None:
            rows.append((row.step, row.loss))
    return rows

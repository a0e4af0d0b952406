"""Files that are either whole or absent.

A file is written beside its place and then renamed over it, so that a process killed at any moment
leaves the old file or the new one, never half of one.
"""

__all__ = [
    "atomic_write",
    "file_mode",
    "read_bounded",
    "read_json",
    "remove_leftovers",
    "write_json",
    "write_text",
]

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from spurion.core.plain import parse_json

LARGEST_FILE = 2**27
"""Bytes of the largest text file that is read."""


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the same folder that replaces `path` on success and vanishes on failure.

    Arguments:
        path: The file to write. Its folder is made if needed.

    Raises:
        OSError: If the folder cannot be written or the disk is full; `path` is then untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix or ".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(file_mode())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(path: Path | str) -> None:
    """Delete what writers of `path` left beside it when they were killed. Nobody may be writing it now."""
    path = Path(path)
    for leftover in path.parent.glob(f".{escape(path.name)}.????????{escape(path.suffix or '.tmp')}"):
        leftover.unlink()


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 text file atomically; half of a surrogate pair, which is no character, becomes "?"."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace", newline="\n")


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON atomically: sorted as given, two spaces, no NaN (a non-finite number is an error)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_bounded(path: Path | str, most: int = LARGEST_FILE) -> str:
    """Read a UTF-8 text file, with or without a byte-order mark.

    Arguments:
        path: The file.
        most: How many bytes it may have; no more are ever read.

    Raises:
        ValueError: If it is no regular file, larger, or not UTF-8; the sentence names it.
        FileNotFoundError: If there is no such file.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is not a file.")
    with path.open("rb") as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise ValueError(f"{path} is damaged (it is larger than {most:,} bytes).")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is damaged (not UTF-8 at byte {error.start:,}).") from None


def read_json(path: Path | str) -> Any:
    """Read a JSON file, which may come from anyone.

    What is returned can be written, compared and shown without surprise: see `parse_json`.

    Raises:
        ValueError: If the file is not plain JSON; the sentence names it.
        FileNotFoundError: If there is no such file.
    """
    text = read_bounded(path)
    try:
        return parse_json(text)
    except ValueError as error:
        raise ValueError(f"{path} is damaged (not valid JSON: {error}).") from None


def file_mode() -> int:
    """Permissions of a new file under the umask, which libraries that use temporary files forget."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask

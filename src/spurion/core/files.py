"""Files that are either whole or absent.

A file is written beside its place and then renamed over it, so that a process killed at any moment
leaves the old file or the new one, never half of one. What the place has against it (a full disk, a quota, a
limit on the size of files, no permission) is an `OSError`, whichever library wrote.
"""

__all__ = [
    "atomic_write",
    "file_mode",
    "read_bounded",
    "read_json",
    "refusal",
    "remove_killed",
    "remove_leftovers",
    "visible",
    "write_json",
    "write_only_under",
    "write_text",
]

import errno
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from spurion.core.plain import parse_json

LARGEST_FILE = 2**27
"""Bytes of the largest text file that is read."""

REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""What the system answers to nothing but writing: no room, a limit, a place that is never written."""

_parent: int | None = None


def write_only_under(parent: int) -> None:
    """End this process instead of finishing a file once its parent is gone, which has this number."""
    global _parent
    _parent = parent


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
    with _in_the_name_of(path):
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix or ".tmp"
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(file_mode())
            if _parent not in (None, os.getppid()):
                os._exit(1)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _in_the_name_of(path: Path) -> Iterator[None]:
    """Let errors of the system name a file and not the one that is written beside it."""
    try:
        yield
    except OSError as error:
        if error.filename is None or Path(str(error.filename)).name.startswith(f".{path.name}."):
            error.filename = str(path)
        raise
    except Exception as error:
        if (number := refusal(error)) is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def refusal(error: BaseException) -> int | None:
    """Why the system refused to write, as one of `REFUSALS`; None if it is something else.

    Libraries wrap the system's error in one of their own, which quotes it or was raised while it was handled.
    """
    known: BaseException | None = error
    while known is not None:
        quoted = re.search(r"\(os error (\d+)\)", str(known))
        number = known.errno if isinstance(known, OSError) else int(quoted[1]) if quoted else None
        if number in REFUSALS:
            return number
        known = known.__cause__ or known.__context__
    return None


def visible(paths: Iterable[Path]) -> Iterator[Path]:
    """The files among some paths, without hidden ones, such as what a killed writer left."""
    return (path for path in paths if not path.name.startswith(".") and path.is_file())


def remove_leftovers(path: Path | str) -> None:
    """Delete what writers of `path` left beside it when they were killed. Nobody may be writing it now."""
    path = Path(path)
    for leftover in path.parent.glob(f".{escape(path.name)}.????????{escape(path.suffix or '.tmp')}"):
        leftover.unlink()


def remove_killed(folder: Path | str) -> None:
    """Delete what killed writers of any file left in a folder. Nobody may be writing there now."""
    for leftover in Path(folder).glob(".*.????????.*"):
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


def read_json(path: Path | str, *, constants: bool = False) -> Any:
    """Read a JSON file, which may come from anyone.

    What is returned can be written, compared and shown without surprise: see `parse_json`.

    Arguments:
        path: The file.
        constants: Whether NaN and the infinities may be there.

    Raises:
        ValueError: If the file is not plain JSON; the sentence names it.
        FileNotFoundError: If there is no such file.
    """
    text = read_bounded(path)
    try:
        return parse_json(text, constants=constants)
    except ValueError as error:
        raise ValueError(f"{path} is damaged (not valid JSON: {error}).") from None


def file_mode() -> int:
    """Permissions of a new file under the umask, which libraries that use temporary files forget."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask

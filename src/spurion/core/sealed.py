"""Files that tell when they are not what was written: a flipped byte is noticed before it becomes a number.

Two forms, both written whole or not at all:

- A file of tensors (safetensors) carries a checksum of its tensors and of its header in the header itself. It
  may be written again and again: training states, search checkpoints, shards of samples, weights.
- A `Seal` is a small file that holds the checksums of other files, of any kind and as their readers want
  them: what one stage of work left. It is taken away before they are made and written after them, so that a
  killed stage has no seal, and a seal that does not fit its files means damage and nothing else.

What is private to a run is made again where it is damaged, and `tell` says so in one line of the logger
``spurion``; what a user asked for is a `Damaged` error. Files without a checksum, of a former version or of
other programs, are read as they are.
"""

__all__ = ["Damaged", "Seal", "check_tensors", "load_arrays", "load_tensors", "save_tensors", "tell"]

import hashlib
import json
import logging
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spurion.core.files import atomic_write, write_json

CHECKSUM = "sha256"
"""The field of a checksum; SHA-256 is the fastest of Python's own hashes on processors that know it."""

_UNREADABLE = (
    AttributeError,  # a lone array instead of an archive
    EOFError,
    KeyError,
    MemoryError,  # the shape says more than there is
    NotImplementedError,  # an unknown kind of compression
    OSError,
    RuntimeError,  # the archive claims to be encrypted
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged archive of arrays ends in."""

Tensors = Mapping[str, Shaped[Tensor, "..."]]


class Damaged(ValueError):
    """A stored file is not what was written."""


def tell(damage: Damaged, remedy: str) -> None:
    """Say in one line of the logger that a file is damaged and what is done about it."""
    logging.getLogger("spurion").warning("%s; %s.", str(damage).removesuffix("."), remedy)


def save_tensors(path: Path | str, tensors: Tensors, facts: Mapping[str, str]) -> None:
    """Write tensors and facts about them to a safetensors file, atomically and under a checksum.

    Equal tensors and facts are equal bytes.

    Arguments:
        path: The file.
        tensors: The tensors, on any device.
        facts: The metadata of the file.

    Raises:
        OSError: If the file cannot be written; an older one is then untouched.
    """
    content = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    metadata = {**facts, CHECKSUM: _digest(sorted(content.items()), facts)}
    with atomic_write(path) as temporary:
        save_file(content, temporary, metadata)
        _sort_metadata(temporary)


def load_tensors(path: Path | str) -> tuple[dict[str, Shaped[Tensor, "..."]], dict[str, str]]:
    """Read the tensors and the facts of a file; a checksum is verified if there is one.

    Raises:
        Damaged: If the file is no whole safetensors file or its checksum differs.
        FileNotFoundError: If there is no such file.
    """
    with _opened(path) as (file, facts):
        tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
        known = facts.pop(CHECKSUM, None)
        if known is not None and known != _digest(tensors.items(), facts):
            raise Damaged("its checksum differs")
    return tensors, facts


def check_tensors(path: Path | str) -> None:
    """Verify the checksum of a file of tensors, if it has one, in the memory of its largest tensor.

    Raises:
        Damaged: If the file is no whole safetensors file or its checksum differs.
        FileNotFoundError: If there is no such file.
    """
    with _opened(path) as (file, facts):
        known = facts.pop(CHECKSUM, None)
        tensors = ((name, file.get_tensor(name)) for name in sorted(file.keys()))
        if known is not None and known != _digest(tensors, facts):
            raise Damaged("its checksum differs")


@contextmanager
def _opened(path: Path | str) -> Iterator[tuple[Any, dict[str, str]]]:
    """A safetensors file and its metadata; whatever goes wrong with it is damage."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file, dict(file.metadata() or {})
    except (SafetensorError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise Damaged(f"{path} is damaged ({error}).") from None


def load_arrays(path: Path | str, *names: str) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Read arrays of an ``.npz`` archive, which has checksums of its own.

    Arguments:
        path: The file.
        names: The arrays to read; all if none is named.

    Raises:
        Damaged: If the file is no whole archive of arrays or lacks one.
        FileNotFoundError: If there is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names or file.files}
    except FileNotFoundError:
        raise
    except _UNREADABLE as error:
        reason = " ".join(str(error).split()).strip("'\"") or type(error).__name__
        raise Damaged(f"{path} is damaged ({reason}).") from None


def _digest(tensors: Iterable[tuple[str, Shaped[Tensor, "..."]]], facts: Mapping[str, str]) -> str:
    """SHA-256 of everything that a reader gets: facts; names in order, types, shapes and numbers."""
    digest = hashlib.sha256(json.dumps(sorted(facts.items())).encode())
    for name, value in tensors:
        digest.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _sort_metadata(path: Path) -> None:
    """Put the metadata of a safetensors file in order: it is written in another one each time."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        file.seek(8)
        file.write(text.ljust(size))


class Seal:
    """The checksums of the files that a stage of work left; see the module.

    Arguments:
        folder: The folder of the files.
        stage: The name of the work.
    """

    def __init__(self, folder: Path, stage: str) -> None:
        self._root = folder
        self._file = folder / ".seals" / f"{stage}.json"

    @property
    def key(self) -> str | None:
        """What the work was done for, see `put`; None if there is no seal, or one that is damaged itself."""
        content = self._read()
        return None if content is None else str(content["key"])

    def put(self, *paths: Path, key: str = "") -> None:
        """Seal files.

        Arguments:
            paths: Files, and folders for all files in them.
            key: What the work was done for, if other work could have left the same files.

        Raises:
            OSError: If a file cannot be read or the seal cannot be written.
        """
        files = {path.relative_to(self._root).as_posix(): _file_digest(path) for path in _files(paths)}
        content = {"key": key, "files": files}
        write_json(self._file, {**content, CHECKSUM: _json_digest(content)})

    def remove(self) -> None:
        """Take the seal away, before its files are made again."""
        self._file.unlink(missing_ok=True)

    def fingerprint(self, ending: str = "") -> str:
        """One checksum of all sealed files whose names end so, the key of what stands on them."""
        if (content := self._read()) is None:
            return ""
        files = content["files"].items()
        return _json_digest({name: digest for name, digest in files if name.endswith(ending)})

    def fits(self, key: str) -> bool:
        """Whether there is a seal and its key is this one, where both are known."""
        known = self.key
        return known is not None and ("" in (known, key) or known == key)

    def damage(self, *only: Path) -> dict[Path, Damaged]:
        """What is wrong with the sealed files; nothing if all is well or there is no seal.

        Arguments:
            only: Look at these files alone.
        """
        wrong = {}
        for name, digest in (self._read() or {"files": {}})["files"].items():
            path = self._root / name
            if only and path not in only:
                continue
            if not path.is_file():
                wrong[path] = Damaged(f"{path} is gone.")
            elif _file_digest(path) != digest:
                wrong[path] = Damaged(f"{path} is damaged (its checksum differs).")
        return wrong

    def is_whole(self, remedy: str) -> bool:
        """Whether there is a seal and its files are as they were; the first damage is told."""
        damage = list(self.damage().values())
        for error in damage[:1]:
            tell(error, remedy)
        return self.key is not None and not damage

    def check(self, remedy: str, *only: Path) -> None:
        """Refuse sealed files that are not as they were.

        Arguments:
            remedy: What to do about it, the end of the sentence.
            only: Look at these files alone.

        Raises:
            Damaged: If one is not.
        """
        for error in self.damage(*only).values():
            raise Damaged(f"{str(error).removesuffix('.')}; {remedy}.")

    def _read(self) -> dict[str, Any] | None:
        try:
            content = json.loads(self._file.read_bytes())
            if content.pop(CHECKSUM) == _json_digest(content):
                return dict(content)
        except FileNotFoundError:
            return None
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            pass
        tell(Damaged(f"{self._file} is damaged."), "the files that it stood for are taken as they are")
        self.remove()
        return None


def _files(paths: Iterable[Path]) -> list[Path]:
    """Files, and those in folders."""
    found = []
    for path in paths:
        found += sorted(inner for inner in path.rglob("*") if inner.is_file()) if path.is_dir() else [path]
    return found


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json_digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

"""Files of tensors and arrays, in which a flipped byte is noticed before it becomes a number.

A file of tensors (safetensors) carries a checksum of its tensors and of its header in the header itself; an
archive of arrays (``.npz``) has checksums of its own. Both are written whole or not at all. What is not as it
was written is `Damaged`; where it can be made again, `tell` says so in one line of the logger ``spurion``.
Files of tensors without a checksum, of a former version or of other programs, are read as they are.
"""

__all__ = [
    "Damaged",
    "check_tensors",
    "holding",
    "load_arrays",
    "load_tensors",
    "save_arrays",
    "save_tensors",
    "tell",
]

import hashlib
import json
import logging
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spurion.core.files import atomic_write

CHECKSUM = "sha256"
"""The field of a checksum; SHA-256 is the fastest of Python's own hashes on processors that know it."""

Tensors = Mapping[str, Shaped[Tensor, "..."]]
Array = Shaped[np.ndarray, "..."]
Arrays = Mapping[str, Array]


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


@contextmanager
def holding(path: Path | str, what: str) -> Iterator[None]:
    """Make something of what a file holds; where that fails, the file is damaged.

    Arguments:
        path: The file.
        what: What it should hold.

    Raises:
        Damaged: If a value is missing or of another kind.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{path} is damaged (it holds no {what}: {error}).") from None


def save_arrays(path: Path | str, arrays: Arrays, *, compressed: bool = True) -> None:
    """Write an ``.npz`` archive, atomically.

    Raises:
        OSError: If the file cannot be written; an older one is then untouched.
    """
    write: Callable[..., None] = np.savez_compressed if compressed else np.savez
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        write(file, **arrays)


def load_arrays(path: Path | str, *names: str, largest: int | None = None) -> dict[str, Array]:
    """Read arrays of an ``.npz`` archive.

    Arguments:
        path: The file.
        names: The arrays to read; all if none is named.
        largest: For a file that may come from anyone: the most bytes of an array, which must hold numbers.

    Raises:
        Damaged: If the file is no whole archive of arrays, lacks one, or has one that may not be.
        FileNotFoundError: If there is no such file.
        OSError: If it cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            archive = zipfile.ZipFile(file)
            known = [name.removesuffix(".npy") for name in archive.namelist()]
            return {name: _array(archive, name, largest) for name in names or known}
        except Exception as error:  # zlib, struct, the parser of headers: each has errors of its own
            reason = " ".join(str(error).split()) or type(error).__name__
            raise Damaged(f"{path} is damaged ({reason:.200}).") from None


def _array(archive: zipfile.ZipFile, name: str, largest: int | None) -> Array:
    if f"{name}.npy" not in archive.namelist():
        raise ValueError(f"there is no array `{name}`")
    member = archive.getinfo(f"{name}.npy")
    if largest is not None and member.file_size > largest:
        raise ValueError(f"`{name}` is larger than {largest:,} bytes")
    with archive.open(member) as stream:
        values: Array = np.lib.format.read_array(stream, allow_pickle=False)
    if largest is not None and values.dtype.kind not in "uif":
        raise ValueError(f"`{name}` must hold numbers, got {values.dtype}")
    return values


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

"""Arrays of images: from Python, or from ``.npz`` and ``.npy`` files, never unpickled.

A file is read a few images at a time, so that it may be larger than memory.
"""

__all__ = ["read_array", "read_npz", "type_in_file"]

import io
import json
import math
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import torch
from jaxtyping import Shaped

from spurion.core.text import printable
from spurion.data.decode import brief
from spurion.data.imageset import ImageSet
from spurion.data.pixels import MOST_PIXELS, Pixels, beyond, scale, stack
from spurion.data.ranges import ValueRange, range_of_type
from spurion.data.storage import room

_File = io.BufferedIOBase | IO[bytes]

_BLOCK_BYTES = 2**20  # of a file, read at once
_LEVEL = 1 / 127.5  # a gray level, in halves of the range


class _Unchosen(ValueError):
    """A sound archive does not tell which of its arrays to read."""


class _Reading(NamedTuple):
    """How to read an array; see `read_array`."""

    value_range: ValueRange | None
    channels_last: bool
    resize: int | None
    clip: bool
    unclipped: bool = False  # whether the samples say that they reach beyond their range


class _Header(NamedTuple):
    """What an array file says of itself."""

    shape: tuple[int, ...]
    by_column: bool
    dtype: np.dtype


def read_array(
    values: Shaped[np.ndarray, "..."],
    *,
    name: str,
    value_range: ValueRange | None = None,
    channels_last: bool = False,
    resize: int | None = None,
    clip: bool = False,
) -> ImageSet:
    """Make a set of an array.

    Arguments:
        values: Real numbers with shape (n, C, H, W), (n, H, W, C) or (n, H, W), C = 1 or 3.
        name: The name of the set.
        value_range: What stands for black and for white; known for uint8, uint16 and bool.
        channels_last: Which layout to take where the shape allows both.
        resize: As in `open_images`.
        clip: As in `open_images`.

    Raises:
        ValueError: If the shape or type is none of these, the range is missing, or a value is outside it.
    """
    how = _Reading(value_range, channels_last, resize, clip)
    return _collected(values.shape, values.dtype, values, name, how)


def _collected(
    shape: tuple[int, ...], dtype: np.dtype, values: Iterable[np.ndarray], name: str, how: _Reading
) -> ImageSet:
    """The set of an array that comes image by image; see `read_array`."""
    if dtype.kind not in "buif":
        raise ValueError(f"{name} must be an array of real numbers, got the type {dtype}; convert it first.")
    if shape[:1] == (0,):
        raise ValueError(f"{name} holds no images: it has the shape {shape}.")
    ends = how.value_range or range_of_type(dtype)
    if ends is None:
        usual = "-1,1 or 0,1" if dtype.kind == "f" else "0,255"
        raise ValueError(
            f"{name} is an array of {dtype.name}; say what stands for black and white with `value_range`, "
            f"such as {usual}."
        )
    axes, sides = _axes(shape, name, how.channels_last), (*shape[1:], 1)[:3]
    clipped = misfits = 0

    def images() -> Iterator[tuple[str, Pixels]]:
        nonlocal clipped, misfits
        for i, value in enumerate(values):
            label = f"image {i} of {name}"
            yield label, scale(value.reshape(sides).transpose(axes), ends, label, clip=how.clip)
            clipped += how.clip and beyond(value, ends)
            misfits += how.clip and not how.unclipped and beyond(value, ends, _LEVEL)

    found = stack(images(), shape[0], name=name, resize=how.resize)
    return replace(found, clipped=clipped, misfits=misfits) if clipped else found


def _axes(shape: tuple[int, ...], name: str, prefer_last: bool) -> tuple[int, int, int]:
    """The axes of one image that are its height, width and channels."""
    sides = (*shape, 1) if len(shape) == 3 else shape
    last = len(sides) == 4 and sides[3] in (1, 3)
    first = len(sides) == 4 and sides[1] in (1, 3)
    if min(sides, default=0) < 1 or not (first or last):
        raise ValueError(
            f"{name} must have the shape (n, C, H, W), (n, H, W, C) or (n, H, W) with C = 1 or 3, got "
            f"{shape}."
        )
    axes = (0, 1, 2) if last and (prefer_last or not first) else (1, 2, 0)
    if math.prod(sides[1 + axis] for axis in axes[:2]) > MOST_PIXELS:
        raise ValueError(f"{name} has images of more than {MOST_PIXELS} pixels, which are not read.")
    return axes


def type_in_file(path: Path) -> np.dtype:
    """The type of the array in a ``.npz`` or ``.npy`` file.

    Raises:
        ValueError: If the file is damaged, or holds no array that can be chosen.
    """
    with ExitStack() as opened, _blamed_on(path):
        _, file, size = _open(path, opened)
        return _read_header(file, size).dtype


def read_npz(
    path: Path, *, value_range: ValueRange | None = None, resize: int | None = None, clip: bool = False
) -> ImageSet:
    """Read the images of a ``.npz`` or ``.npy`` file.

    The array is the one called ``samples`` (channels first; floats in [-1, 1] as the paper's authors
    write them), else ``arr_0`` (channels last, as ADM writes it), else the only one. Samples that were drawn
    without clipping, as the file says, are clipped.

    Arguments:
        path: The file.
        value_range: What stands for black and for white, if neither type nor name say it or say it wrongly.
        resize: As in `open_images`.
        clip: As in `open_images`.

    Raises:
        ValueError: If the file is damaged, holds Python objects or no array that can be chosen, or as in
            `read_array`.
    """
    with ExitStack() as opened:
        with _blamed_on(path):
            key, file, size = _open(path, opened)
            header = _read_header(file, size)
        unclipped = False
        if key == "samples" and header.dtype.kind == "f":
            unclipped = value_range in (None, (-1, 1)) and _unclipped(path)
            clip = clip or (value_range is None and unclipped)
            value_range = value_range or (-1, 1)
        images = _images(_blocks(file, header, path.stem), path)
        how = _Reading(value_range, key == "arr_0", resize, clip, unclipped)
        return _collected(header.shape, header.dtype, images, path.stem, how)


def _unclipped(path: Path) -> bool:
    """Whether a file says that its samples were drawn without clipping, as `sample_to_file` writes it."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("request.npy") as file:
            size = archive.getinfo("request.npy").file_size
            dtype = _read_header(file, min(size, _BLOCK_BYTES)).dtype
            request = json.loads(str(_exactly(file, dtype.itemsize).view(dtype)[0]))
            return request["sampler"]["clip"] is False
    except Exception:  # a file of others, which does not say
        return False


@contextmanager
def _blamed_on(path: Path) -> Iterator[None]:
    """Say of which file an error is; damaged ones raise anything."""
    try:
        yield
    except _Unchosen as error:
        raise ValueError(f"{path} {error}") from None
    except Exception as error:
        form = "an array" if path.suffix.lower() == ".npy" else "arrays"
        raise ValueError(f"{path} cannot be read as {form} ({brief(error)}).") from None


def _images(blocks: Iterator[np.ndarray], path: Path) -> Iterator[np.ndarray]:
    while True:
        with _blamed_on(path):
            block = next(blocks, None)
        if block is None:
            return
        yield from block


def _open(path: Path, opened: ExitStack) -> tuple[str, _File, int]:
    """The key, the file and the size of the array to read."""
    if path.suffix.lower() == ".npy":
        return "", opened.enter_context(path.open("rb")), path.stat().st_size
    archive = opened.enter_context(zipfile.ZipFile(path))
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    key = _choose(members)
    if members[key].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("it is compressed in another way than by deflate")
    return key, opened.enter_context(archive.open(members[key])), members[key].file_size


def _choose(names: dict[str, zipfile.ZipInfo]) -> str:
    for name in ("samples", "arr_0"):
        if name in names:
            return name
    if not names:
        raise _Unchosen("holds no arrays.")
    if len(names) > 1:
        raise _Unchosen(
            "holds several arrays, of which one must be chosen: save the images alone, or call them samples "
            f"or arr_0; found: {printable(', '.join(sorted(names))):.200}."
        )
    return next(iter(names))


def _read_header(file: _File, size: int) -> _Header:
    """Read the header of an array of at most `size` bytes, and believe nothing it claims."""
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"its format {version} is not one of plain arrays")
    header = _Header(*read_header(file))
    if header.dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded")
    claimed = header.dtype.itemsize * math.prod(header.shape)
    if min(header.shape, default=0) < 0 or claimed > size:
        raise ValueError(f"it claims {claimed} bytes")
    return header


def _blocks(file: _File, header: _Header, name: str) -> Iterator[np.ndarray]:
    """The images of an array, a few at a time."""
    shape, by_column, dtype = header
    if by_column and len(shape) > 1:
        whole = room((math.prod(shape), dtype.itemsize), torch.uint8, name).numpy()
        step = max(1, _BLOCK_BYTES // dtype.itemsize)
        for start in range(0, len(whole), step):
            part = whole[start : start + step]
            part[:] = _exactly(file, part.size).reshape(part.shape)
        yield whole.view(dtype).reshape(shape, order="F")
        return
    image = dtype.itemsize * math.prod(shape[1:])
    step = max(1, _BLOCK_BYTES // image)
    for start in range(0, shape[0], step):
        count = min(step, shape[0] - start)
        yield _exactly(file, count * image).view(dtype).reshape(count, *shape[1:])


def _exactly(file: _File, size: int) -> np.ndarray:
    data = file.read(size)
    if len(data) != size:
        raise ValueError(f"it ends {size - len(data)} bytes early")
    return np.frombuffer(data, np.uint8)

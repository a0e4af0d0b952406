"""Arrays of images: from Python, or from ``.npz`` and ``.npy`` files, never unpickled."""

__all__ = ["read_array", "read_npz"]

import io
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Shaped

from spurion.data.decode import brief
from spurion.data.imageset import ImageSet
from spurion.data.pixels import physical_memory, scale, stack

ValueRange = tuple[float, float]

_RANGE_OF_TYPE: dict[str, ValueRange] = {"uint8": (0, 255), "uint16": (0, 65535)}


def read_array(
    values: Shaped[np.ndarray, "..."],
    *,
    name: str,
    value_range: ValueRange | None = None,
    channels_last: bool = False,
    resize: int | None = None,
) -> ImageSet:
    """Make a set of an array.

    Arguments:
        values: Real numbers with shape (n, C, H, W), (n, H, W, C) or (n, H, W), C = 1 or 3.
        name: The name of the set.
        value_range: What stands for black and for white; known for uint8 (0, 255) and uint16 (0, 65535).
        channels_last: Which layout to take where the shape allows both.
        resize: As in `open_images`.

    Raises:
        ValueError: If the shape or type is none of these, the range is missing, or a value is outside it.
    """
    if values.dtype.kind not in "uif":
        raise ValueError(f"{name} must be an array of real numbers, got the type {values.dtype}.")
    value_range = value_range or _RANGE_OF_TYPE.get(values.dtype.name)
    if value_range is None:
        raise ValueError(
            f"{name} is an array of {values.dtype}; say what stands for black and white with `value_range`, "
            "such as (-1, 1) or (0, 1)."
        )
    images = _channels_last(values, name, channels_last)
    labels = (f"image {i} of {name}" for i in range(len(images)))
    pixels = ((label, scale(image, value_range, label)) for label, image in zip(labels, images, strict=True))
    return stack(pixels, len(images), name=name, resize=resize)


def _channels_last(values: np.ndarray, name: str, prefer_last: bool) -> np.ndarray:
    if values.ndim == 3:
        values = values[..., None]
    last = values.ndim == 4 and values.shape[3] in (1, 3)
    first = values.ndim == 4 and values.shape[1] in (1, 3)
    if values.size == 0 or not (first or last):
        raise ValueError(
            f"{name} must have the shape (n, C, H, W), (n, H, W, C) or (n, H, W) with C = 1 or 3, "
            f"got {values.shape}."
        )
    return values if last and (prefer_last or not first) else values.transpose(0, 2, 3, 1)


def read_npz(path: Path, *, value_range: ValueRange | None = None, resize: int | None = None) -> ImageSet:
    """Read the images of a ``.npz`` or ``.npy`` file.

    The array is the one called ``samples`` (channels first; floats in [-1, 1] as the paper's authors
    write them), else ``arr_0`` (channels last, as ADM writes it), else the only one.

    Arguments:
        path: The file.
        value_range: What stands for black and for white, where the type does not say.
        resize: As in `open_images`.

    Raises:
        ValueError: If the file is damaged, holds Python objects or no array that can be chosen, or as in
            `read_array`.
    """
    if path.suffix.lower() == ".npy":
        key, values = "", _read_npy(path)
    else:
        key, values = _read_member(path)
    if key == "samples" and values.dtype.kind == "f":
        value_range = value_range or (-1, 1)
    return read_array(
        values, name=path.stem, value_range=value_range, channels_last=key == "arr_0", resize=resize
    )


def _read_npy(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            return _load(file, path.stat().st_size)
    except Exception as error:  # damaged headers raise anything
        raise ValueError(f"{path} cannot be read as an array ({brief(error)}).") from None


def _read_member(path: Path) -> tuple[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            key = _choose(members)
            with archive.open(members[key]) as file:
                return key, _load(file, members[key].file_size)
    except Exception as error:  # damaged archives raise anything
        raise ValueError(f"{path} cannot be read as arrays ({brief(error)}).") from None


def _choose(names: dict[str, zipfile.ZipInfo]) -> str:
    for name in ("samples", "arr_0"):
        if name in names:
            return name
    if len(names) != 1:
        found = ", ".join(sorted(names)) or "none"
        raise ValueError(f"one array, or one called samples or arr_0, is wanted; found: {found:.200}")
    return next(iter(names))


def _load(file: io.BufferedIOBase | IO[bytes], size: int) -> np.ndarray:
    """Read one array of at most `size` bytes, checking what its header claims before memory is taken."""
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"its format {version} is not one of plain arrays")
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded")
    claimed = dtype.itemsize * int(np.prod([int(n) for n in shape], dtype=object))
    if not 0 <= claimed <= min(size, physical_memory()):
        raise ValueError(f"it claims {claimed} bytes")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)

"""One door for every source of images: `open_images`."""

__all__ = ["Source", "open_images", "opener", "ranges_for", "split_held_out"]

import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from spurion.core.arguments import FLAG, WHOLE, Kind, check_arguments, optional
from spurion.data.arrays import read_array, read_npz, type_in_file
from spurion.data.builtin import DATASETS
from spurion.data.files import read_folder, read_zip
from spurion.data.hf import (
    NotCached,
    fetch,
    held_out_split,
    is_saved_dataset,
    read_dataset,
    read_saved_dataset,
)
from spurion.data.imageset import ImageSet
from spurion.data.numbers import array_type, as_array
from spurion.data.pixels import MOST_PIXELS, resized
from spurion.data.ranges import Declared, ValueRange, check_range, declared_ranges

Source = str | os.PathLike[str] | ImageSet | Tensor | np.ndarray
"""What `open_images` accepts."""

SOURCE_KINDS: dict[str, Kind] = {
    "source": (
        str | os.PathLike | ImageSet | Tensor | np.ndarray,
        "an image set, a tensor, an array or a path",
    ),
    "allow_download": FLAG,
    "resize": optional(WHOLE),
    "value_range": (tuple | list | None, "two numbers such as (0, 1)"),
}
"""What the arguments of `open_images` must be."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def open_images(
    source: Source,
    *,
    allow_download: bool = False,
    resize: int | None = None,
    value_range: ValueRange | None = None,
    clip: bool = False,
) -> ImageSet:
    """Read a set of images; the same images give the same bytes through any container.

    Arguments:
        source: One of

            - the name of a built-in set (its training part; ``NAME:holdout`` is the part held out);
            - a folder of images, nested or not, or a ``.zip`` of one (PNG, JPEG, WebP, AVIF if Pillow has it,
              JPEG 2000, GIF, BMP, DIB, TIFF, PBM, PGM, PPM, TGA, QOI, PCX, SGI; one frame each), in the
              natural order of their paths;
            - a ``.npz`` (``samples``, ``arr_0``, or a single array) or ``.npy``;
            - a Hugging Face data set: a folder written by ``save_to_disk``, or an id, ``OWNER/NAME``, either
              with ``:SPLIT`` after it;
            - a tensor or an array with shape (n, C, H, W), (n, H, W, C) or (n, H, W), of any real type or
              bool, on any device, sparse or quantized as well;
            - an `ImageSet`.

            A plain name is a built-in set before it is a path: write ``./digits`` for a folder of that name.
        allow_download: Whether a data set may be fetched from the Hugging Face hub.
        resize: Crop the central square and resize it to this height and width; see `center_crop`. Without it,
            images of different sizes are refused.
        value_range: What stands for black and for white in an array; needed for floats other than those
            called ``samples``, and for integers other than uint8 and uint16.
        clip: Whether values of an array outside its range are moved to the ends, instead of refused.

    Returns:
        The images with one channel if all of them are gray, with three if all are in color.

    Raises:
        ValueError: If there is no such source, it holds no images, one of them cannot be read, or they differ
            in size or kind; one sentence that names the file.
    """
    check_arguments(locals(), SOURCE_KINDS)
    _check_resize(resize)
    if value_range is not None:
        value_range = check_range(value_range)
    if isinstance(source, Tensor | np.ndarray):
        name = "tensor" if isinstance(source, Tensor) else "array"
        values = as_array(source, name)
        return read_array(values, name=name, value_range=value_range, resize=resize, clip=clip)
    if not isinstance(source, str | os.PathLike | ImageSet):
        raise ValueError(
            f"An image set, a tensor, an array or a path is wanted, got {type(source).__name__}."
        )
    if not isinstance(source, ImageSet) and _is_array_file(source):
        return read_npz(Path(source), value_range=value_range, resize=resize, clip=clip)
    if value_range is not None:
        raise ValueError("`value_range` is for arrays only; the range of other sources is known.")
    if isinstance(source, ImageSet):
        return source if resize is None else resized(source, resize)
    if isinstance(source, str) and source.partition(":")[0] in DATASETS:
        return _built_in(source, allow_download, resize)
    return _read_path(source, allow_download, resize)


def opener(
    sources: Mapping[str, Source | None],
    *,
    allow_download: bool = False,
    resize: int | None = None,
    value_range: Declared | None = None,
    clip: bool = False,
) -> Callable[[str], ImageSet]:
    """The function that opens each of several sources by its name, all in the same way.

    Arguments:
        sources: As in `open_images`, by name; None for one that is left out.
        allow_download: As in `open_images`.
        resize: As in `open_images`.
        value_range: What stands for black and for white, in one for all or by name; see `ranges_for`.
        clip: As in `open_images`.

    Raises:
        ValueError: As `ranges_for`.
    """
    ends = ranges_for(value_range, sources)

    def opened(name: str) -> ImageSet:
        return open_images(
            sources[name],  # type: ignore[arg-type]
            allow_download=allow_download,
            resize=resize,
            value_range=ends[name],
            clip=clip,
        )

    return opened


def ranges_for(
    value_range: Declared | None, sources: Mapping[str, Source | None]
) -> dict[str, ValueRange | None]:
    """The range to read each source with, as far as one was declared; see `spurion.data.ranges`.

    Arguments:
        value_range: What stands for black and for white: two numbers for all arrays of floats, or such
            numbers for each of several sources by its name; None if nothing was declared.
        sources: As in `open_images`, by name; None for one that is left out.

    Raises:
        ValueError: If the range is none, no source is an array, or a file of arrays is damaged.
    """
    if value_range is None:
        return dict.fromkeys(sources)
    return declared_ranges(value_range, {name: _type_of(source) for name, source in sources.items()})


def split_held_out(source: Source, allow_download: bool = False) -> str | None:
    """The source of the held-out split of a Hugging Face data set, if that was named without a split.

    Arguments:
        source: As in `open_images`.
        allow_download: As in `open_images`.

    Returns:
        Such as ``FOLDER:test``; None if there is no such split, or for any other source.

    Raises:
        ValueError: If the data set is damaged or cannot be fetched.
    """
    if not isinstance(source, str | os.PathLike):
        return None
    path, found = Path(source), None
    if os.path.isdir(path):
        found = held_out_split(path) if is_saved_dataset(path) else None
    elif not os.path.exists(path) and _HUB_ID.fullmatch(str(path)):
        found = held_out_split(str(path), allow_download=allow_download)
    return None if found is None else f"{path}:{found}"


def _type_of(source: Source | None) -> np.dtype | None:
    """The type of an array, whether in memory or in a file; None for any other source."""
    if isinstance(source, Tensor | np.ndarray):
        return array_type(source)
    if isinstance(source, str | os.PathLike) and _is_array_file(source):
        return type_in_file(Path(source))
    return None


def _check_resize(resize: int | None) -> None:
    if resize is not None and not 1 <= resize <= math.isqrt(MOST_PIXELS):
        raise ValueError(f"`resize` must be from 1 to {math.isqrt(MOST_PIXELS)}, got {resize}.")


def _is_array_file(source: str | os.PathLike[str]) -> bool:
    return Path(source).suffix.lower() in (".npz", ".npy") and os.path.isfile(source)


def _built_in(source: str, allow_download: bool, resize: int | None) -> ImageSet:
    name, _, part = source.partition(":")
    if part not in ("", "train", "holdout"):
        raise ValueError(f"A built-in set has the parts train and holdout, got `{source}`.")
    split = DATASETS[name].split(allow_download)
    images = split.holdout if part == "holdout" else split.train
    if images is None:
        raise ValueError(f"The built-in set {name} has no held-out part.")
    return images if resize is None else resized(images, resize)


def _read_path(source: str | os.PathLike[str], allow_download: bool, resize: int | None) -> ImageSet:
    path, split = Path(source), None
    if not os.path.exists(path) and ":" in path.name:
        folder, _, split = str(path).rpartition(":")
        path = Path(folder)
    if os.path.isdir(path) and is_saved_dataset(path):
        return read_saved_dataset(path, split, resize=resize)
    if split is None and os.path.isdir(path):
        return read_folder(path, resize=resize)
    if split is None and os.path.isfile(path) and path.suffix.lower() == ".zip":
        return read_zip(path, resize=resize)
    if os.path.exists(path) or not _HUB_ID.fullmatch(str(path)):
        raise ValueError(
            f"`{source}` is no source of images: give a folder of images, a .zip of images, a .npz, a "
            f"Hugging Face data set (folder or OWNER/NAME), or one of {', '.join(DATASETS)}."
        )
    return _from_hub(str(path), split, allow_download, resize)


def _from_hub(identifier: str, split: str | None, allow_download: bool, resize: int | None) -> ImageSet:
    try:
        dataset = fetch(identifier, split, allow_download=allow_download)
    except NotCached:
        raise ValueError(
            f"There is no file or folder `{identifier}`, and as an id of Hugging Face it is not in the "
            "cache; check the path, or if it is an id, allow fetching it with `--allow-download`."
        ) from None
    except ValueError as error:
        reason = str(error)
        raise ValueError(
            f"There is no file or folder `{identifier}`, and {reason[:1].lower()}{reason[1:]}"
        ) from None
    return read_dataset(dataset, identifier, resize=resize)

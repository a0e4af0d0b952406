"""One door for every source of images: `open_images`."""

__all__ = ["Source", "check_declared", "declared_for", "open_images", "opener"]

import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from spurion.core.arguments import FLAG, WHOLE, Kind, check_arguments, optional
from spurion.data.arrays import ValueRange, npz_needs_range, range_of_type, read_array, read_npz
from spurion.data.builtin import DATASETS
from spurion.data.files import read_folder, read_zip
from spurion.data.hf import NotCached, fetch, is_saved_dataset, read_dataset, read_saved_dataset
from spurion.data.imageset import ImageSet
from spurion.data.pixels import MOST_PIXELS, resized

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
) -> ImageSet:
    """Read a set of images; the same images give the same bytes through any container.

    Arguments:
        source: One of

            - the name of a built-in set (its training part; ``NAME:holdout`` is the part held out);
            - a folder of images, nested or not, or a ``.zip`` of one (PNG, JPEG, WebP, BMP, TIFF), in the
              natural order of their paths;
            - a ``.npz`` (``samples``, ``arr_0``, or a single array) or ``.npy``;
            - a Hugging Face data set: a folder written by ``save_to_disk``, or an id, ``OWNER/NAME``, either
              with ``:SPLIT`` after it;
            - a tensor or an array with shape (n, C, H, W), (n, H, W, C) or (n, H, W);
            - an `ImageSet`.

            A plain name is a built-in set before it is a path: write ``./digits`` for a folder of that name.
        allow_download: Whether a data set may be fetched from the Hugging Face hub.
        resize: Crop the central square and resize it to this height and width; see `center_crop`. Without it,
            images of different sizes are refused.
        value_range: What stands for black and for white in an array; needed for floats.

    Returns:
        The images with one channel if all of them are gray, with three if all are in color.

    Raises:
        ValueError: If there is no such source, it holds no images, one of them cannot be read, or they differ
            in size or kind; one sentence that names the file.
    """
    check_arguments(locals(), SOURCE_KINDS)
    _check_resize(resize)
    if isinstance(source, Tensor):
        return read_array(
            source.detach().cpu().numpy(), name="tensor", value_range=value_range, resize=resize
        )
    if isinstance(source, np.ndarray):
        return read_array(source, name="array", value_range=value_range, resize=resize)
    if isinstance(source, str | os.PathLike) and _is_array_file(source):
        return read_npz(Path(source), value_range=value_range, resize=resize)
    if value_range is not None:
        raise ValueError("`value_range` is for arrays only; the range of other sources is known.")
    if isinstance(source, ImageSet):
        return source if resize is None else resized(source, resize)
    if isinstance(source, str) and source.partition(":")[0] in DATASETS:
        return _built_in(source, allow_download, resize)
    return _read_path(source, allow_download, resize)


def opener(
    *sources: Source | None,
    allow_download: bool = False,
    resize: int | None = None,
    value_range: ValueRange | None = None,
) -> Callable[[Source], ImageSet]:
    """The function that opens each of several sources, all in the same way.

    Arguments:
        sources: As in `open_images`; None for one that is left out.
        allow_download: As in `open_images`.
        resize: As in `open_images`.
        value_range: What stands for black and for white in those arrays that do not say so.

    Raises:
        ValueError: As `check_declared`.
    """
    check_declared(value_range, *sources)

    def opened(source: Source) -> ImageSet:
        declared = declared_for(source, value_range)
        return open_images(source, allow_download=allow_download, resize=resize, value_range=declared)

    return opened


def declared_for(source: Source, value_range: ValueRange | None) -> ValueRange | None:
    """The range that was declared for several sources, if this is one that does not say its own.

    Arguments:
        source: As in `open_images`.
        value_range: What stands for black and for white in arrays of floats; None if nothing was declared.

    Returns:
        The range for an array of another type than uint8 and uint16, but not for floats called ``samples`` in
        a ``.npz``, which are in [-1, 1]; None for any other source.
    """
    return value_range if value_range is not None and _needs_range(source) else None


def _needs_range(source: Source) -> bool:
    if isinstance(source, Tensor | np.ndarray):
        return range_of_type(str(source.dtype).removeprefix("torch.")) is None
    return isinstance(source, str | os.PathLike) and _is_array_file(source) and npz_needs_range(Path(source))


def check_declared(value_range: Sequence[Any] | None, *sources: Source | None) -> None:
    """Refuse a range that is none, or that no source needs.

    Raises:
        ValueError: If so.
    """
    if value_range is None:
        return
    numbers = len(value_range) == 2 and all(isinstance(end, int | float) for end in value_range)
    if not numbers or not -math.inf < value_range[0] < value_range[1] < math.inf:
        ends = ",".join(map(str, value_range))
        raise ValueError(f"`value_range` must be two numbers, the first below the second, got {ends:.40}.")
    if not any(source is not None and _needs_range(source) for source in sources):
        raise ValueError(
            "`value_range` is for arrays of floats that do not say their range, and there is none; leave it "
            "out."
        )


def _check_resize(resize: int | None) -> None:
    if resize is not None and not 1 <= resize <= math.isqrt(MOST_PIXELS):
        raise ValueError(f"`resize` must be from 1 to {math.isqrt(MOST_PIXELS)}, got {resize}.")


def _is_array_file(source: str | os.PathLike[str]) -> bool:
    return Path(source).suffix.lower() in (".npz", ".npy") and os.path.isfile(source)


def _built_in(source: str, allow_download: bool, resize: int | None) -> ImageSet:
    name, _, part = source.partition(":")
    if part not in ("", "train", "holdout"):
        raise ValueError(f"A built-in set has the parts train and holdout, got `{source}`.")
    split = DATASETS[name](allow_download)
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
            f"cache; check the path, or if it is an id, allow fetching it with `--allow-download`."
        ) from None
    except ValueError as error:
        reason = str(error)
        raise ValueError(
            f"There is no file or folder `{identifier}`, and {reason[:1].lower()}{reason[1:]}"
        ) from None
    return read_dataset(dataset, identifier, resize=resize)

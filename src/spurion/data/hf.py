"""Hugging Face data sets: a folder written by ``save_to_disk``, or an id in the local cache.

Nothing is fetched unless asked: the library is put into offline mode whatever the environment says.
"""

__all__ = ["NotCached", "fetch", "held_out_split", "is_saved_dataset", "read_dataset", "read_saved_dataset"]

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spurion.core.files import read_json
from spurion.data.decode import brief, decode_image
from spurion.data.imageset import ImageSet
from spurion.data.pixels import Pixels, stack
from spurion.data.reading import Files, Reading

HELD_OUT = ("test", "validation")
"""What splits that are kept away from training are called, the first that there is."""


class NotCached(ValueError):
    """A data set that is not on this machine and may not be fetched."""


def is_saved_dataset(folder: Path) -> bool:
    """Whether a folder was written by ``save_to_disk``."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def read_saved_dataset(folder: Path, split: str | None = None, *, resize: int | None = None) -> ImageSet:
    """Read the images of a folder written by ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk``.

    Arguments:
        folder: The folder.
        split: Which split of a ``DatasetDict``; by default ``train``, or the only one.
        resize: As in `open_images`.

    Raises:
        ValueError: If the folder is damaged, or as in `read_dataset`.
    """
    datasets = _library(str(folder))
    try:
        with _quiet(datasets, offline=True):
            loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # a damaged folder raises anything
        raise ValueError(f"{folder} cannot be read as a saved data set ({brief(error)}).") from None
    return read_dataset(_one_split(loaded, split, str(folder)), folder.resolve().name, resize=resize)


def held_out_split(source: Path | str, *, allow_download: bool = False) -> str | None:
    """The split of a data set that was kept away from training: `test`, or else `validation`.

    Arguments:
        source: A folder written by ``save_to_disk``, or an id.
        allow_download: Whether the network may be used for an id.

    Returns:
        Its name; None if there is none, or no split called ``train`` beside it.

    Raises:
        ValueError: As `fetch`, or if the folder is damaged.
    """
    if isinstance(source, Path):
        file = source / "dataset_dict.json"
        listed = read_json(file) if file.is_file() else {}
        names = listed.get("splits", ()) if isinstance(listed, dict) else ()
    else:
        names = _cached(source, allow_download)
    known = [*names] if isinstance(names, Mapping | list) else []
    return next((name for name in HELD_OUT if "train" in known and name in known), None)


def fetch(identifier: str, split: str | None = None, *, allow_download: bool = False) -> Any:
    """Load a data set of the Hugging Face hub from the local cache, or download it if allowed.

    Arguments:
        identifier: Its id, such as ``ylecun/mnist``.
        split: Which split; by default ``train``, or the only one.
        allow_download: Whether the network may be used.

    Returns:
        A ``datasets.Dataset``.

    Raises:
        ValueError: If it is not in the cache (`NotCached`; the sentence says how to fetch it) or cannot be
            fetched.
    """
    return _one_split(_cached(identifier, allow_download), split, identifier)


def _cached(identifier: str, allow_download: bool) -> Any:
    """All splits of a data set of the hub."""
    datasets = _library(identifier)
    try:
        with _quiet(datasets, offline=not allow_download):
            return datasets.load_dataset(identifier)
    except Exception as error:  # network, disk, and hub errors of many kinds
        if allow_download:
            raise ValueError(f"The data set {identifier} cannot be fetched ({brief(error)}).") from None
        raise NotCached(
            f"The data set {identifier} is not in the Hugging Face cache; fetch it with `--allow-download`."
        ) from None


def read_dataset(dataset: Any, name: str, *, resize: int | None = None) -> ImageSet:
    """Decode the images of a ``datasets.Dataset`` one by one, upright as the library itself gives them.

    Arguments:
        dataset: The data set, with one column of images (or one called ``image`` or ``img``).
        name: The name of the set.
        resize: As in `open_images`.

    Raises:
        ValueError: If there is no such column, or an image is missing or damaged.
    """
    datasets = _library(name)
    column = _image_column(dataset, datasets.Image, name)
    try:
        dataset.data.table.column(column).validate(full=True)
    except Exception as error:  # a forged file; unchecked it could crash the process
        raise ValueError(f"{name} is damaged ({brief(error)}).") from None
    rows = dataset.select_columns([column]).cast_column(column, datasets.Image(decode=False))
    rotated: list[str] = []
    return stack(
        _decoded(rows, column, name, rotated),
        len(dataset),
        name=name,
        resize=resize,
        reading=lambda: Reading(upright=Files.of(rotated)),
    )


def _decoded(rows: Any, column: str, name: str, rotated: list[str]) -> Iterator[tuple[str, Pixels]]:
    """Labels and pixels of the rows; those that were rotated are added to the list."""
    for i, row in enumerate(rows):
        label = f"image {i} of {name}"
        data = (row[column] or {}).get("bytes")
        if data is None:
            raise ValueError(
                f"{label} is not stored in the data set itself; save it with its images embedded."
            )
        pixels, rotation = decode_image(data, label, upright=True)
        if rotation != "none":
            rotated.append(f"image {i}")
        yield label, pixels


def _image_column(dataset: Any, image_type: type, name: str) -> str:
    columns = [column for column, feature in dataset.features.items() if isinstance(feature, image_type)]
    preferred = [column for column in columns if column in ("image", "img")] or columns
    if len(preferred) != 1:
        raise ValueError(f"{name} must have one column of images, got {', '.join(columns) or 'none'}.")
    answer: str = preferred[0]
    return answer


def _one_split(loaded: Any, split: str | None, name: str) -> Any:
    if not isinstance(loaded, Mapping):
        if split is not None:
            raise ValueError(f"{name} has no splits, got the split {split}.")
        return loaded
    wanted = split or ("train" if len(loaded) != 1 else next(iter(loaded)))
    if wanted not in loaded:
        raise ValueError(f"{name} has no split {wanted}; it has {', '.join(loaded) or 'none'}.")
    return loaded[wanted]


def _library(name: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise ValueError(f"{name} needs the package datasets: pip install 'spurion[hf]'.") from None
    return datasets


@contextmanager
def _quiet(datasets: Any, *, offline: bool) -> Iterator[None]:
    """Keep the library off the network (if `offline`) and off the screen, and then as it was."""
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE, datasets.logging.get_verbosity()
    if offline:
        datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    datasets.logging.set_verbosity_error()
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before[:2]
        datasets.logging.set_verbosity(before[2])

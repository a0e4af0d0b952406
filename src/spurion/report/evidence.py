"""The evidence beside a stored audit: rows of samples, images for the eye, the loss of a training."""

__all__ = ["Gallery", "LossCurve", "Samples", "read_gallery", "read_loss_curve", "read_samples"]

import math
from array import array
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from spurion.audits.findings import MORE_COLUMNS, SAMPLE_COLUMNS
from spurion.core.quantities import LARGEST
from spurion.core.tensors import Damaged
from spurion.phases.classification import CLASSES
from spurion.report.stored import read_arrays, read_loss, read_rows

LABELS = {"": -1, **{name: index for index, name in enumerate(CLASSES)}}
"""What `samples.csv` calls the classes; nothing where no threshold gave one."""

LISTED = {"": -1, "false": 0, "true": 1}
"""What it says of the list of copies; nothing where there is none."""


@dataclass(frozen=True)
class Samples:
    """The rows of `samples.csv` that the report shows.

    Attributes:
        label: Class of each sample as an index into `CLASSES`; -1 where no threshold gave it one.
        distance_train: Distance to the nearest training image (the olive histogram).
        nearest_train: Index of that image in the training set.
        distance_sample: Distance to the nearest other sample (the gray histogram); NaN if there is none.
        nearest_sample: Index of that sample; -1 if there is none.
        p_value: Probability of a new image as near to the training set; NaN where it is not known.
        met_again: Probability of another sample within the threshold of repetition, among as many as the
            thresholds hold for; NaN where it is not known.
        listed: 1 for a sample on the list of copies, 0 for others; -1 without a list.
    """

    label: Int[np.ndarray, " n"]
    distance_train: Float[np.ndarray, " n"]
    nearest_train: Int[np.ndarray, " n"]
    distance_sample: Float[np.ndarray, " n"]
    nearest_sample: Int[np.ndarray, " n"]
    p_value: Float[np.ndarray, " n"]
    met_again: Float[np.ndarray, " n"]
    listed: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.label)


@dataclass(frozen=True)
class Gallery:
    """Samples kept for the eye, each with its nearest training image and its nearest other sample."""

    index: Int[np.ndarray, " g"]
    label: Int[np.ndarray, " g"]
    sample: UInt8[np.ndarray, "g c h w"]
    train: UInt8[np.ndarray, "g c h w"]
    other: UInt8[np.ndarray, "g c h w"]

    def __len__(self) -> int:
        """Number of samples kept."""
        return len(self.index)


@dataclass(frozen=True)
class LossCurve:
    """The training loss as logged."""

    step: Int[np.ndarray, " s"]
    loss: Float[np.ndarray, " s"]


def read_samples(path: Path, count: int, images: int) -> Samples:
    """Read `samples.csv`; columns that files of former versions do not have are not known.

    Arguments:
        path: The file.
        count: How many rows it must have.
        images: How many training images its indices may count.

    Raises:
        ValueError: If it is missing or damaged.
    """
    whole = ("label", "nearest_train", "nearest_sample", "listed")
    columns: dict[str, array[Any]] = {
        field.name: array("q" if field.name in whole else "d") for field in fields(Samples)
    }
    for number, row in enumerate(read_rows(path, SAMPLE_COLUMNS, count, more=MORE_COLUMNS)):
        try:
            values = _checked(row, number, count, images)
        except ValueError as error:
            raise ValueError(f"{path} is damaged (row {number + 1}: {error}).") from None
        for name, column in columns.items():
            column.append(values[name])
    kinds = {name: np.int64 if name in whole else np.float64 for name in columns}
    return Samples(**{name: np.array(column, dtype=kinds[name]) for name, column in columns.items()})


def _checked(row: dict[str, str], number: int, count: int, images: int) -> dict[str, float]:
    """The values of a row of `samples.csv`, in bounds."""
    if row["label"] not in LABELS:
        raise ValueError(f"`label` must be a class or empty, got {row['label']!r:.40}")
    if row["index"] != str(number):
        raise ValueError(f"`index` must be {number}, got {row['index']!r:.40}")
    if row.get("listed", "") not in LISTED:
        raise ValueError(f"`listed` must be true, false or empty, got {row['listed']!r:.40}")
    if row["distance_train_2"]:
        _distance(row["distance_train_2"], "distance_train_2")
    other, gray = row["nearest_sample"], row["distance_sample"]
    return {
        "label": LABELS[row["label"]],
        "distance_train": _distance(row["distance_train"], "distance_train"),
        "nearest_train": _index(row["nearest_train"], "nearest_train", images),
        "distance_sample": _distance(gray, "distance_sample") if gray else math.nan,
        "nearest_sample": _index(other, "nearest_sample", count) if other else -1,
        "p_value": _share(row, "p_value"),
        "met_again": _share(row, "met_again"),
        "listed": LISTED[row.get("listed", "")],
    }


def _share(row: dict[str, str], column: str) -> float:
    text = row.get(column, "")
    if not text:
        return math.nan
    value = float(text) if len(text) < 40 else math.inf
    if not 0 <= value <= 1:
        raise ValueError(f"`{column}` must lie between 0 and 1, got {text!r:.40}")
    return value


def _distance(text: str, column: str) -> float:
    value = float(text) if len(text) < 40 else math.inf
    if not 0 <= value <= LARGEST:
        raise ValueError(f"`{column}` must be a distance, neither negative or infinite, got {text!r:.40}")
    return value


def _index(text: str, column: str, size: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19 and int(text) < size):
        raise ValueError(f"`{column}` must be an index below {size}, got {text!r:.40}")
    return int(text)


def read_gallery(path: Path, samples: int) -> Gallery:
    """Read `gallery.npz`.

    Arguments:
        path: The file.
        samples: How many samples its indices may count.

    Raises:
        ValueError: If it is missing or damaged.
    """
    arrays = read_arrays(path, ("index", "label", "sample", "train", "other"))
    try:
        _check_gallery(arrays, samples)
    except ValueError as error:
        raise Damaged(f"{path} is damaged ({error}).") from None
    index, label = (arrays[name].astype(np.int64) for name in ("index", "label"))
    return Gallery(index, label, arrays["sample"], arrays["train"], arrays["other"])


def _check_gallery(arrays: dict[str, np.ndarray], samples: int) -> None:
    index, label, *images = arrays.values()
    shape = images[0].shape
    if len(shape) != 4 or shape[1] not in (1, 3) or 0 in shape[2:]:
        raise ValueError(f"images must have the shape (g, 1 or 3, H, W), got {shape!s:.80}")
    if any(image.shape != shape or image.dtype != np.uint8 for image in images):
        raise ValueError("sample, train and other must be uint8 images of one shape")
    if index.shape != shape[:1] or label.shape != shape[:1]:
        raise ValueError("index and label must have one entry for each image")
    if index.dtype.kind == "f" or label.dtype.kind == "f":
        raise ValueError("index and label must be whole numbers")
    if ((index < 0) | (index >= samples)).any():
        raise ValueError(f"an index is outside the {samples} samples")
    if ((label < -1) | (label >= len(CLASSES))).any():
        raise ValueError("a label is not a class")


def read_loss_curve(path: Path) -> LossCurve:
    """Read `training.jsonl`.

    Raises:
        ValueError: If it is missing or damaged.
    """
    rows = read_loss(path)
    return LossCurve(
        np.array([step for step, _ in rows], dtype=np.int64),
        np.array([loss for _, loss in rows], dtype=np.float64),
    )

"""A run folder, read back whole: what the report stands on.

Nothing here touches a model. A file that is missing or damaged is one sentence that names it, so that
nobody reads a report made from half of a run.
"""

__all__ = [
    "Gallery",
    "LossCurve",
    "PointFiles",
    "Run",
    "Samples",
    "read_gallery",
    "read_run",
    "read_samples",
    "read_stored",
]

import csv
import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Int, UInt8

from spurion.core.config import Config, build_config
from spurion.core.files import read_json
from spurion.phases.classification import CLASSES
from spurion.studies.results import SAMPLE_COLUMNS, TRANSFORM_COLUMN, PointResult, StudyResult

ConfigT = TypeVar("ConfigT", bound=Config)


@dataclass(frozen=True)
class Samples:
    """The rows of `samples.csv` that the report shows.

    Attributes:
        label: Class of each sample as an index into `CLASSES`; -1 where no threshold gave it one.
        distance_train: Distance to the nearest training image (the olive histogram).
        nearest_train: Index of that image in the training set.
        distance_sample: Distance to the nearest other sample (the gray histogram); NaN if there is none.
        nearest_sample: Index of that sample; -1 if there is none.
    """

    label: Int[np.ndarray, " n"]
    distance_train: Float[np.ndarray, " n"]
    nearest_train: Int[np.ndarray, " n"]
    distance_sample: Float[np.ndarray, " n"]
    nearest_sample: Int[np.ndarray, " n"]

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
    """The training loss as logged: finite values only."""

    step: Int[np.ndarray, " s"]
    loss: Float[np.ndarray, " s"]


@dataclass(frozen=True)
class PointFiles:
    """One training size: its stored result and the files beside it (None where the point has none)."""

    result: PointResult
    samples: Samples | None
    gallery: Gallery | None
    loss: LossCurve | None


@dataclass(frozen=True)
class Run:
    """A whole run folder."""

    study: StudyResult
    points: tuple[PointFiles, ...]

    @property
    def done(self) -> tuple[PointFiles, ...]:
        """Points that have a result, by training size."""
        return tuple(point for point in self.points if point.result.status == "done")

    @property
    def failed(self) -> tuple[PointResult, ...]:
        """Points that failed, by training size."""
        return tuple(point.result for point in self.points if point.result.status == "failed")


def read_run(folder: Path | str) -> Run:
    """Read a run folder.

    Arguments:
        folder: A folder with `study.json` and `points/`.

    Raises:
        ValueError: If a file is missing or damaged; the sentence names it.
    """
    folder = Path(folder)
    study = read_stored(StudyResult, folder / "study.json", "a run")
    points = sorted(study.points, key=lambda point: point.train_size)
    return Run(study, tuple(_read_point(folder / "points" / f"{p.train_size:06d}", p) for p in points))


def read_stored(kind: type[ConfigT], path: Path, of: str) -> ConfigT:
    """Read a stored result.

    Arguments:
        kind: Its type.
        path: The file.
        of: What its folder is, for the sentence that says there is no such file.

    Raises:
        ValueError: If it is missing or damaged.
    """
    if not path.is_file():
        raise ValueError(f"There is no file {path}; `folder` must be the folder of {of}.")
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(values).__name__}.")
    return build_config(kind, values, str(path))


def _read_point(folder: Path, result: PointResult) -> PointFiles:
    loss = folder / "training.jsonl"
    if result.status == "failed":
        return PointFiles(result, None, None, _read_loss(loss) if loss.is_file() else None)
    samples = read_samples(folder / "samples.csv", result.sample_size)
    return PointFiles(
        result,
        samples,
        read_gallery(folder / "gallery.npz", len(samples)),
        _read_loss(loss) if result.training is not None else None,
    )


def read_samples(path: Path, count: int) -> Samples:
    """Read `samples.csv`.

    Arguments:
        path: The file.
        count: How many rows it must have.

    Raises:
        ValueError: If it is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        if tuple(header) not in (SAMPLE_COLUMNS, (*SAMPLE_COLUMNS, TRANSFORM_COLUMN)):
            raise ValueError(f"the columns must be {','.join(SAMPLE_COLUMNS)}")
        if len(rows) != count:
            raise ValueError(f"there must be {count} samples, the file has {len(rows)}")
        columns = dict(zip(header, zip(*rows, strict=True), strict=True))
        return Samples(
            label=np.array([CLASSES.index(label) if label else -1 for label in columns["label"]]),
            distance_train=_numbers(columns["distance_train"]),
            nearest_train=np.array([int(text) for text in columns["nearest_train"]]),
            distance_sample=_numbers(columns["distance_sample"]),
            nearest_sample=np.array([int(text) if text else -1 for text in columns["nearest_sample"]]),
        )
    except FileNotFoundError:
        raise ValueError(f"There is no file {path}.") from None
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} is damaged ({error}).") from None


def _numbers(texts: tuple[str, ...]) -> Float[np.ndarray, " n"]:
    values = np.array([float(text) if text else math.nan for text in texts])
    if (values < 0).any() or np.isinf(values).any():
        raise ValueError("a distance is negative or infinite")
    return values


def read_gallery(path: Path, samples: int) -> Gallery:
    """Read `gallery.npz`.

    Arguments:
        path: The file.
        samples: How many samples its indices may count.

    Raises:
        ValueError: If it is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("index", "label", "sample", "train", "other")}
        _check_gallery(arrays, samples)
    except FileNotFoundError:
        raise ValueError(f"There is no file {path}.") from None
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged ({str(error).strip(chr(39))}).") from None
    index, label = (arrays[name].astype(np.int64) for name in ("index", "label"))
    return Gallery(index, label, arrays["sample"], arrays["train"], arrays["other"])


def _check_gallery(arrays: dict[str, np.ndarray], samples: int) -> None:
    index, label, *images = arrays.values()
    shape = images[0].shape
    if len(shape) != 4 or shape[1] not in (1, 3):
        raise ValueError(f"images must have the shape (g, 1 or 3, H, W), got {shape}")
    if any(image.shape != shape or image.dtype != np.uint8 for image in images):
        raise ValueError("sample, train and other must be uint8 images of one shape")
    if index.shape != shape[:1] or label.shape != shape[:1]:
        raise ValueError("index and label must have one entry for each image")
    if ((index < 0) | (index >= samples)).any():
        raise ValueError(f"an index is outside the {samples} samples")
    if ((label < -1) | (label >= len(CLASSES))).any():
        raise ValueError("a label is not a class")


def _read_loss(path: Path) -> LossCurve:
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        pairs = [(int(row["step"]), float(row["loss"])) for row in rows if row["loss"] is not None]
    except FileNotFoundError:
        raise ValueError(f"There is no file {path}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}).") from None
    finite = [pair for pair in pairs if math.isfinite(pair[1])]
    return LossCurve(
        np.array([step for step, _ in finite], dtype=np.int64),
        np.array([loss for _, loss in finite], dtype=np.float64),
    )

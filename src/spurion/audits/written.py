"""The evidence of a point: one row for each sample, and images for the report's gallery."""

__all__ = ["gallery_indices", "write_gallery", "write_samples_csv"]

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spurion.audits.findings import FLOW_COLUMN, SAMPLE_COLUMNS, TRANSFORM_COLUMN
from spurion.audits.measurement import Measurement
from spurion.core.files import atomic_write
from spurion.core.tensors import save_arrays
from spurion.geometry.destinations import DESTINATIONS
from spurion.phases.classification import CLASSES

_FLOWS = {
    index: "true" if name == "training image" else "false"
    for index, name in enumerate(DESTINATIONS)
    if name != "failed"
}


def write_samples_csv(
    path: Path,
    measurement: Measurement,
    labels: Int64[Tensor, " n"] | None,
    by: Sequence[str] | None = None,
    ends: Int64[Tensor, " n"] | None = None,
) -> None:
    """Write one row for each sample; a value that does not exist is empty. Floats round-trip exactly.

    Arguments:
        path: The file.
        measurement: The distances and neighbors of the samples.
        labels: Their classes, or None.
        by: The transform that brings each nearest to a training image; None, and no column, without any.
        ends: Where each ends, as an index into `DESTINATIONS`, -1 for those not followed; None, and no
            column, if none was.
    """
    count = len(measurement.distance_train)
    names = [""] * count if labels is None else [CLASSES[label] for label in labels.tolist()]
    columns = [getattr(measurement, name).tolist() for name in SAMPLE_COLUMNS[2:]]
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        more = {} if by is None else {TRANSFORM_COLUMN: by}
        if ends is not None:
            more[FLOW_COLUMN] = [_FLOWS.get(end, "") for end in ends.tolist()]
        writer.writerow((*SAMPLE_COLUMNS, *more))
        for index, (name, *values) in enumerate(zip(names, *columns, strict=True)):
            cells = [_cell(value) for value in values]
            writer.writerow([index, name, *cells, *(column[index] for column in more.values())])


def _cell(value: float | int) -> str:
    return repr(value) if math.isfinite(value) else ""


def gallery_indices(
    distances: Float[Tensor, " n"], labels: Int64[Tensor, " n"] | None, per_class: int
) -> Int64[Tensor, " g"]:
    """Samples to show: of each class, evenly spaced over the ranks of the distance to the training set.

    Nearest, farthest and everything between are shown alike, so that the borderline cases are there too.
    """
    everything = torch.arange(len(distances))
    groups = [everything] if labels is None else [everything[labels == c] for c in range(len(CLASSES))]
    chosen = [torch.empty(0, dtype=torch.int64)]
    for group in groups:
        ranked = group[distances[group].argsort(stable=True)]
        count = min(per_class, len(ranked))
        chosen.append(ranked[torch.linspace(0, max(len(ranked) - 1, 0), count).round().long()])
    return torch.cat(chosen)


def write_gallery(
    path: Path,
    measurement: Measurement,
    labels: Int64[Tensor, " n"] | None,
    samples: Float[Tensor, "n channels height width"],
    train: Float[Tensor, "k channels height width"],
    index: Int64[Tensor, " g"],
) -> None:
    """Write samples to show, with their nearest training image and nearest other sample, as 8-bit images.

    Arguments:
        path: The `.npz` to write: `index`, `label` (-1 without classes), `sample`, `train`, `other`.
        measurement: The distances and neighbors of the samples.
        labels: Their classes, or None.
        samples: The samples.
        train: The training images that `nearest_train` counts in.
        index: Which samples to show, in this order.
    """
    shown = torch.full_like(index, -1) if labels is None else labels[index]
    images = {
        "sample": samples[index],
        "train": train[measurement.nearest_train[index]],
        "other": samples[measurement.nearest_sample[index]],
    }
    arrays = {name: _to_8_bit(chosen) for name, chosen in images.items()}
    save_arrays(path, {"index": index.numpy(), "label": shown.numpy(), **arrays})


def _to_8_bit(images: Float[Tensor, "g channels height width"]) -> np.ndarray:
    return (images.clamp(-1, 1) + 1).mul(127.5).round().to(torch.uint8).numpy()

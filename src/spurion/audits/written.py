"""The evidence of a point: one row for each sample, and images for the report's gallery."""

__all__ = ["evidence_columns", "gallery_indices", "write_gallery", "write_samples_csv"]

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from spurion.audits.findings import MORE_COLUMNS, SAMPLE_COLUMNS
from spurion.audits.measurement import Measurement
from spurion.core.files import atomic_write
from spurion.core.tensors import save_arrays
from spurion.geometry.destinations import DESTINATIONS
from spurion.phases.classification import CLASSES
from spurion.phases.repetition import repeats
from spurion.phases.rules import ThresholdInfo


def write_samples_csv(
    path: Path,
    measurement: Measurement,
    labels: Int64[Tensor, " n"] | None,
    more: Mapping[str, Sequence[str | float | bool | None]] | None = None,
) -> None:
    """Write one row for each sample; a value that does not exist is empty. Floats round-trip exactly.

    Arguments:
        path: The file.
        measurement: The distances and neighbors of the samples.
        labels: Their classes, or None.
        more: Further columns by their name among `MORE_COLUMNS`, each with a value for every sample.

    Raises:
        ValueError: If a further column is not known.
    """
    further = dict(more or {})
    if unknown := [name for name in further if name not in MORE_COLUMNS]:
        raise ValueError(f"`more` must hold columns among {', '.join(MORE_COLUMNS)}, got {unknown[0]!r:.40}.")
    count = len(measurement.distance_train)
    names = [""] * count if labels is None else [CLASSES[label] for label in labels.tolist()]
    columns = [getattr(measurement, name).tolist() for name in SAMPLE_COLUMNS[2:]]
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*SAMPLE_COLUMNS, *further))
        for index, (name, *values) in enumerate(zip(names, *columns, *further.values(), strict=True)):
            writer.writerow([index, name, *map(_cell, values)])


def _cell(value: str | float | bool | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if math.isfinite(value) else ""


def evidence_columns(
    measurement: Measurement,
    thresholds: ThresholdInfo | None,
    p_values: Float64[Tensor, " n"] | None,
    listed: Sequence[int] | None,
) -> dict[str, list[float | bool | None]]:
    r"""The columns that say how much each sample speaks of copies and of repetitions.

    ``p_value``: the probability of a new image as near to the training set. ``met_again``: that of another
    sample within :math:`\delta_s` among :math:`m_0`, :math:`w_i` of `spurion.phases.repetition`; its mean,
    with 0 for memorized samples, is the spurious share. ``listed``: whether it is on the list of copies.

    Arguments:
        measurement: The distances.
        thresholds: The thresholds; None, or one that was not found, leaves ``met_again`` empty.
        p_values: What `p_values` found; None leaves ``p_value`` empty.
        listed: The indices of the listed samples; None leaves ``listed`` empty.

    Returns:
        Three columns of as many values as there are samples.
    """
    count = len(measurement.distance_train)
    empty: list[float | bool | None] = [None] * count
    spurious = None if thresholds is None else thresholds.spurious
    met = None
    if thresholds is not None and spurious is not None:
        met = repeats(measurement.to_samples.distances, spurious, thresholds.sample_size)
    chosen = None if listed is None else set(listed)
    return {
        "p_value": empty if p_values is None else p_values.tolist(),
        "met_again": empty if met is None else met.tolist(),
        "listed": empty if chosen is None else [index in chosen for index in range(count)],
    }


def flow_column(ends: Int64[Tensor, " n"] | None) -> dict[str, list[bool | None]]:
    """The column that says which samples flow into a training image; no column where none was followed.

    Arguments:
        ends: Where each ends, as an index into `DESTINATIONS`, -1 for those not followed.
    """
    if ends is None:
        return {}
    names = [DESTINATIONS[end] if end >= 0 else "failed" for end in ends.tolist()]
    return {"flows_into_training": [None if name == "failed" else name == "training image" for name in names]}


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

"""A finished cell, read for the result of its grid."""

__all__ = ["NEAR", "near_share", "read_cell"]

import math
from pathlib import Path

from jaxtyping import Float64
from torch import Tensor

from spurion.audits.measurement import load_measurement
from spurion.core.store import Store
from spurion.core.tensors import Damaged
from spurion.grid.cells import Cell
from spurion.grid.results import CellPoint, CellResult
from spurion.statistics.intervals import Interval, proportion
from spurion.studies.folder import RunFolder
from spurion.studies.results import Point, StudyResult

NEAR = 0.95
"""The share of held-out images that are as near to the training images as a sample is asked to be."""


def read_cell(cell: Cell, *, failed: bool = False) -> CellResult | None:
    """What a cell found; None unless it is finished, of this configuration and undamaged.

    Arguments:
        cell: The cell.
        failed: Whether one counts as finished of which a training size failed, which may be tried again.
    """
    folder = RunFolder(cell.folder)
    study = Store(folder.root, "study").recall(folder.study_file, StudyResult.model_validate)
    if study is None or study.config != cell.config.model_dump(mode="json"):
        return None
    if not failed and any(point.audit is None for point in study.points):
        return None
    try:
        points = tuple(_read_point(point, folder.point(point.train_size)) for point in study.points)
    except (Damaged, FileNotFoundError):
        return None
    return CellResult(
        folder=f"cells/{cell.folder.name}",
        values=cell.values,
        seed=cell.seed,
        steps=cell.config.training.steps,
        points=points,
        capacities=study.capacities,
    )


def _read_point(point: Point, folder: Path) -> CellPoint:
    near = None
    if point.audit is not None:
        measured = load_measurement(folder / "measurement.safetensors")
        near = near_share(measured.distance_train, measured.holdout_train)
    return CellPoint(
        train_size=point.train_size,
        sample_size=point.sample_size,
        message=point.message,
        fractions=point.audit and point.audit.fractions,
        near=near,
    )


def near_share(samples: Float64[Tensor, " n"], held_out: Float64[Tensor, " h"]) -> Interval | None:
    """The share of samples no farther from the training images than `NEAR` of the held-out images are.

    It is `NEAR` for samples that are as the held-out images, 0 for noise, and more for copies and for
    images that are too smooth. Where it stays below, samples are not images of this kind yet.

    Arguments:
        samples: Distances of samples to the nearest training image, with shape (n,).
        held_out: Those of held-out images, with shape (h,).

    Returns:
        The share with its exact interval; None without held-out images.

    Example:
        >>> import torch
        >>> near_share(torch.tensor([1.0, 2.0, 9.0, 9.0]).double(), torch.arange(1.0, 6.0).double()).value
        0.5
    """
    if not len(held_out):
        return None
    farthest = held_out.sort().values[math.ceil(NEAR * len(held_out)) - 1]
    return proportion(int((samples <= farthest).sum()), len(samples))

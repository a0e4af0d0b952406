"""The geometry of one training size: the scan that chooses the noise, and the measures themselves.

Both leave their results in the point's folder and are not computed twice, but for measures that failed or are
new. A model at which geometry fails keeps its other results, with a note.
"""

__all__ = ["GeometryTask", "geometry_point", "scan_point"]

from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor

from spurion.audits.classes import labels_of
from spurion.audits.measurement import load_measurement
from spurion.core.failures import FAILURES, one_sentence, raise_if_refused
from spurion.core.progress import Progress
from spurion.core.random import derive_seed, generator
from spurion.core.store import Store
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.device import choose_device
from spurion.diffusion.finite import check_answers
from spurion.diffusion.folder import folder_hash, load_denoiser
from spurion.geometry.groups.choice import Group, choose_groups
from spurion.geometry.groups.config import GeometryConfig
from spurion.geometry.groups.found import geometry_result
from spurion.geometry.groups.measuring import measure, usual_measures
from spurion.geometry.groups.results import GeometryResult, ScanResult
from spurion.geometry.groups.rows import write_rows
from spurion.geometry.groups.scan import scan
from spurion.studies.folder import timed
from spurion.studies.point import PointTask, concluded_from, load_samples, measured_from, point_data


@dataclass(frozen=True)
class GeometryTask:
    """One training size whose classes are known, and the time at which its curvature is read."""

    point: PointTask
    config: GeometryConfig
    time: int | float


def scan_point(task: PointTask, report: Progress) -> ScanResult | str:
    """Scan the curvature at training points of one model, and choose the noise at which it is read.

    Returns:
        The scan, or one sentence on why there is none.

    Raises:
        OSError: If the disk is full or cannot be written.
    """
    stored, config = task.folder / "scan.json", task.config.geometry or GeometryConfig()
    store, key = Store(task.folder, "scan"), measured_from(task.folder)
    known = store.recall(stored, ScanResult.model_validate, key=key)
    if known is not None:
        return known
    pool, _ = point_data(task.config, task.allow_download)
    order = torch.randperm(task.train_size, generator=generator(task.seed, "geometry", "scan"))
    points = pool.images[order[: config.scan_points]]
    try:
        with timed(task.folder, "scan"):
            found = scan(_model(task), points, config, train_size=task.train_size, seed=_seed(task))
    except FAILURES as error:
        raise_if_refused(error, task.folder)
        return one_sentence(error)
    store.keep(stored, found.model_dump(mode="json"), key=key)
    report(task.name, "scan", 1, 1)
    return found


def geometry_point(task: GeometryTask, report: Progress) -> GeometryResult | str:
    """Measure the geometry of one training size; write `geometry.json` and `geometry.csv`.

    Returns:
        The result, or one sentence on why there is none.

    Raises:
        OSError: If the disk is full or cannot be written.
    """
    folder, thresholds = task.point.folder, task.point.thresholds
    stored, rows, store = folder / "geometry.json", folder / "geometry.csv", Store(folder, "geometry")
    asked = {
        "time": task.time,
        "thresholds": thresholds and thresholds.model_dump(mode="json"),
        "model": folder_hash(folder / "model"),
    }
    key = concluded_from(folder)
    known = store.recall(stored, _parsed, rows, key=key)
    if known is not None and known[0] == asked and _complete(known[1]):
        return known[1]
    store.remove(stored)
    try:
        with timed(folder, "geometry"):
            result = _measure(task, report)
    except FAILURES as error:
        raise_if_refused(error, folder)
        return one_sentence(error)
    store.keep(stored, {"key": asked, "result": result.model_dump(mode="json")}, rows, key=key)
    return result


def _parsed(values: Any) -> tuple[Any, GeometryResult]:
    """What a stored geometry was asked for, and the result."""
    return values["key"], GeometryResult.model_validate(values["result"])


def _complete(found: GeometryResult) -> bool:
    """Whether no measure failed, and none is missing that was registered since."""
    wanted = usual_measures(found.dim, basins=found.tolerance is not None)
    return not found.failed and {one.name for one in found.measures} >= set(wanted)


def _measure(task: GeometryTask, report: Progress) -> GeometryResult:
    point, denoiser = task.point, _model(task.point)
    groups = _groups(task)
    tolerance = point.thresholds.spurious if point.thresholds else None
    setting = task.config.setting(
        denoiser,
        task.time,
        tolerance=tolerance,
        distance=point.config.load_distance(point.allow_download),
        references=_references(task),
        seed=_seed(point),
    )
    progress = partial(report, point.name, "geometry")
    names = usual_measures(prod(denoiser.shape), basins=tolerance is not None)
    found = measure(denoiser, groups, names, setting, progress=progress)
    write_rows(point.folder / "geometry.csv", found)
    basins = task.config.basins
    return geometry_result(denoiser, groups, found, time=task.time, tolerance=tolerance, basins=basins)


def _groups(task: GeometryTask) -> list[Group]:
    point = task.point
    pool, holdout = point_data(point.config, point.allow_download)
    labels = None
    if point.thresholds is not None:
        labels = labels_of(load_measurement(point.measurement_file), point.thresholds)
    return choose_groups(
        load_samples(point.folder / "samples.npz"),
        labels,
        pool.images[: point.train_size],
        None if holdout is None else holdout.images,
        most=task.config.points,
        least=task.config.least,
        seed=_seed(point),
    )


def _references(task: GeometryTask) -> Tensor:
    """Training images that are the same for all training sizes: drawn from the whole set."""
    pool, _ = point_data(task.point.config, task.point.allow_download)
    order = torch.randperm(len(pool), generator=generator(task.point.config.seed, "geometry", "references"))
    return pool.images[order[: task.config.references]]


def _model(task: PointTask) -> Denoiser:
    denoiser = load_denoiser(task.folder / "model", device=choose_device(task.config.training.device))
    check_answers(denoiser)
    return denoiser


def _seed(task: PointTask) -> int:
    return derive_seed(task.seed, "geometry")

"""Geometry over all training sizes of a study: one noise for all of them, then every size on its own."""

__all__ = ["add_geometry"]

from collections.abc import Sequence
from dataclasses import replace

from spurion.audits.ground import Ground
from spurion.core.engine import run_tasks
from spurion.core.environment import Crew
from spurion.core.progress import Progress
from spurion.geometry.groups.results import NOT_MEASURED, GeometryResult, ScanResult
from spurion.geometry.measures import changed
from spurion.studies.folder import stage_seconds
from spurion.studies.geometry.point import GeometryTask, geometry_point, scan_point
from spurion.studies.point import PointTask
from spurion.studies.results import Point


def add_geometry(
    points: Sequence[Point], tasks: Sequence[PointTask], crew: Crew, report: Progress
) -> tuple[list[Point], ScanResult | None]:
    """Measure the geometry of all models that there are.

    Arguments:
        points: The results, whose classes are known, by training size.
        tasks: Their tasks, in the same order.
        crew: Who does the work.
        report: Called with the progress of each training size.

    Returns:
        The results with their geometry, and the scan that chose the noise; None where no model was scanned.
    """
    ready = [
        replace(task, ground=Ground(point.audit.thresholds, None))
        for point, task in zip(points, tasks, strict=True)
        if point.audit is not None and point.audit.thresholds is not None
    ]
    config = ready[0].config.geometry if ready else None
    if config is None:
        return list(points), None
    ((_, scan),) = run_tasks(scan_point, ready[-1:], workers=1, threads=crew.threads, report=report)
    if isinstance(scan, str):
        return [_with_geometry(point, ready[-1], scan) for point in points], None
    jobs = [GeometryTask(task, config, scan.chosen_time) for task in ready]
    workers = 1 if changed() else crew.workers
    results = run_tasks(geometry_point, jobs, workers=workers, threads=crew.threads, report=report)
    found = {ready[index].train_size: (ready[index], result) for index, result in results}
    return [_with_geometry(point, *found.get(point.train_size, (None, None))) for point in points], scan


def _with_geometry(point: Point, task: PointTask | None, found: GeometryResult | str | None) -> Point:
    if task is None or point.audit is None:
        return point
    if isinstance(found, str):
        notes = (*point.audit.notes, NOT_MEASURED + found)
        return point.model_copy(update={"audit": point.audit.model_copy(update={"notes": notes})})
    audit = point.audit.model_copy(update={"geometry": found})
    return point.model_copy(update={"audit": audit, "seconds": stage_seconds(task.folder)})

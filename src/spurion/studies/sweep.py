"""The study: an audit at every training size, and what the sizes show together.

::

    recipe or YAML -> StudyConfig -> points: train -> sample -> measure   (in parallel, resumable)
                                  -> thresholds for all of them
                                  -> points: conclude -> geometry
                                  -> capacities -> study.json
"""

__all__ = ["study"]

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spurion.audits.findings import SourceInfo
from spurion.audits.ground import Ground
from spurion.core.engine import kept_workers, run_tasks
from spurion.core.environment import Crew, environment
from spurion.core.progress import Progress, silent
from spurion.core.random import derive_seed
from spurion.data import ImageSet
from spurion.geometry.groups.results import ScanResult
from spurion.phases.rarefied import Rarefaction
from spurion.phases.repetition import size_of
from spurion.studies.capacities import study_capacities
from spurion.studies.checks import checked
from spurion.studies.concluding import conclude_point
from spurion.studies.config import StudyConfig
from spurion.studies.crew import crew_for
from spurion.studies.folder import RunFolder, stage_seconds
from spurion.studies.geometry.sweep import add_geometry
from spurion.studies.ground import grounds
from spurion.studies.point import PointTask, measure_point, point_data
from spurion.studies.recall import recall_capacity
from spurion.studies.recipes import named_config
from spurion.studies.results import Point, StudyResult


def study(
    what: str | Path | StudyConfig,
    *,
    out: Path | str,
    overrides: Sequence[str] = (),
    device: str | None = None,
    workers: int | None = None,
    allow_download: bool = False,
    report: Progress = silent,
) -> StudyResult:
    """Run a study, or go on with one that was interrupted.

    Arguments:
        what: A recipe's name, a YAML file, or a configuration.
        out: The run folder.
        overrides: Fields to set, as ``a.b=value``.
        device: Device of training and sampling ("auto", "cpu", "cuda", "mps"); overrides the configuration.
        workers: Number of processes; by default one for each core on a CPU, else one. Changes no result.
        allow_download: Whether a missing data set may be downloaded.
        report: Called with the progress of each training size.

    Returns:
        What `study.json` holds.

    Raises:
        ValueError: If the configuration is wrong, the data are missing, or `out` holds another study.
        OSError: If the folder cannot be written or the disk is full.
        RuntimeError: If a worker process died.
    """
    config = named_config(what, overrides, device)
    config.load_distance(allow_download)
    pool, holdout = point_data(config, allow_download)
    folder = RunFolder(out)
    sizes = config.sizes(len(pool))
    tasks = [PointTask(folder.point(size), config, size, allow_download) for size in sizes]
    crew = crew_for(config, len(tasks), workers)
    with folder.opened(config), kept_workers():
        failures = _measure_all(tasks, crew, report)
        done = [task for task in tasks if task.train_size not in failures]
        concluded = _conclude_all(done, grounds(config, done), crew, report)
        points = [
            concluded[task.train_size] if task.train_size in concluded else _failed(task, failures)
            for task in tasks
        ]
        points, curvature = add_geometry(points, tasks, crew, report)
        replicates = {task.train_size: task.folder / "replicates.npz" for task in done}
        result = _assemble(config, crew, pool, holdout, points, curvature, replicates)
        folder.write_study(result)
        shutil.rmtree(folder.vectors, ignore_errors=True)
    return result


def _measure_all(tasks: list[PointTask], crew: Crew, report: Progress) -> dict[int, str]:
    """Train, sample and measure; returns why points failed, by training size."""
    failures = {}
    for index, message in run_tasks(
        measure_point, tasks, workers=crew.workers, threads=crew.threads, report=report
    ):
        if message:
            failures[tasks[index].train_size] = message
    return failures


def _conclude_all(
    tasks: list[PointTask], found: dict[int, Ground], crew: Crew, report: Progress
) -> dict[int, Point]:
    ready = [replace(task, ground=found[task.train_size]) for task in tasks]
    results = run_tasks(conclude_point, ready, workers=crew.workers, threads=crew.threads, report=report)
    return {ready[index].train_size: result for index, result in results}


def _failed(task: PointTask, failures: dict[int, str]) -> Point:
    return Point(
        train_size=task.train_size,
        sample_size=task.sample_size,
        message=failures[task.train_size],
        seconds=stage_seconds(task.folder),
    )


def _assemble(
    config: StudyConfig,
    crew: Crew,
    pool: ImageSet,
    holdout: ImageSet | None,
    points: list[Point],
    curvature: ScanResult | None,
    replicates: dict[int, Path],
) -> StudyResult:
    common = min((size for point in points if (size := _repeated_among(point))), default=None)
    return checked(
        StudyResult(
            name=config.name,
            config=config.model_dump(mode="json"),
            environment=environment(crew),
            train=SourceInfo.of(pool),
            holdout=None if holdout is None else SourceInfo.of(holdout),
            common_size=common,
            points=tuple(_at_common_size(point, common) for point in points),
            **study_capacities(config, points, replicates),
            curvature=curvature,
            recall_capacity=recall_capacity(
                {
                    p.train_size: p.audit.flow
                    for p in points
                    if p.audit is not None and p.audit.flow is not None
                },
                epsilon=config.epsilon,
                seed=derive_seed(config.seed, "recall"),
            ),
        )
    )


def _rarefaction(point: Point) -> Rarefaction | None:
    return None if point.audit is None else point.audit.rarefaction


def _repeated_among(point: Point) -> int | None:
    """The number of samples of a point at which repetitions are counted; None where there are no classes."""
    if point.audit is None or point.audit.thresholds is None or not _rarefaction(point):
        return None
    return size_of(point.audit.thresholds.sample_size, point.sample_size)


def _at_common_size(point: Point, common: int | None) -> Point:
    found = _rarefaction(point)
    if found is None or common is None:
        return point
    return point.model_copy(update={"spurious_at_common_size": found.at(common)})

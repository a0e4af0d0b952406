"""The study of studies from configuration to `study.json`.

::

    recipe or YAML, fields, seeds -> GridConfig -> cells: take over -> study   (one after another, resumable)
                                                -> means over seeds, onsets, claims -> study.json
"""

__all__ = ["GridPlan", "grid_plan", "grid_study"]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from spurion.audits.findings import SourceInfo
from spurion.core.config import Config
from spurion.core.environment import environment
from spurion.core.files import write_text
from spurion.core.progress import Progress, silent
from spurion.grid.cells import Cell, cells_of, grown
from spurion.grid.checks import checked
from spurion.grid.config import GridConfig, grid_config
from spurion.grid.onsets import onsets
from spurion.grid.reading import read_cell
from spurion.grid.results import CellResult, GridResult
from spurion.grid.settings import settings
from spurion.grid.sharing import given, take_over
from spurion.studies.crew import crew_for
from spurion.studies.folder import RunFolder
from spurion.studies.planning import Plan, planned
from spurion.studies.point import point_data
from spurion.studies.sweep import study as study_images


@dataclass(frozen=True)
class GridPlan:
    """What a grid would do.

    Attributes:
        config: The grid.
        cells: Every cell with its plan, less what it takes over from cells before it.
        steps: Training steps that every cell takes itself, for each of its models.
    """

    config: GridConfig
    cells: tuple[tuple[Cell, Plan], ...]
    steps: tuple[int, ...]

    @property
    def seconds(self) -> float:
        """A rough estimate of wall time."""
        return sum(plan.seconds for _, plan in self.cells)

    @property
    def bytes(self) -> int:
        """A rough estimate of disk."""
        return sum(plan.bytes for _, plan in self.cells)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of the cells, each once."""
        return tuple(dict.fromkeys(note for _, plan in self.cells for note in plan.notes))


def grid_study(
    what: str | Path | Config,
    *,
    out: Path | str,
    overrides: Sequence[str] = (),
    device: str | None = None,
    workers: int | None = None,
    allow_download: bool = False,
    report: Progress = silent,
) -> GridResult:
    """Run a grid, or go on with one that was interrupted or has more values or seeds now.

    Arguments:
        what: The configuration of a grid, or a YAML file with one; see `grid_config`.
        out: The run folder.
        overrides: Fields to set, as ``a.b=value``.
        device: Device of training and sampling; overrides the configuration.
        workers: Number of processes; by default one for each core on a CPU, else one. Changes no result.
        allow_download: Whether a missing data set may be downloaded.
        report: Called with the progress of each training size of each cell.

    Raises:
        ValueError: If the configuration is wrong, the data are missing, or `out` holds something else.
        OSError: If the folder cannot be written or the disk is full.
        RuntimeError: If a worker process died.
    """
    folder = RunFolder(out)
    known, config = grown(folder.root, grid_config(what, overrides, device))
    cells = cells_of(config, folder.root)
    _check(cells, workers, allow_download)
    with folder.opened(known):
        if config != known:
            values = config.model_dump(mode="json")
            write_text(folder.config_file, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
        found = [
            _run(cell, cells[:index], workers, allow_download, report) for index, cell in enumerate(cells)
        ]
        result = _assemble(config, cells[0], found, allow_download)
        folder.write_study(result)
    return result


def grid_plan(
    what: str | Path | Config,
    *,
    overrides: Sequence[str] = (),
    device: str | None = None,
    workers: int | None = None,
    allow_download: bool = False,
) -> GridPlan:
    """Resolve a grid and estimate its time and disk; nothing is written. Arguments as for `grid_study`.

    Raises:
        ValueError: If the configuration is wrong.
    """
    config = grid_config(what, overrides, device)
    cells, rates = cells_of(config, Path()), dict[str, float]()
    plans, steps = [], []
    for index, cell in enumerate(cells):
        work = given(cell, cells[:index])
        plan = planned(cell.config, workers=workers, allow_download=allow_download, work=work, rates=rates)
        plans.append((cell, plan))
        steps.append(work.steps)
    return GridPlan(config, tuple(plans), tuple(steps))


def _check(cells: Sequence[Cell], workers: int | None, allow_download: bool) -> None:
    """Refuse what a cell lacks before any of them does anything."""
    for cell in cells:
        cell.config.load_distance(allow_download)
        sizes = cell.config.sizes(len(point_data(cell.config, allow_download)[0]))
        crew_for(cell.config, len(sizes), workers)


def _run(
    cell: Cell, earlier: Sequence[Cell], workers: int | None, allow_download: bool, report: Progress
) -> CellResult:
    """The result of a cell, which is run first unless it is there, whole and without a failure."""
    if (known := read_cell(cell)) is not None:
        return known
    sizes = cell.config.sizes(len(point_data(cell.config, allow_download)[0]))
    with RunFolder(cell.folder).opened(cell.config):
        take_over(cell, earlier, sizes)

    def told(name: str, *rest: object) -> None:
        report(f"{cell.name}, {name}", *rest)

    study_images(
        cell.config,
        out=cell.folder,
        workers=workers,
        allow_download=allow_download,
        report=told,
    )
    found = read_cell(cell, failed=True)
    if found is None:
        raise ValueError(f"{cell.folder} was changed while the study ran; run it again.")
    return found


def _assemble(
    config: GridConfig, first: Cell, found: Sequence[CellResult], allow_download: bool
) -> GridResult:
    pool, holdout = point_data(first.config, allow_download)
    crew = crew_for(first.config, len(first.config.sizes(len(pool))), None)
    return checked(
        GridResult(
            name=config.name,
            config=config,
            environment=environment(crew),
            train=SourceInfo.of(pool),
            holdout=None if holdout is None else SourceInfo.of(holdout),
            cells=tuple(found),
            settings=settings(config, found),
            onsets=onsets(config, found),
        )
    )

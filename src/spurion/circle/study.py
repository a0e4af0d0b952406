"""The study of the circle from configuration to `study.json`.

::

    circle or YAML -> CircleConfig -> exact pieces   (in parallel, each stored when it is done)
                                   -> trained pieces (the same)
                                   -> laws -> study.json
"""

__all__ = ["CirclePlan", "circle_plan", "circle_study"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from spurion.circle.config import CircleConfig, circle_config
from spurion.circle.landscapes import pattern_set
from spurion.circle.phases import saturation_law
from spurion.circle.pieces import Piece, exact_pieces, is_done, read_piece, run_piece, trained_pieces
from spurion.circle.results import (
    Branches,
    CircleResult,
    Law,
    PhasePoint,
    State,
    TrainedResult,
)
from spurion.core.config import Config, build_config
from spurion.core.engine import available_cores, kept_workers, run_tasks
from spurion.core.environment import Crew, environment
from spurion.core.progress import Progress, silent
from spurion.studies.folder import RunFolder

THREADS = 1
"""Threads of a process, the same on every machine: their number can change the last digits."""

LISTED = 100
"""Sets of at most so many patterns are listed in the result."""

SECONDS_PER_STEP = 2.5e-3
SECONDS_PER_SET = {"phases": 0.15, "sweep": 0.07, "laws": 0.02}
"""Rough costs on one core, for the estimate of a dry run."""

ResultT = TypeVar("ResultT", bound=Config)


@dataclass(frozen=True)
class CirclePlan:
    """What a study of the circle would do: its configuration, its pieces, and a rough estimate of time."""

    config: CircleConfig
    exact: int
    trained: int
    seconds: float


def circle_study(
    what: str | Path | CircleConfig = "circle",
    *,
    out: Path | str,
    overrides: Sequence[str] = (),
    device: str | None = None,
    workers: int | None = None,
    report: Progress = silent,
) -> CircleResult:
    """Run a study of the circle, or go on with one that was interrupted.

    Arguments:
        what: "circle", a YAML file, or a configuration.
        out: The run folder.
        overrides: Fields to set, as ``a.b=value``.
        device: "cpu" or "auto", which is the same here: the networks are too small for an accelerator.
        workers: Number of processes; by default one for each core. Changes no result.
        report: Called with the progress of each piece.

    Returns:
        What `study.json` holds.

    Raises:
        ValueError: If the configuration is wrong or `out` holds another study.
        OSError: If the folder cannot be written or the disk is full.
        RuntimeError: If a worker process died.
    """
    config = circle_config(what, overrides)
    crew = _crew(device, workers)
    folder = RunFolder(out)
    exact, trained = exact_pieces(folder.root, config), trained_pieces(folder.root, config)
    with folder.opened(config), kept_workers():
        _run_all(exact, crew, report)
        failures = _run_all(trained, crew, report)
        result = _assemble(config, crew, exact, trained, failures)
        folder.write_study(result)
    return result


def circle_plan(
    what: str | Path | CircleConfig = "circle",
    *,
    overrides: Sequence[str] = (),
    device: str | None = None,
    workers: int | None = None,
) -> CirclePlan:
    """Resolve a study of the circle and estimate its time; nothing is written. Arguments as for the study.

    Raises:
        ValueError: If the configuration is wrong.
    """
    config = circle_config(what, overrides)
    crew = _crew(device, workers)
    root = Path("unused")
    exact, trained = exact_pieces(root, config), trained_pieces(root, config)
    chosen = [config.trained.networks[str(piece.key[1])] for piece in trained]
    steps = sum(network.training.steps for network in chosen if network is not None)
    phases, sweep, laws = config.phases, config.sweep, config.laws
    sets = {
        "phases": len(phases.counts) * len(phases.betas) * phases.sets,
        "sweep": len(sweep.counts) * len(sweep.betas) * sweep.sets,
        "laws": 3 * len(laws.betas) * laws.sets,
    }
    seconds = SECONDS_PER_STEP * steps + sum(SECONDS_PER_SET[name] * count for name, count in sets.items())
    seconds += 0.3 * len(config.landscapes.counts) * len(config.landscapes.betas)
    return CirclePlan(config, len(exact), len(trained), seconds / min(crew.workers, len(exact)))


def _crew(device: str | None, workers: int | None) -> Crew:
    if device not in (None, "auto", "cpu"):
        raise ValueError(
            f"`device` must be cpu for the circle, whose networks are too small for another, got {device}."
        )
    if workers is not None and workers < 1:
        raise ValueError(f"`workers` must be at least 1, got {workers}.")
    return Crew(workers or available_cores(), THREADS, "cpu")


def _run_all(pieces: list[Piece], crew: Crew, report: Progress) -> dict[str, str]:
    """Compute the pieces that are not done; returns why trainings failed, by the name of the piece."""
    missing = [piece for piece in pieces if not is_done(piece)]
    failures = {}
    for index, message in run_tasks(
        run_piece, missing, workers=crew.workers, threads=crew.threads, report=report
    ):
        if message:
            failures[missing[index].file.name] = message
    return failures


def _assemble(
    config: CircleConfig, crew: Crew, exact: list[Piece], trained: list[Piece], failures: dict[str, str]
) -> CircleResult:
    phases = _read(exact, "phases", PhasePoint)
    done = [piece for piece in trained if piece.file.name not in failures]
    networks = [
        *_read(done, "trained", TrainedResult),
        *(_failed(piece, failures[piece.file.name]) for piece in trained if piece not in done),
    ]
    laws = [
        *_read(exact, "capacity", Law),
        *saturation_law(phases),
        *_read(exact, "ripple", Law),
    ]
    return CircleResult(
        name=config.name,
        config=config,
        environment=environment(crew),
        patterns=_angles(config),
        landscapes=tuple(
            sorted(_read(exact, "landscape", State), key=lambda s: (s.count or math.inf, s.beta))
        ),
        table=tuple(sorted(_read(exact, "table", State), key=lambda s: (s.count, s.beta))),
        branches=tuple(sorted(_read(exact, "branches", Branches), key=lambda b: b.count)),
        sweep=_by_beta(_read(exact, "sweep", PhasePoint)),
        phases=_by_beta(phases),
        laws=tuple(sorted(laws, key=lambda law: (law.name, law.beta))),
        trained=tuple(sorted(networks, key=lambda t: (t.network, t.count))),
        seconds={"exact": _seconds(exact), "trained": _seconds(done)},
        notes=tuple(f"K = {t.count}, {t.network} failed: {t.message}" for t in networks if t.message),
    )


def _read(pieces: list[Piece], kind: str, model: type[ResultT]) -> list[ResultT]:
    return [
        build_config(model, values, str(piece.file))
        for piece in pieces
        if piece.kind == kind
        for values in read_piece(piece)[0]
    ]


def _seconds(pieces: list[Piece]) -> float:
    return round(sum(read_piece(piece)[1] for piece in pieces), 1)


def _by_beta(points: list[PhasePoint]) -> tuple[PhasePoint, ...]:
    return tuple(sorted(points, key=lambda point: (point.beta, point.count)))


def _failed(piece: Piece, message: str) -> TrainedResult:
    count, network = int(piece.key[0]), str(piece.key[1])
    rule = piece.config.trained
    chosen = rule.networks[network]
    return TrainedResult(
        count=count,
        network=network,
        status="failed",
        message=message,
        iterations=0 if chosen is None else chosen.training.steps,
        time=rule.time,
        beta=1 / (2 * rule.time),
    )


def _angles(config: CircleConfig) -> dict[int, tuple[float, ...]]:
    counts = {
        *config.landscapes.counts,
        *config.table.counts,
        *config.branches.counts,
        *config.trained.counts,
    }
    angles: dict[int, tuple[float, ...]] = {}
    for count in sorted(count for count in counts if count <= LISTED):
        points = pattern_set(config, count)
        angles[count] = tuple(torch.rad2deg(torch.atan2(points[:, 1], points[:, 0])).remainder(360).tolist())
    return angles

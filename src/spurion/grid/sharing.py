"""What a cell takes over from earlier ones, so that nothing is computed twice.

- Cells with one training (same images, network, schedule, training and seed) and as many steps of it: model
  and log are copied.
- Cells with one training and fewer steps of it: the last state is copied, and the training goes on from it.
- Cells with one model and one sampler: samples are copied as far as both sets reach, and the measured
  distances too where everything about them is the same.

All of it is what the cell would compute itself, to the last byte; whether it may be used is decided by the
seals and identities of the files, as ever, so that a wrong copy would only be made again.
"""

__all__ = ["given", "take_over"]

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spurion.core.files import atomic_write
from spurion.core.store import Store
from spurion.diffusion.sampleset import lend_batches
from spurion.diffusion.steps import STATE, seal_of
from spurion.grid.cells import Cell
from spurion.phases.rules import parse_rule
from spurion.studies.config import StudyConfig, sample_size_for
from spurion.studies.planning import Work
from spurion.studies.point import PointTask

ANCHOR = "anchor.safetensors"


def take_over(cell: Cell, earlier: Sequence[Cell], sizes: Sequence[int]) -> None:
    """Copy from finished cells what this one would compute again, before it starts.

    Arguments:
        cell: The cell.
        earlier: The finished cells.
        sizes: The training sizes.

    Raises:
        OSError: If a folder cannot be written or the disk is full.
    """
    trained = [one for one in earlier if _training(one.config) == _training(cell.config)]
    for size in sizes:
        task, donors = _task(cell, size), [_task(one, size) for one in trained]
        _take_model(task, donors)
        for donor in donors:
            if donor.config.training.steps == task.config.training.steps:
                _take_samples(task, donor)
    for one in earlier:
        if _anchored(one.config) == _anchored(cell.config):
            _copy(one.folder / ANCHOR, cell.folder / ANCHOR)


def given(cell: Cell, earlier: Sequence[Cell]) -> Work:
    """What is left to do of a cell, after what it takes over, for the estimate of a plan.

    Arguments:
        cell: The cell.
        earlier: Those before it.
    """
    steps = cell.config.training.steps
    trained = [one for one in earlier if _training(one.config) == _training(cell.config)]
    done = [one.config.training.steps for one in trained if one.config.training.steps <= steps]
    rules = [
        one.config.sample_size
        for one in trained
        if one.config.training.steps == steps and one.config.sampler == cell.config.sampler
    ]
    return Work(
        steps - max(done, default=0),
        lambda size: max((sample_size_for(rule, size) for rule in rules), default=0),
    )


def _task(cell: Cell, size: int) -> PointTask:
    return PointTask(cell.folder / "points" / f"{size:06d}", cell.config, size)


def _training(config: StudyConfig) -> dict[str, Any]:
    """What decides the weights after any step of the training of a study."""
    decides = {"data", "seed", "denoiser", "schedule"}
    return {**config.model_dump(mode="json", include=decides), "training": config.training.identity()}


def _measured(config: StudyConfig) -> dict[str, Any]:
    """What decides the distances of the samples of a study, beside its models."""
    return config.model_dump(mode="json", include={"sampler", "sample_size", "distance", "weights"})


def _anchored(config: StudyConfig) -> dict[str, Any]:
    """What decides how near the real images of a study come to each other."""
    decides = {"data", "seed", "distance", "weights"}
    rule = type(parse_rule(config.thresholds)).__name__
    return {**config.model_dump(mode="json", include=decides), "rule": rule}


def _take_model(task: PointTask, donors: Sequence[PointTask]) -> None:
    """Copy the model of as many steps, or else the state after the most steps below."""
    if seal_of(task.folder).key is not None:
        return
    wanted = task.config.training.steps
    done = [(one.config.training.steps, one.folder) for one in donors if seal_of(one.folder).key is not None]
    if any(steps == wanted and seal_of(folder).give(task.folder) for steps, folder in done):
        return
    left = [(steps, folder / STATE) for steps, folder in done if steps < wanted]
    known = {steps: state for steps, state in left if state.is_file()}  # copied models are without one
    if known:
        _copy(known[max(known)], task.folder / STATE)


def _take_samples(task: PointTask, donor: PointTask) -> None:
    """Copy the distances with the samples where all is the same, or else the samples that both sets have."""
    ours, theirs = task.config, donor.config
    if ours.sampler != theirs.sampler or seal_of(task.folder).key is None:
        return
    seal = Store(task.folder, "measure")
    if seal.key is None and _measured(ours) == _measured(theirs):
        Store(donor.folder, "measure").give(task.folder)
    lend_batches(donor.folder / "samples.npz", task.folder / "samples.npz", task.sample_size)


def _copy(path: Path, to: Path) -> None:
    """Copy a file that is not there yet; nothing where there is none to copy."""
    if path.is_file() and not to.exists():
        with atomic_write(to) as temporary:
            shutil.copyfile(path, temporary)

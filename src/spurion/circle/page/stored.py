"""The run folder of a study of the circle, read back whole: its `study.json` and the grids beside it."""

__all__ = ["CircleRun", "Grids", "Landscape", "read_circle"]

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from spurion.circle.results import CircleResult, State, TrainedResult
from spurion.core.store import Store
from spurion.report.run import REMEDY
from spurion.report.stored import read_arrays, read_stored


@dataclass(frozen=True)
class Landscape:
    """Exact energies of one set at several temperatures, rows of the grid from the bottom.

    Attributes:
        count: The number K of patterns; None for infinitely many.
        extent: The grid reaches from -extent to extent.
        energy: Energies, with shape (b, n, n).
        score: Scores, with shape (b, n, n, 2).
        states: The minima, one entry for each temperature, lowest first.
    """

    count: int | None
    extent: float
    energy: Float[np.ndarray, "b n n"]
    score: Float[np.ndarray, "b n n 2"]
    states: tuple[State, ...]

    @property
    def name(self) -> str:
        """K = 9, or K = ∞."""
        return f"K = {'∞' if self.count is None else format(self.count, ',')}"


@dataclass(frozen=True)
class Grids:
    """A trained network: its result, energies on the grid, and samples. NaN where an energy is unknown."""

    result: TrainedResult
    extent: float
    learned: Float[np.ndarray, "n n"]
    patterns: Float[np.ndarray, "n n"]
    ring: Float[np.ndarray, "n n"]
    samples: Float[np.ndarray, "s 2"]


@dataclass(frozen=True)
class CircleRun:
    """A whole run folder; `landscapes` by K, infinity last, `trained` only of networks that are done."""

    study: CircleResult
    landscapes: tuple[Landscape, ...]
    trained: tuple[Grids, ...]


def read_circle(folder: Path) -> CircleRun:
    """Read the run folder of a study of the circle.

    Raises:
        ValueError: If a file is missing or damaged; the sentence names it.
    """
    study = read_stored(CircleResult, folder / "study.json", "a run")
    run = CircleRun(study, tuple(_landscapes(folder, study)), tuple(_trained(folder, study)))
    Store(folder, "study").check(REMEDY)
    return run


def _landscapes(folder: Path, study: CircleResult) -> list[Landscape]:
    rule = study.config.landscapes
    found = []
    for count in (*rule.counts, None):
        states = tuple(state for state in study.landscapes if state.count == count)
        path = folder / "landscapes" / f"{count or 'ring'}.npz"
        square = (len(rule.betas), rule.points, rule.points)
        arrays = _arrays(path, {"energy": square, "score": (*square, 2)})
        if len(states) != len(rule.betas):
            raise ValueError(f"{folder / 'study.json'} has {len(states)} landscapes for K = {count}.")
        found.append(Landscape(count, rule.extent, arrays["energy"], arrays["score"], states))
    return found


def _trained(folder: Path, study: CircleResult) -> list[Grids]:
    rule = study.config.trained
    found = []
    for result in study.trained:
        if result.status == "failed":
            continue
        place = folder / "trained" / f"{result.count:06d}-{result.network}"
        square = (rule.points, rule.points)
        grid = _arrays(place / "grid.npz", {"learned": square, "patterns": square, "ring": square})
        samples = _arrays(place / "samples.npz", {"samples": (rule.samples, 2)})["samples"]
        found.append(Grids(result, rule.extent, grid["learned"], grid["patterns"], grid["ring"], samples))
    return found


def _arrays(path: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    arrays = read_arrays(path, tuple(shapes))
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{path} is damaged (`{name}` must have the shape {shape}).")
    return arrays

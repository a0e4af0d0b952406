"""The capacities of a study: of the classes, at several shares of false calls, and of the leak."""

__all__ = ["LEAKS", "study_capacities"]

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from spurion.core.random import derive_seed
from spurion.core.tensors import load_arrays
from spurion.phases.classification import CLASSES
from spurion.phases.passage import Capacity, passage
from spurion.phases.transitions import Capacities, capacities
from spurion.statistics.intervals import ClassFractions
from spurion.studies.config import StudyConfig
from spurion.studies.results import CapacitiesAt, LeakCapacities, Point

LEAKS = {"most": 0.9, "half": 0.5, "none": 0.0}
"""The leak excess at which a capacity of the leak is read."""


def study_capacities(
    config: StudyConfig, points: Sequence[Point], replicates: dict[int, Path]
) -> dict[str, Any]:
    """The capacities of a study, as fields of its result.

    Arguments:
        config: The study.
        points: Its points.
        replicates: The files of replicates of the points, by training size.
    """
    drawn = {size: load_arrays(path) for size, path in replicates.items()}
    alphas = sorted({at.alpha for p in points if p.audit for at in p.audit.by_alpha}, reverse=True)
    by_alpha = {alpha: _capacities(config, _at(points, alpha), drawn, f"null:{alpha:g}") for alpha in alphas}
    return {
        "capacities": _capacities(config, _main(points), drawn, "main"),
        "capacities_by_alpha": tuple(
            CapacitiesAt(alpha=alpha, capacities=found) for alpha, found in by_alpha.items() if found
        ),
        "leak_capacities": _leaks(points),
    }


Found = dict[int, tuple[int, ClassFractions]]
"""Number of samples and fractions, by training size."""


def _main(points: Sequence[Point]) -> Found:
    return {
        p.train_size: (p.sample_size, p.audit.fractions)
        for p in points
        if p.audit is not None and p.audit.fractions is not None
    }


def _at(points: Sequence[Point], alpha: float) -> Found:
    return {
        p.train_size: (p.sample_size, at.fractions)
        for p in points
        if p.audit is not None
        for at in p.audit.by_alpha
        if at.alpha == alpha
    }


def _capacities(
    config: StudyConfig, found: Found, drawn: dict[int, dict[str, Any]], rule: str
) -> Capacities | None:
    if not found or any(rule not in drawn.get(size, {}) for size in found):
        return None
    counts = [
        [samples * getattr(shares, name).value for name in CLASSES] for samples, shares in found.values()
    ]
    rows: Float64[np.ndarray, "r p 3"] = np.stack([drawn[size][rule] for size in found], axis=1)
    seed = derive_seed(config.seed, "capacities")
    return capacities(list(found), counts, epsilon=config.epsilon, seed=seed, drawn=rows)


def _leaks(points: Sequence[Point]) -> LeakCapacities | None:
    r"""Where the leak excess :math:`2A - 1` falls to a level; the ends of A's intervals make those of K."""
    known = {
        p.train_size: p.audit.null.share_closer_to_train
        for p in points
        if p.audit is not None and p.audit.null is not None and p.audit.null.share_closer_to_train
    }
    if not known:
        return None
    ends = [[getattr(share, name) for share in known.values()] for name in ("value", "low", "high")]
    excess, sizes = 2 * np.array(ends) - 1, np.array(list(known))
    weights = np.ones(len(sizes))

    def at(level: float) -> Capacity:
        return passage(sizes, excess, weights, level, "leak excess", falling=True)

    return LeakCapacities(**{name: at(level) for name, level in LEAKS.items()})

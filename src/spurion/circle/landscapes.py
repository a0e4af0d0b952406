r"""Exact energies on a grid, and all minima, of one set of patterns at several temperatures.

Up to `EXHAUSTIVE` patterns the search is :func:`spurion.memory.minima.find_minima`; beyond, descents from all
patterns and from exact draws, which can miss a minimum whose basin holds less than about 1 in `DRAWS`.
"""

__all__ = ["branches", "grid_points", "landscape", "pattern_set", "state_of", "table"]

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spurion.circle.config import CircleConfig
from spurion.circle.results import Branches, MergePoint, Minimum, State
from spurion.circle.ring import PAPER_SIZE, RingEnergy, paper_circle
from spurion.core.progress import Progress
from spurion.core.random import generator
from spurion.core.tensors import save_arrays
from spurion.memory.branches import track
from spurion.memory.dense import DenseAM
from spurion.memory.minima import KINDS, Minima, find_minima, survey
from spurion.memory.patterns import random_circle

EXHAUSTIVE = 200
DRAWS = 512


def pattern_set(config: CircleConfig, count: int) -> Float[Tensor, "count 2"]:
    """The study's patterns: the first `count` of one order, so that the sets are nested."""
    if config.patterns == "paper":
        return paper_circle(count)
    return random_circle(PAPER_SIZE, generator=generator(config.seed, "circle", "patterns"))[:count]


def grid_points(points: int, extent: float) -> Float[Tensor, "n 2"]:
    """A square grid, row by row from the bottom, with shape (points^2, 2).

    Arguments:
        points: Points along each side.
        extent: The grid reaches from -extent to extent.
    """
    side = torch.linspace(-extent, extent, points, dtype=torch.float64)
    y, x = torch.meshgrid(side, side, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1)


def landscape(config: CircleConfig, count: int | None, path: Path, progress: Progress) -> tuple[State, ...]:
    """Energies and scores of one set at all temperatures, written to `path`, and its minima.

    The file holds `betas` (b), `energy` (b, n, n), and `score` (b, n, n, 2), float32, rows from the bottom.

    Arguments:
        config: The study.
        count: The number of patterns; None for infinitely many.
        path: The .npz file to write.
        progress: Called after each temperature.
    """
    shown = config.landscapes
    grid = grid_points(shown.points, shown.extent)
    states, energies, scores = [], [], []
    for done, beta in enumerate(shown.betas, start=1):
        exact = RingEnergy(beta) if count is None else DenseAM(pattern_set(config, count), beta)
        energies.append(exact.energy(grid).view(shown.points, shown.points))
        scores.append(exact.score(grid).view(shown.points, shown.points, 2))
        states.append(_ring_state(exact) if isinstance(exact, RingEnergy) else state_of(exact, config.seed))
        progress(done, len(shown.betas))
    stacks = {"energy": energies, "score": scores}
    arrays = {name: torch.stack(stack).float().numpy() for name, stack in stacks.items()}
    save_arrays(path, {"betas": np.array(shown.betas), **arrays})
    return tuple(states)


def state_of(memory: DenseAM, seed: int) -> State:
    """All minima of a memory, with what is stored of them."""
    rng = generator(seed, "circle", "minima", len(memory))
    if len(memory) <= EXHAUSTIVE:
        found = find_minima(memory, generator=rng)
    else:
        found = survey(memory, draws=DRAWS, generator=rng)[0]
    return State(
        count=len(memory),
        beta=memory.beta,
        minima=_minima(found),
        ring=None,
        unseen=found.unseen,
        unconverged=found.unconverged,
    )


def table(config: CircleConfig, count: int, progress: Progress) -> tuple[State, ...]:
    """All minima of one set at the times of the table."""
    patterns, states = pattern_set(config, count), []
    for done, time in enumerate(config.table.times, start=1):
        states.append(state_of(DenseAM(patterns, 1 / (2 * time)), config.seed))
        progress(done, len(config.table.times))
    return tuple(states)


def branches(config: CircleConfig, count: int, progress: Progress) -> Branches:
    """How the minima of one set merge as the temperature rises."""
    rule = config.branches
    ends = math.log(rule.lowest), math.log(rule.highest)
    betas = np.exp(np.linspace(*ends, rule.steps)).tolist()
    memory = DenseAM(pattern_set(config, count), betas[0])
    rng = generator(config.seed, "circle", "branches", count)
    found = track(memory, betas, generator=rng, progress=progress)
    merges = [MergePoint(beta=m.beta, x=float(m.point[0]), y=float(m.point[1])) for m in found.merges]
    numbers = tuple(len(minima) for minima in found.minima)
    return Branches(count=count, betas=found.betas, minima=numbers, merges=tuple(merges))


def _ring_state(ring: RingEnergy) -> State:
    return State(count=None, beta=ring.beta, minima=(), ring=ring.radius, unseen=0.0, unconverged=0)


def _minima(found: Minima) -> tuple[Minimum, ...]:
    kinds = [KINDS[kind] for kind in found.kinds().tolist()]
    return tuple(
        Minimum(
            x=x,
            y=y,
            energy=energy,
            kind=kind,
            top_weight=weight,
            effective_number=number,
            barrier=_finite(barrier),
            curvature=(curvature[0], curvature[1]),
        )
        for (x, y), energy, kind, weight, number, barrier, curvature in zip(
            found.points.tolist(),
            (found.energy - found.energy.min()).tolist(),
            kinds,
            found.top_weight.tolist(),
            found.effective_number.tolist(),
            found.barrier.tolist(),
            found.eigenvalues.tolist(),
            strict=True,
        )
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

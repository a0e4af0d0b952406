r"""Mean capacity curves: from memories to spurious states to a continuum, without any training.

For each number K of patterns and each inverse temperature, several sets of patterns are drawn (or
sub-sets of a user's data, nested within a set), all their minima are classified, and exact draws of the
density descend to them. The *mass* of a class is the share of draws that end in its minima. As K
grows at fixed temperature the memory mass falls, the spurious mass has one peak, and the mass of the
continuum rises: the three phases of the paper, exactly.

The temperature must be fixed: at zero noise the exact reverse process ends in a training pattern
whatever K is.
"""

__all__ = ["CapacityPoint", "capacity_curve"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.core.progress import Progress, silent
from spurion.core.random import generator
from spurion.memory.dense import DenseAM
from spurion.memory.minima import KINDS, survey
from spurion.memory.patterns import PATTERNS


@dataclass(frozen=True, eq=False)
class CapacityPoint:
    """Averages over sets of K patterns at one inverse temperature.

    Attributes:
        count: The number K of patterns.
        beta: The inverse temperature.
        minima: The mean number of minima.
        kinds: The mean number of minima of each class, in the order of `minima.KINDS`.
        mass: The mean basin mass of each class, in the same order.
        error: Standard errors of the masses over the sets; NaN for one set.
        elsewhere: The mean share of draws that did not come to rest.
        rows: What is averaged: for each set the numbers of minima of each class, then their masses, with
            shape (sets, 2, 3).
    """

    count: int
    beta: float
    minima: float
    kinds: tuple[float, ...]
    mass: tuple[float, ...]
    error: tuple[float, ...]
    elsewhere: float
    rows: Float[Tensor, "sets 2 3"]


def capacity_curve(
    patterns: str | Float[Tensor, "N D"],
    counts: Sequence[int],
    betas: Sequence[float],
    *,
    dim: int = 2,
    sets: int = 10,
    draws: int = 200,
    seed: int = 0,
    progress: Progress = silent,
) -> list[CapacityPoint]:
    """Classes of minima and their basin masses against K and beta.

    Arguments:
        patterns: The name of a kind of random patterns, see `PATTERNS`; or a data set, with shape (N, D).
        counts: The numbers K of patterns; for a data set at most N.
        betas: The inverse temperatures.
        dim: The number D of coordinates of random patterns; a data set has its own.
        sets: How many sets to average over.
        draws: How many draws of the density descend in each set.
        seed: The seed; a set is the same at each inverse temperature, and a prefix of the larger ones.
        progress: Called after each set.

    Returns:
        One point for each pair of a temperature and a number, temperatures outermost.

    Raises:
        ValueError: If the kind is unknown, a number or `sets` is below 1, or a number exceeds the data.
    """
    largest = _check(patterns, counts, sets)
    done, total = 0, len(betas) * len(counts) * sets
    points = []
    for beta in betas:
        for count in counts:
            rows = []
            for index in range(sets):
                stored = _set(patterns, largest, dim, seed, index)[:count]
                rng = generator(seed, "capacity", "draws", index)
                rows.append(_classes(DenseAM(stored, beta), draws, rng))
                done += 1
                progress(done, total)
            points.append(_average(count, beta, torch.stack(rows)))
    return points


def _check(patterns: str | Tensor, counts: Sequence[int], sets: int) -> int:
    if isinstance(patterns, str) and patterns not in PATTERNS:
        raise ValueError(f"`patterns` must be a data set or one of {', '.join(PATTERNS)}, got {patterns!r}.")
    if sets < 1 or not counts or min(counts) < 1:
        raise ValueError(f"`counts` and `sets` must be at least 1, got {list(counts)} and {sets}.")
    if isinstance(patterns, Tensor) and max(counts) > len(patterns):
        raise ValueError(f"`counts` must not exceed the {len(patterns)} patterns given, got {max(counts)}.")
    return max(counts)


def _set(patterns: str | Tensor, largest: int, dim: int, seed: int, index: int) -> Tensor:
    rng = generator(seed, "capacity", "set", index)
    if isinstance(patterns, str):
        return PATTERNS[patterns](largest, dim, rng)
    order = torch.randperm(len(patterns), generator=rng)[:largest]
    return patterns[order.to(patterns.device)]


def _classes(memory: DenseAM, draws: int, rng: torch.Generator) -> Tensor:
    """Numbers of minima of each class, then their masses, with shape (2, 3)."""
    minima, basins = survey(memory, draws=draws, generator=rng)
    kinds = minima.kinds().cpu()
    number = torch.bincount(kinds, minlength=len(KINDS)).double()
    mass = torch.zeros(len(KINDS), dtype=torch.float64).index_add_(0, kinds, basins.shares)
    return torch.stack([number, mass])


def _average(count: int, beta: float, rows: Tensor) -> CapacityPoint:
    number, mass = rows.mean(0)
    error = rows[:, 1].std(0) / math.sqrt(len(rows)) if len(rows) > 1 else torch.full_like(mass, math.nan)
    return CapacityPoint(
        count=count,
        beta=float(beta),
        minima=float(number.sum()),
        kinds=tuple(number.tolist()),
        mass=tuple(mass.tolist()),
        error=tuple(error.tolist()),
        elsewhere=float(1 - mass.sum()),
        rows=rows,
    )

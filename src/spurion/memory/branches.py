r"""Minima that move, merge and appear as the inverse temperature changes.

A minimum is followed from high to low :math:`\beta` by descending, at each new temperature, from where it
was. Two branches that land on the same minimum have *merged*: the one that moved less goes on, the other
ends. In between, at the merge point, the second one ceased to be a minimum of its own; bisection in
:math:`\log\beta` locates it. A minimum without a predecessor starts a new branch.

Two patterns at distance :math:`d` merge at :math:`\beta d^2 = 2`.
"""

__all__ = ["Branch", "Merge", "Track", "track"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.core.progress import Progress, silent
from spurion.memory.dense import DenseAM
from spurion.memory.distinct import locate, same_within
from spurion.memory.minima import Minima, find_minima
from spurion.memory.retrieval import retrieve

RELATIVE = 1e-7  # of beta, to which a merge point is located


@dataclass(frozen=True)
class Branch:
    """One minimum at successive inverse temperatures.

    Attributes:
        first: The index of its first, and largest, inverse temperature in `Track.betas`.
        points: Where it is, with shape (b, D), at b successive inverse temperatures.
        energies: Its energies there, with shape (b).
    """

    first: int
    points: Float[Tensor, "b D"]
    energies: Float[Tensor, " b"]


@dataclass(frozen=True)
class Merge:
    """One branch that ends in another.

    Attributes:
        beta: The smallest inverse temperature at which there are two, within 1e-7 of itself.
        branch: The index of the branch that ends.
        into: The index of the branch that goes on.
        point: Where the ending branch was last a minimum, with shape (D).
    """

    beta: float
    branch: int
    into: int
    point: Float[Tensor, " D"]


@dataclass(frozen=True)
class Track:
    """All branches over a range of inverse temperatures.

    Attributes:
        betas: The inverse temperatures, largest first.
        minima: All minima at each of them.
        branches: The branches, in the order in which they begin.
        merges: Their merge points, largest inverse temperature first.
    """

    betas: tuple[float, ...]
    minima: tuple[Minima, ...]
    branches: tuple[Branch, ...]
    merges: tuple[Merge, ...]


def track(
    memory: DenseAM, betas: Sequence[float], *, generator: torch.Generator, progress: Progress = silent
) -> Track:
    """Find all minima at each inverse temperature and how they are connected.

    Arguments:
        memory: The memory; its own inverse temperature does not matter.
        betas: At least two different inverse temperatures, in any order.
        generator: Draws the random starts of the searches.
        progress: Called after each inverse temperature.

    Raises:
        ValueError: If there are fewer than two inverse temperatures.

    Example:
        >>> memory = DenseAM(torch.tensor([[-1.0], [1.0]]), beta=1.0)  # d = 2: merge at beta = 1/2
        >>> [round(m.beta, 5) for m in track(memory, [0.1, 10.0], generator=torch.Generator()).merges]
        [0.5]
    """
    ordered = sorted({float(beta) for beta in betas}, reverse=True)
    if len(ordered) < 2:
        raise ValueError(f"`betas` must hold at least two different values, got {list(betas)}.")
    tracker = _Tracker(memory.double())
    for done, beta in enumerate(ordered):
        tracker.advance(beta, generator)
        progress(done + 1, len(ordered))
    return tracker.result(tuple(ordered))


class _Tracker:
    def __init__(self, memory: DenseAM) -> None:
        self.memory = memory
        self.minima: list[Minima] = []
        self.paths: list[list[Tensor]] = []
        self.energies: list[list[Tensor]] = []
        self.first: list[int] = []
        self.open: list[int] = []  # the branch of each current minimum
        self.merges: list[Merge] = []

    def advance(self, beta: float, generator: torch.Generator) -> None:
        memory = self.memory.at(beta)
        earlier = self.minima[-1] if self.minima else None
        carried = retrieve(memory, earlier.points).attractors if earlier else None
        found = find_minima(memory, generator=generator, starts=carried)
        owners = [-1] * len(found)
        if earlier is not None and carried is not None:
            owners = self._connect(earlier, found, locate(carried, found.points, found.radius).tolist())
        for index in range(len(found)):
            if owners[index] < 0:
                owners[index] = len(self.paths)
                self.paths.append([])
                self.energies.append([])
                self.first.append(len(self.minima))
            self.paths[owners[index]].append(found.points[index])
            self.energies[owners[index]].append(found.energy[index])
        self.open = owners
        self.minima.append(found)

    def _connect(self, earlier: Minima, found: Minima, landed: list[int]) -> list[int]:
        """Give each minimum the branch that moved least to it; end the others there."""
        owners = [-1] * len(found)
        for index in range(len(found)):
            arrived = [old for old, new in enumerate(landed) if new == index]
            arrived.sort(key=lambda old: float((earlier.points[old] - found.points[index]).norm()))
            if arrived:
                owners[index] = self.open[arrived[0]]
            for old in arrived[1:]:
                self.merges.append(self._merge(earlier, found, old, arrived[0]))
        return owners

    def _merge(self, earlier: Minima, found: Minima, ending: int, staying: int) -> Merge:
        high, low = math.log(earlier.beta), math.log(found.beta)
        pair = earlier.points[[ending, staying]]
        while high - low > RELATIVE:
            middle = (high + low) / 2
            memory = self.memory.at(math.exp(middle))
            moved = retrieve(memory, pair).attractors
            if float((moved[0] - moved[1]).norm()) > float(same_within(memory, moved).max()):
                high, pair = middle, moved
            else:
                low = middle
        return Merge(math.exp(high), self.open[ending], self.open[staying], pair[0])

    def result(self, betas: tuple[float, ...]) -> Track:
        branches = [
            Branch(first, torch.stack(path), torch.stack(energies))
            for first, path, energies in zip(self.first, self.paths, self.energies, strict=True)
        ]
        merges = sorted(self.merges, key=lambda merge: -merge.beta)
        return Track(betas, tuple(self.minima), tuple(branches), tuple(merges))

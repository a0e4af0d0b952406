r"""Every minimum of the energy, each with its certificate.

All critical points lie in the convex hull of the patterns, but there may be more minima than patterns,
and none need lie at a pattern or half-way between two. The search therefore starts from the patterns,
from points between neighbors, from the center, from a grid (up to three dimensions), from exact draws
of the density and from random mixtures of patterns, and goes on with new draws and with what it finds
behind the passes between known minima until a whole round brings nothing new. Each minimum is certified
by its gradient and by the eigenvalues of its Hessian. `Minima.unseen` estimates the share of the density
that belongs to minima not found (Good-Turing: the share of draws whose minimum was met once only).

A minimum is a

- **memory** if one pattern has most of the softmax weight;
- **continuum** state if it is no memory and a barrier well below kT = :math:`1/\beta` separates it from
  another: a dent of a flat valley, such as the ring that many patterns on a circle make;
- **spurious** state otherwise: with the exact energy almost always a group of patterns that have merged.

References:
    | Memorization to Generalization (Pham et al., 2025), Sec. 3
    | The population frequencies of species (Good, 1953)
"""

__all__ = ["KINDS", "Basins", "Minima", "basins", "find_minima", "survey"]

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spurion.core.arguments import GENERATOR, TENSOR, WHOLE, Kind, check_arguments, optional
from spurion.memory.barriers import Barriers, find_barriers
from spurion.memory.dense import DenseAM
from spurion.memory.distinct import LEAST, distinct, locate, same_within
from spurion.memory.place import soft_modes
from spurion.memory.retrieval import retrieve
from spurion.memory.starts import first_starts, mixtures

KINDS = ("memory", "spurious", "continuum")
MINIMA_KINDS: dict[str, Kind] = {
    "memory": (DenseAM, "a DenseAM"),
    "generator": GENERATOR,
    "starts": optional(TENSOR),
    "draws": WHOLE,
    "rounds": WHOLE,
}
"""What the arguments of `find_minima` must be."""
FLAT = 1e-12  # relative curvature that rounding alone can make negative


@dataclass(frozen=True)
class Minima:
    """The minima of a memory, lowest energy first; m of them.

    Attributes:
        beta: The inverse temperature.
        points: The minima, float64, with shape (m, D).
        radius: The distance within which a state counts as the minimum, with shape (m): larger where the
            curvature is so small that rounding moves the point.
        energy: Their energies, with shape (m).
        gradient: The norms of the gradient there, with shape (m).
        eigenvalues: The spectra of the Hessian, smallest first, with shape (m, D). Positive, but for 1e-12
            of rounding at a merging point.
        top_weight: The largest softmax weight of a pattern with all its exact copies, with shape (m).
        top_pattern: The pattern that has it, with shape (m).
        effective_number: The effective number of patterns, with shape (m).
        barrier: The lowest pass to another minimum in kT, with shape (m); infinite where there is no
            other, NaN where it was not asked for.
        barrier_certified: Whether the barrier is a checked saddle, not only an upper bound, with shape (m).
        unseen: Estimated share of the density in basins of minima that were not found.
        unconverged: How many of all starts did not come to rest.
    """

    beta: float
    points: Float[Tensor, "m D"]
    radius: Float[Tensor, " m"]
    energy: Float[Tensor, " m"]
    gradient: Float[Tensor, " m"]
    eigenvalues: Float[Tensor, "m D"]
    top_weight: Float[Tensor, " m"]
    top_pattern: Int[Tensor, " m"]
    effective_number: Float[Tensor, " m"]
    barrier: Float[Tensor, " m"]
    barrier_certified: Bool[Tensor, " m"]
    unseen: float
    unconverged: int

    def __len__(self) -> int:
        return len(self.points)

    def kinds(self, *, memory_weight: float = 0.9, flat: float = 0.1) -> Int[Tensor, " m"]:
        """Class of each minimum as an index into `KINDS`.

        Arguments:
            memory_weight: The top weight from which a minimum is a memory, in (0.5, 1].
            flat: The barrier in kT below which it belongs to a continuum, at least 0.

        Raises:
            ValueError: If an argument is out of range.
        """
        if not 0.5 < memory_weight <= 1:
            raise ValueError(f"`memory_weight` must lie in (0.5, 1], got {memory_weight}.")
        if not flat >= 0:
            raise ValueError(f"`flat` must be at least 0, got {flat}.")
        return torch.where(self.top_weight >= memory_weight, 0, torch.where(self.barrier < flat, 2, 1))


@dataclass(frozen=True)
class Basins:
    """How draws of the density fall to the minima.

    Attributes:
        counts: Draws that descended into each minimum, with shape (m).
        elsewhere: Draws that descended into a minimum not listed, or did not come to rest.
        total: All draws.
    """

    counts: Int[Tensor, " m"]
    elsewhere: int
    total: int

    @property
    def shares(self) -> Float[Tensor, " m"]:
        """Basin mass of each minimum, float64, with shape (m)."""
        return self.counts.double() / self.total


def find_minima(
    memory: DenseAM,
    *,
    generator: torch.Generator,
    starts: Float[Tensor, "s D"] | None = None,
    draws: int = 256,
    rounds: int = 10,
    barriers: bool = True,
) -> Minima:
    """Find and certify all minima of the energy. Computes in float64 whatever the dtype of the patterns.

    Arguments:
        memory: The memory.
        generator: Draws the random starts.
        starts: More states to start from, with shape (s, D).
        draws: The number of exact draws, and of random mixtures, in each round.
        rounds: The largest number of rounds; the search stops at the first that finds nothing.
        barriers: Whether to find the barriers of memories, too. Those of other minima are always found.

    Raises:
        ValueError: If `draws` or `rounds` is below 1.

    Example:
        >>> two = DenseAM(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), beta=0.45)  # beta d^2 = 1.8
        >>> len(find_minima(two, generator=torch.Generator()))
        1
        >>> len(find_minima(two.at(0.55), generator=torch.Generator()))  # beta d^2 = 2.2
        2
    """
    check_arguments(locals(), MINIMA_KINDS)
    _at_least_one(draws=draws, rounds=rounds)
    search = _Search(memory := memory.double())
    known = first_starts(memory, generator)
    if starts is not None:
        if starts.ndim != 2 or starts.shape[1] != memory.dim:
            raise ValueError(f"`starts` must have shape (s, {memory.dim}), got {tuple(starts.shape)}.")
        known = torch.cat([starts.to(known), known])
    for _ in range(rounds):
        drawn = memory.sample(draws, generator=generator)
        before = search.descend(known, drawn, mixtures(memory, draws, generator))
        known = known[:0]
        if len(search.points) == before:
            passes = search.passes(barriers)
            search.add(passes.strangers)
            if len(search.points) == before:
                return search.result(passes)[0]
    return search.result(search.passes(barriers))[0]


def survey(memory: DenseAM, *, draws: int, generator: torch.Generator) -> tuple[Minima, Basins]:
    """Minima and basins at once, from the patterns and from exact draws: quick, for sweeps.

    A minimum that is not reached from a pattern and has a basin much smaller than 1 / draws is missed;
    `find_minima` searches on. Barriers are found for minima that are no memories.

    Arguments:
        memory: The memory.
        draws: The number of draws, at least 1.
        generator: Makes the draws.

    Raises:
        ValueError: If `draws` is below 1.
    """
    _at_least_one(draws=draws)
    search = _Search(memory := memory.double())
    search.descend(memory.patterns, memory.sample(draws, generator=generator), memory.patterns[:0])
    minima, counts = search.result(search.passes(everywhere=False))
    return minima, Basins(counts, draws - int(counts.sum()), draws)


def basins(memory: DenseAM, minima: Minima, *, draws: int, generator: torch.Generator) -> Basins:
    """Descend from exact draws of the density and count where they end.

    Arguments:
        memory: The memory.
        minima: Its minima.
        draws: The number of draws, at least 1.
        generator: Makes the draws.

    Raises:
        ValueError: If `draws` is below 1.
    """
    _at_least_one(draws=draws)
    memory = memory.double()
    found = retrieve(memory, memory.sample(draws, generator=generator))
    index = locate(found.attractors[found.converged], minima.points, minima.radius)
    counts = torch.bincount(index[index >= 0].cpu(), minlength=len(minima))
    return Basins(counts, draws - int(counts.sum()), draws)


def _at_least_one(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"`{name}` must be at least 1, got {count}.")


class _Search:
    """The minima found so far, each with the radius within which a state counts as the same."""

    def __init__(self, memory: DenseAM) -> None:
        self.memory = memory
        self.points = memory.patterns.new_zeros(0, memory.dim)
        self.radius = memory.patterns.new_zeros(0)
        self.met = torch.zeros(0, dtype=torch.long)
        self.unconverged = 0
        distinct_patterns, inverse = memory.patterns.unique(dim=0, return_inverse=True)
        self.copies = None if len(distinct_patterns) == len(memory) else inverse

    def descend(self, known: Tensor, drawn: Tensor, mixed: Tensor) -> int:
        """Descend from all starts together; returns how many minima there are without random starts."""
        found = retrieve(self.memory, torch.cat([known, drawn, mixed]))
        self.unconverged += int((~found.converged).sum())
        sizes = [len(known), len(drawn), len(mixed)]
        parts = zip(found.attractors.split(sizes), found.converged.split(sizes), strict=True)
        from_known, from_drawn, from_mixed = (attractors[converged] for attractors, converged in parts)
        self.add(from_known)
        before = len(self.points)
        self.add(from_drawn)
        index = locate(from_drawn, self.points, self.radius)
        self.met += torch.bincount(index[index >= 0].cpu(), minlength=len(self.points))
        self.add(from_mixed)
        return before

    def add(self, states: Tensor) -> None:
        """Keep the states that are new minima: apart from all known ones, with no negative curvature."""
        states = states[locate(states, self.points, self.radius) < 0]
        states = distinct(states, LEAST / math.sqrt(2 * self.memory.beta))
        softness = 2 * self.memory.beta * soft_modes(self.memory, states)[0].amax(1)
        states = states[softness < 1 + FLAT]
        radius = same_within(self.memory, states)
        for row in self.memory.posterior(states).shift.norm(dim=1).argsort().tolist():
            reach = torch.maximum(self.radius, radius[row])
            if ((self.points - states[row]).norm(dim=1) > reach).all():
                self.points = torch.cat([self.points, states[row, None]])
                self.radius = torch.cat([self.radius, radius[row, None]])
        self.met = torch.nn.functional.pad(self.met, (0, len(self.points) - len(self.met)))

    def passes(self, everywhere: bool) -> Barriers:
        mixed = self._top_weight(self.points) < 0.9
        return find_barriers(self.memory, self.points, self.radius, of=mixed | everywhere)

    def _top_weight(self, points: Tensor) -> Tensor:
        """The largest weight of a pattern, all of its exact copies taken together."""
        if self.copies is None:
            return self.memory.occupation(points).top_weight
        weights = self.memory.weights(points)
        return weights.new_zeros(len(points), len(weights[0])).index_add(1, self.copies, weights).amax(1)

    def result(self, passes: Barriers) -> tuple[Minima, Tensor]:
        """The minima, lowest first, and how many draws ended in each."""
        memory, order = self.memory, self.memory.energy(self.points).argsort()
        points = self.points[order]
        effective_number, _, top_pattern = memory.occupation(points)
        modes = soft_modes(memory, points)[0]
        minima = Minima(
            beta=memory.beta,
            points=points,
            radius=self.radius[order],
            energy=memory.energy(points),
            gradient=memory.gradient(points).norm(dim=1),
            eigenvalues=2
            - 4 * memory.beta * torch.nn.functional.pad(modes, (0, memory.dim - modes.shape[1])),
            top_weight=self._top_weight(points),
            top_pattern=top_pattern,
            effective_number=effective_number,
            barrier=passes.height[order],
            barrier_certified=passes.certified[order],
            unseen=int((self.met == 1).sum()) / max(1, int(self.met.sum())),
            unconverged=self.unconverged,
        )
        return minima, self.met[order.cpu()]

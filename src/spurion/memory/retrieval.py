r"""Retrieval: from any state down the energy to its attractor.

The fixed-point update :math:`x \leftarrow m(x)` is attention over the patterns. It is gradient descent
with step 1/2 and a majorize-minimize step, so the energy never rises; but near a merging of two minima
it takes for ever, with rate :math:`2\beta\lambda_{\max}(C) \to 1`. After some such steps, retrieval
therefore goes on with Newton steps :math:`H p = -\nabla E`, solved by conjugate gradients with products
:math:`C v` only, cut at the trust radius :math:`\frac12 / \sqrt{2\beta}` or where the curvature is
negative (Steihaug). A step that would raise the energy is replaced by a fixed-point step.

A state that comes to rest on a saddle is pushed off along the softest direction, so that what is
returned as converged is a minimum, not just a critical point.

References:
    | Memorization to Generalization (Pham et al., 2025), Eq. 6
    | Mean shift, mode seeking, and clustering (Cheng, 1995)
    | The conjugate gradient method and trust regions in large scale optimization (Steihaug, 1983)
"""

__all__ = ["Retrieval", "retrieve", "soft_modes"]

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spurion.core.arguments import TENSOR, WHOLE, check_arguments
from spurion.memory.dense import DenseAM
from spurion.memory.logits import TOLERANCE
from spurion.memory.sums import attend_and_spread, spread

REST = {torch.float32: 1e-5, torch.float64: 1e-12}  # of the spread of the patterns: a shift that counts as 0
FIXED_POINT_STEPS = 8
DENSE_DIM = 64  # up to here the covariance is formed
PUSH = 0.02  # of the longest Newton step: how far off a saddle
POWER_STEPS = 20  # beyond, to find the softest direction
NEGLIGIBLE = 1e-20  # weight of a pattern that has no part in a spectrum


class Retrieval(NamedTuple):
    """Where states ended.

    Attributes:
        attractors: The final states, with shape (n, D).
        energy: Their energies, with shape (n).
        steps: The number of steps taken by each, with shape (n).
        converged: Whether each came to rest at a minimum, with shape (n).
    """

    attractors: Float[Tensor, "n D"]
    energy: Float[Tensor, " n"]
    steps: Int[Tensor, " n"]
    converged: Bool[Tensor, " n"]


class _Place(NamedTuple):
    """States with what the energy is there; the covariance in few dimensions only."""

    x: Tensor
    log_partition: Tensor
    shift: Tensor
    covariance: Tensor | None

    @classmethod
    def at(cls, memory: DenseAM, x: Tensor) -> "_Place":
        if memory.stored.few:
            betas = x.new_full((len(x),), memory.beta)
            return cls(x, *attend_and_spread(x, betas, memory.stored))
        log_partition, _, shift = memory.posterior(x)
        return cls(x, log_partition, shift, None)

    def some(self, rows: Tensor) -> "_Place":
        return _Place(*(None if part is None else part[rows] for part in self))

    def put(self, rows: Tensor, others: "_Place") -> None:
        for part, other in zip(self, others, strict=True):
            if part is not None:
                part[rows] = other

    def spread(self, memory: DenseAM, vectors: Tensor, wanted: Tensor) -> Tensor:
        """Products C v with one vector for each state; those not wanted may be anything."""
        if self.covariance is not None:
            return (self.covariance @ vectors[:, :, None])[:, :, 0]
        output, here = torch.zeros_like(vectors), self.some(wanted)
        betas = torch.full_like(here.log_partition, memory.beta)
        state = here.x, betas, memory.stored, here.log_partition, here.shift
        output[wanted] = spread(*state, vectors[wanted, None])[:, 0]
        return output


def retrieve(memory: DenseAM, x: Float[Tensor, "n D"], *, steps: int = 500) -> Retrieval:
    """Descend from each state to its attractor; the energy never rises on the way.

    Arguments:
        memory: The memory.
        x: The first states, with shape (n, D).
        steps: The largest number of steps of one state.

    Returns:
        The attractors. A state that still moved after `steps` is there with `converged` false.

    Raises:
        ValueError: If `steps` is below 1 or the states do not fit the memory.

    Example:
        >>> memory = DenseAM(torch.tensor([[-1.0], [1.0]]).double(), beta=1.0)
        >>> retrieve(memory, torch.tensor([[0.01]]).double()).attractors  # x = tanh(2 x)
        tensor([[0.9575]], dtype=torch.float64)
    """
    check_arguments(locals(), {"memory": (DenseAM, "a DenseAM"), "x": TENSOR, "steps": WHOLE})
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1, got {steps}.")
    place, rest = _Place.at(memory, x.detach()), resting_shift(memory, REST[x.dtype])
    walking = torch.arange(len(x), device=x.device)
    x, energy = x.detach().clone(), -place.log_partition / memory.beta
    radius = torch.full_like(energy, _widest(memory))
    push = PUSH * radius
    count, done = torch.zeros_like(walking), torch.zeros_like(walking, dtype=torch.bool)
    for step in range(steps):
        still = place.shift.norm(dim=1) <= rest
        if bool(still.any()):
            ended = _leave_saddles(memory, place, still, push)
            rows = walking[ended]
            x[rows], energy[rows], done[rows] = (
                place.x[ended],
                -place.log_partition[ended] / memory.beta,
                True,
            )
            place, walking, radius, push = place.some(~ended), walking[~ended], radius[~ended], push[~ended]
        if not len(walking):
            break
        if step < FIXED_POINT_STEPS:
            place = _Place.at(memory, place.x + place.shift)
        else:
            place, radius = _descend(memory, place, radius)
        count[walking] += 1
    x[walking], energy[walking] = place.x, -place.log_partition / memory.beta
    return Retrieval(x, energy, count, done)


def resting_shift(memory: DenseAM, share: float) -> float:
    """A shift that counts as 0: a share of the spread of the patterns, or what rounding leaves of one.

    Arguments:
        memory: The memory.
        share: The share of the largest distance of a pattern from their mean.
    """
    values = memory.patterns
    spread = float((values - memory.stored.center).norm(dim=1).max())
    return share * spread + 4 * torch.finfo(values.dtype).eps * float(values.norm(dim=1).max())


def soft_modes(
    memory: DenseAM, x: Float[Tensor, "n D"]
) -> tuple[Float[Tensor, "n r"], Float[Tensor, "n r D"]]:
    r"""Eigenvalues of the posterior covariance, largest first, with their directions.

    The Hessian has the eigenvalues :math:`2 - 4\beta\lambda` in these directions and 2 in all others.

    Arguments:
        memory: The memory.
        x: The states, with shape (n, D).

    Returns:
        The eigenvalues, with shape (n, r), and unit vectors, with shape (n, r, D), where r is D, or less
        where fewer patterns have a weight; absent ones are 0.
    """
    if memory.dim <= DENSE_DIM:
        values, vectors = torch.linalg.eigh(memory.posterior_covariance(x))
        return values.flip(1).clamp_min(0), vectors.mT.flip(1)
    modes = [_modes_of_one(memory, state) for state in x]
    rank = max((len(values) for values, _ in modes), default=1)
    all_values, all_vectors = x.new_zeros(len(x), rank), x.new_zeros(len(x), rank, memory.dim)
    for row, (values, vectors) in enumerate(modes):
        all_values[row, : len(values)], all_vectors[row, : len(values)] = values, vectors
    return all_values, all_vectors


def _modes_of_one(memory: DenseAM, x: Tensor) -> tuple[Tensor, Tensor]:
    weight = memory.weights(x[None])[0]
    used = (weight > NEGLIGIBLE).nonzero()[:, 0]
    values = memory.patterns[used]
    weighted = weight[used, None].sqrt() * (values - weight[used] @ values)
    if len(used) > memory.dim:
        values, vectors = torch.linalg.eigh(weighted.T @ weighted)
        return values.flip(0).clamp_min(0), vectors.T.flip(0)
    values, vectors = torch.linalg.eigh(weighted @ weighted.T)
    values = values.flip(0).clamp_min(0)
    return values, torch.nn.functional.normalize(vectors.T.flip(0) @ weighted, dim=1)


def _widest(memory: DenseAM) -> float:
    """The longest Newton step: half the width of a memory."""
    return 0.5 / math.sqrt(2 * memory.beta)


def _descend(memory: DenseAM, place: _Place, radius: Tensor) -> tuple[_Place, Tensor]:
    """Newton steps where they do not raise the energy, from a curved valley corrected once.

    Elsewhere the trust radius shrinks, and the step is one of the fixed-point iteration.
    """
    move = _newton_step(memory, place, radius)
    new = _Place.at(memory, place.x + move)
    slack = TOLERANCE[move.dtype] + 8 * torch.finfo(move.dtype).eps * place.log_partition.abs()
    least = place.log_partition - slack
    worse = (new.log_partition < least).nonzero()[:, 0]
    radius = (2 * radius).clamp_max(_widest(memory))
    if len(worse):
        radius[worse] = move[worse].norm(dim=1) / 2
        off = new.some(worse)
        new.put(worse, _Place.at(memory, off.x + _newton_step(memory, off, radius[worse])))
        worse = worse[new.log_partition[worse] < least[worse]]
    if len(worse):
        radius[worse] /= 2
        new.put(worse, _Place.at(memory, place.x[worse] + place.shift[worse]))
    return new, radius


def _newton_step(memory: DenseAM, place: _Place, radius: Tensor) -> Tensor:
    """Solve (I - 2 beta C) p = shift within the trust radius, by conjugate gradients."""
    step, residual, direction = torch.zeros_like(place.x), place.shift, place.shift
    first = square = residual.square().sum(1)
    active = torch.ones_like(square, dtype=torch.bool)
    for _ in range(min(memory.dim, 50)):
        bent = direction - 2 * memory.beta * place.spread(memory, direction, active)
        curvature = (direction * bent).sum(1)
        length = (square / curvature)[:, None]
        new = step + length * direction
        leaves = (curvature <= 0) | (new.norm(dim=1) >= radius)
        if bool(leaves.any()):
            new = torch.where(leaves[:, None], _to_boundary(step, direction, radius), new)
        step = torch.where(active[:, None], new, step)
        residual = residual - length * bent
        previous, square = square, residual.square().sum(1)
        direction = residual + (square / previous)[:, None] * direction
        active &= ~leaves & (square > 1e-16 * first)
        if not bool(active.any()):
            break
    return step


def _to_boundary(step: Tensor, along: Tensor, radius: Tensor) -> Tensor:
    a, b = along.square().sum(1), (step * along).sum(1)
    c = step.square().sum(1) - radius.square()
    return step + ((-b + (b * b - a * c).clamp_min(0).sqrt()) / a)[:, None] * along


def _leave_saddles(memory: DenseAM, place: _Place, still: Tensor, push: Tensor) -> Tensor:
    """Push states at rest off a saddle, along its softest direction; tells which of them stay.

    A state that comes back to rest on a saddle is pushed less far, lest it go round for ever.
    """
    rows = still.nonzero()[:, 0]
    if place.covariance is None:
        rows = rows[memory.occupation(place.x[rows]).top_weight < 1 - 1e-12]
        value, direction = _softest(memory, place.x[rows])
    else:
        values, vectors = torch.linalg.eigh(place.covariance[rows])
        value, direction = values[:, -1], vectors[:, :, -1]
    unstable = 2 * memory.beta * value > 1 + 1e3 * torch.finfo(place.x.dtype).eps
    rows = rows[unstable]
    if len(rows):
        place.put(rows, _Place.at(memory, place.x[rows] + push[rows, None] * direction[unstable]))
        push[rows] /= 4
    return still.index_fill(0, rows, False)


def _softest(memory: DenseAM, x: Tensor) -> tuple[Tensor, Tensor]:
    """Largest eigenvalue of the posterior covariance with its direction; in many dimensions by powers."""
    if memory.dim <= DENSE_DIM:
        values, vectors = soft_modes(memory, x)
        return values[:, 0], vectors[:, 0]
    index = torch.arange(1, memory.dim + 1, dtype=x.dtype, device=x.device)
    vectors = torch.nn.functional.normalize((index * 0.618034).frac() - 0.5, dim=0).expand(len(x), 1, -1)
    for _ in range(POWER_STEPS):
        moved = memory.covariance_product(x, vectors)
        values = (moved * vectors).sum(2)[:, 0]
        vectors = torch.nn.functional.normalize(moved, dim=2)
    return values, vectors[:, 0]

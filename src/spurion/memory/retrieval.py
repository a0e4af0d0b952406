r"""Retrieval: from any state down the energy to its attractor.

The fixed-point update :math:`x \leftarrow m(x)` is attention over the patterns. It is gradient descent
with step 1/2 and a majorize-minimize step, so the energy never rises; but near a merging of two minima
it takes for ever, with rate :math:`2\beta\lambda_{\max}(C) \to 1`. After some such steps, retrieval
therefore goes on with Newton steps :math:`H p = -\nabla E`, solved by conjugate gradients with products
:math:`C v` only, cut at a trust radius of at most :math:`\frac12 / \sqrt{2\beta}` or where the curvature is
negative (Steihaug). A step along a flat, curved valley leaves it and raises the energy; a second one brings
it back. Where the energy is still higher, the step is one of the fixed-point iteration, and the radius of
that state shrinks.

A state that comes to rest on a saddle is pushed off along the softest direction, so that what is
returned as converged is a minimum, not just a critical point. If it comes back, as where a valley is a ring
narrower than the push, the next push is shorter.

References:
    | Memorization to Generalization (Pham et al., 2025), Eq. 6
    | Mean shift, mode seeking, and clustering (Cheng, 1995)
    | The conjugate gradient method and trust regions in large scale optimization (Steihaug, 1983)
"""

__all__ = ["Retrieval", "resting_shift", "retrieve"]

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spurion.core.arguments import TENSOR, WHOLE, check_arguments
from spurion.memory.dense import DenseAM
from spurion.memory.logits import TOLERANCE
from spurion.memory.place import DENSE_DIM, Place

REST = {torch.float32: 1e-5, torch.float64: 1e-12}  # of the spread of the patterns: a shift that counts as 0
FIXED_POINT_STEPS = 8
PUSH = 0.02  # of the longest Newton step: how far off a saddle
POWER_STEPS = 20  # beyond, to find the softest direction


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
    if x.ndim != 2 or x.shape[1] != memory.dim:
        raise ValueError(f"`x` must have shape (n, {memory.dim}), got {tuple(x.shape)}.")
    place, rest = Place.at(memory, x.detach()), resting_shift(memory, REST[x.dtype])
    walking = torch.arange(len(x), device=x.device)
    x, energy = x.detach().clone(), -place.log_partition / memory.beta
    radius = torch.full_like(energy, _widest(memory))
    push = PUSH * radius
    count, done = torch.zeros_like(walking), torch.zeros_like(walking, dtype=torch.bool)
    for step in range(steps):
        still = place.shift.norm(dim=1) <= rest
        if bool(still.any()):
            ended = _leave_saddles(memory, place, still, push)
            rows, here = walking[ended], place.some(ended)
            x[rows], energy[rows], done[rows] = here.x, -here.log_partition / memory.beta, True
            place, walking, radius, push = place.some(~ended), walking[~ended], radius[~ended], push[~ended]
        if not len(walking):
            break
        if step < FIXED_POINT_STEPS:
            place = Place.at(memory, place.x + place.shift)
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


def _widest(memory: DenseAM) -> float:
    """The longest Newton step: half the width of a memory."""
    return 0.5 / math.sqrt(2 * memory.beta)


def _descend(memory: DenseAM, place: Place, radius: Tensor) -> tuple[Place, Tensor]:
    """Newton steps where they do not raise the energy, from a curved valley corrected once.

    Elsewhere the trust radius shrinks, and the step is one of the fixed-point iteration.
    """
    move = _newton_step(memory, place, radius)
    new = Place.at(memory, place.x + move)
    slack = TOLERANCE[move.dtype] + 8 * torch.finfo(move.dtype).eps * place.log_partition.abs()
    least = place.log_partition - slack
    worse = (new.log_partition < least).nonzero()[:, 0]
    radius = (2 * radius).clamp_max(_widest(memory))
    if len(worse):
        radius[worse] = move[worse].norm(dim=1)
        off = new.some(worse)
        new.put(worse, Place.at(memory, off.x + _newton_step(memory, off, radius[worse])))
        worse = worse[new.log_partition[worse] < least[worse]]
    if len(worse):
        radius[worse] /= 4
        new.put(worse, Place.at(memory, place.x[worse] + place.shift[worse]))
    return new, radius


def _newton_step(memory: DenseAM, place: Place, radius: Tensor) -> Tensor:
    """Solve (I - 2 beta C) p = shift within the trust radius, by conjugate gradients."""
    residual = direction = place.shift.T.contiguous()  # one column for each state, along which memory is fast
    step = torch.zeros_like(residual)
    first = square = residual.square().sum(0)
    active = torch.ones_like(square, dtype=torch.bool)
    for _ in range(min(memory.dim, 50)):
        bent = direction - 2 * memory.beta * place.spread(memory, direction.T, active).T
        curvature = (direction * bent).sum(0)
        length = square / curvature
        new = step + length * direction
        leaves = (curvature <= 0) | (new.square().sum(0) >= radius.square())
        if bool(leaves.any()):
            new = torch.where(leaves, _to_boundary(step, direction, radius), new)
        step = torch.where(active, new, step)
        residual = residual - length * bent
        previous, square = square, residual.square().sum(0)
        direction = residual + square / previous * direction
        active &= ~leaves & (square > 1e-16 * first)
        if not bool(active.any()):
            break
    return step.T


def _to_boundary(step: Tensor, along: Tensor, radius: Tensor) -> Tensor:
    a, b = along.square().sum(0), (step * along).sum(0)
    c = step.square().sum(0) - radius.square()
    return step + ((-b + (b * b - a * c).clamp_min(0).sqrt()) / a) * along


def _leave_saddles(memory: DenseAM, place: Place, still: Tensor, push: Tensor) -> Tensor:
    """Push states at rest off a saddle, along its softest direction; tells which of them stay.

    A state that comes back to rest on a saddle is pushed less far, lest it go round for ever.
    """
    rows = still.nonzero()[:, 0]
    if place.covariance is None:
        rows = rows[memory.occupation(place.x[rows]).top_weight < 1 - 1e-12]
    value, direction = _softest(memory, place.some(rows))
    unstable = 2 * memory.beta * value > 1 + 1e3 * torch.finfo(place.x.dtype).eps
    rows = rows[unstable]
    if len(rows):
        place.put(rows, Place.at(memory, place.x[rows] + push[rows, None] * direction[unstable]))
        push[rows] /= 4
    return still.index_fill(0, rows, False)


def _softest(memory: DenseAM, place: Place) -> tuple[Tensor, Tensor]:
    """Largest eigenvalue of the posterior covariance with its direction; in many dimensions by powers."""
    if memory.dim <= DENSE_DIM:
        values, vectors = place.modes(memory)
        return values[:, 0], vectors[:, 0]
    x = place.x
    index = torch.arange(1, memory.dim + 1, dtype=x.dtype, device=x.device)
    vectors = torch.nn.functional.normalize((index * 0.618034).frac() - 0.5, dim=0).expand(len(x), 1, -1)
    for _ in range(POWER_STEPS):
        moved = memory.covariance_product(x, vectors)
        values = (moved * vectors).sum(2)[:, 0]
        vectors = torch.nn.functional.normalize(moved, dim=2)
    return values, vectors[:, 0]

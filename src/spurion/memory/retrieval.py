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
from spurion.memory.sums import spread

REST = {torch.float32: 1e-5, torch.float64: 1e-12}  # of the spread of the patterns: a shift that counts as 0
FIXED_POINT_STEPS = 8
DENSE_DIM = 64  # up to here the covariance is formed
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
    x = x.detach().clone()
    log_partition, _, shift = memory.posterior(x)
    rest = resting_shift(memory, REST[x.dtype])
    count = torch.zeros(len(x), dtype=torch.long, device=x.device)
    done = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for step in range(steps):
        still = (~done & (shift.norm(dim=1) <= rest)).nonzero()[:, 0]
        if len(still):
            x[still], escaped = _leave_saddles(memory, x[still])
            done[still[~escaped]] = True
            log_partition[still], _, shift[still] = memory.posterior(x[still])
        rows = (~done).nonzero()[:, 0]
        if not len(rows):
            break
        state = x[rows], log_partition[rows], shift[rows]
        move = shift[rows] if step < FIXED_POINT_STEPS else _newton_step(memory, *state)
        x[rows], log_partition[rows], shift[rows] = _descend(memory, *state, move)
        count[rows] += 1
    return Retrieval(x, -log_partition / memory.beta, count, done)


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


def _descend(
    memory: DenseAM, x: Tensor, log_partition: Tensor, shift: Tensor, move: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Take the step where it does not raise the energy, the fixed-point step elsewhere."""
    new = x + move
    new_log, _, new_shift = memory.posterior(new)
    slack = TOLERANCE[x.dtype] + 8 * torch.finfo(x.dtype).eps * log_partition.abs()
    worse = (new_log < log_partition - slack).nonzero()[:, 0]
    if len(worse):
        new[worse] = x[worse] + shift[worse]
        new_log[worse], _, new_shift[worse] = memory.posterior(new[worse])
    return new, new_log, new_shift


def _newton_step(memory: DenseAM, x: Tensor, log_partition: Tensor, shift: Tensor) -> Tensor:
    """Solve (I - 2 beta C) p = shift within the trust radius, by conjugate gradients."""
    radius, betas = 0.5 / math.sqrt(2 * memory.beta), torch.full_like(log_partition, memory.beta)
    step, residual, direction = torch.zeros_like(x), shift.clone(), shift.clone()
    first = square = residual.square().sum(1)
    active = torch.arange(len(x), device=x.device)
    for _ in range(min(memory.dim, 50)):
        along = direction[active]
        state = x[active], betas[active], memory.stored, log_partition[active], shift[active]
        bent = along - 2 * memory.beta * spread(*state, along[:, None])[:, 0]
        curvature = (along * bent).sum(1)
        length = square[active] / curvature
        new = step[active] + length[:, None] * along
        leaves = (curvature <= 0) | (new.norm(dim=1) >= radius)
        new[leaves] = _to_boundary(step[active][leaves], along[leaves], radius)
        step[active] = new
        residual[active] -= length[:, None] * bent
        previous, square = square, residual.square().sum(1)
        direction = residual + (square / previous)[:, None] * direction
        active = active[~leaves & (square[active] > 1e-16 * first[active])]
        if not len(active):
            break
    return step


def _to_boundary(step: Tensor, along: Tensor, radius: float) -> Tensor:
    a, b = along.square().sum(1), (step * along).sum(1)
    c = step.square().sum(1) - radius**2
    return step + ((-b + (b * b - a * c).clamp_min(0).sqrt()) / a)[:, None] * along


def _leave_saddles(memory: DenseAM, x: Tensor) -> tuple[Tensor, Tensor]:
    """Push states at rest off a saddle, along its softest direction; the others stay."""
    escaped = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    mixed = (memory.occupation(x).top_weight < 1 - 1e-12).nonzero()[:, 0]
    if not len(mixed):
        return x, escaped
    value, direction = _softest(memory, x[mixed])
    unstable = 2 * memory.beta * value > 1 + 1e3 * torch.finfo(x.dtype).eps
    rows = mixed[unstable]
    x = x.clone()
    x[rows] += 1e-2 / math.sqrt(2 * memory.beta) * direction[unstable]
    escaped[rows] = True
    return x, escaped


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

r"""Barriers between minima: how much energy it takes to leave one for another.

The barrier of a minimum is the energy of the lowest pass to another minimum above its own, in units of
kT = :math:`1/\beta`. Passes are index-1 saddles, found in three steps:

1. *string*: images on the straight line between two neighbors descend by fixed-point steps and are
   spread evenly along the path again, so that the path sinks into the valleys;
2. *climb*: from the highest image, Newton steps go up along the softest direction and down along all
   others, to a critical point with one negative eigenvalue;
3. *check*: descents from both sides of that saddle end in two different minima. These are the ones it
   connects, whatever pair the string began with, and one of them may be new.

Where no saddle passes the check, the highest point of the string is an upper bound of the barrier.

References:
    | Simplified string method (E, Ren & Vanden-Eijnden, 2007)
"""

__all__ = ["Barriers", "find_barriers"]

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spurion.memory.dense import DenseAM
from spurion.memory.retrieval import retrieve, soft_modes

IMAGES = 15
STRING_STEPS = 40
CLIMB_STEPS = 30


class Barriers(NamedTuple):
    """Passes between minima.

    Attributes:
        height: The barrier of each minimum in kT, infinite where it is alone, NaN where not asked for,
            with shape (m).
        certified: Whether the pass is a checked saddle and not only an upper bound, with shape (m).
        saddles: The checked saddles, with shape (s, D).
        ends: The minima that each saddle connects, as rows of the points given; -1 for a minimum that was
            not among them, with shape (s, 2).
        strangers: These other minima, with shape (u, D).
    """

    height: Float[Tensor, " m"]
    certified: Bool[Tensor, " m"]
    saddles: Float[Tensor, "s D"]
    ends: Int[Tensor, "s 2"]
    strangers: Float[Tensor, "u D"]


def find_barriers(
    memory: DenseAM,
    points: Float[Tensor, "m D"],
    *,
    of: Bool[Tensor, " m"] | None = None,
    neighbors: int = 4,
    merge: float,
) -> Barriers:
    """Find the barriers around minima.

    Arguments:
        memory: The memory.
        points: Its minima, with shape (m, D).
        of: For which minima barriers are wanted, with shape (m); none means all.
        neighbors: How many of its nearest minima each one is joined with.
        merge: Distance below which two states are the same minimum.
    """
    count = len(points)
    wanted = torch.ones(count, dtype=torch.bool, device=points.device) if of is None else of
    height = torch.where(wanted, torch.inf, torch.nan).to(points)
    certified = wanted.clone()
    pairs = _pairs(points, wanted, neighbors)
    if not len(pairs):
        empty = points.new_zeros(0, points.shape[1])
        return Barriers(height, certified, empty, pairs, empty)
    top, top_energy = _highest_on_strings(memory, points[pairs[:, 0]], points[pairs[:, 1]])
    saddles, ends, strangers = _checked_saddles(memory, points, top, merge)
    energy = memory.energy(points)
    sides = torch.cat([ends[:, 0], ends[:, 1]])
    known = sides >= 0
    passes = memory.energy(saddles).repeat(2)[known] - energy[sides[known]]
    height = _lowest(height, sides[known], memory.beta * passes, wanted)
    certified &= torch.isfinite(height) | (count == 1)
    rises = memory.beta * (top_energy.repeat(2) - energy[pairs.T.flatten()])
    open_ends = wanted & ~certified
    height = _lowest(height, pairs.T.flatten(), rises, open_ends)
    return Barriers(height, certified, saddles, ends, strangers)


def _lowest(height: Tensor, index: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    lowest = height.scatter_reduce(0, index, values.clamp_min(0), "amin")
    return torch.where(wanted, lowest, height)


def _pairs(points: Tensor, wanted: Tensor, neighbors: int) -> Tensor:
    """Each wanted minimum with its nearest ones, every pair once, with shape (p, 2)."""
    rows = wanted.nonzero()[:, 0]
    count = min(neighbors, len(points) - 1)
    if not len(rows) or count < 1:
        return torch.zeros(0, 2, dtype=torch.long, device=points.device)
    distances = torch.cdist(points[rows], points)
    distances[torch.arange(len(rows)), rows] = torch.inf
    nearest = distances.topk(count, largest=False).indices
    pairs = torch.stack([rows[:, None].expand_as(nearest), nearest], 2).flatten(0, 1)
    return pairs.sort(1).values.unique(dim=0)


def _highest_on_strings(memory: DenseAM, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """The highest point of each relaxed string, with its energy."""
    shares = torch.linspace(0, 1, IMAGES + 2, dtype=first.dtype, device=first.device)
    path = first[:, None] + shares[:, None] * (last - first)[:, None]
    for _ in range(STRING_STEPS):
        inner = path[:, 1:-1]
        path[:, 1:-1] = memory.posterior_mean(inner.flatten(0, 1)).view_as(inner)
        path = _evenly(path, shares)
    energy = memory.energy(path.flatten(0, 1)).view(path.shape[:2])
    top = energy.argmax(1)
    rows = torch.arange(len(path), device=path.device)
    return path[rows, top], energy[rows, top]


def _evenly(path: Tensor, shares: Tensor) -> Tensor:
    """Move the images of each path to equal distances along it."""
    lengths = path.diff(dim=1).norm(dim=2).cumsum(1)
    lengths = torch.nn.functional.pad(lengths, (1, 0))
    wanted = shares * lengths[:, -1:]
    right = torch.searchsorted(lengths, wanted.contiguous()).clamp(1, path.shape[1] - 1)
    left_length, right_length = lengths.gather(1, right - 1), lengths.gather(1, right)
    share = ((wanted - left_length) / (right_length - left_length).clamp_min(1e-300))[:, :, None]
    index = right[:, :, None].expand_as(path)
    return path.gather(1, index - 1) * (1 - share) + path.gather(1, index) * share


def _checked_saddles(
    memory: DenseAM, points: Tensor, top: Tensor, merge: float
) -> tuple[Tensor, Tensor, Tensor]:
    saddles, direction = _climb(memory, top)
    step = 1e-2 / math.sqrt(2 * memory.beta) * direction
    found = retrieve(memory, torch.cat([saddles - step, saddles + step]))
    distance = torch.cdist(found.attractors, points, compute_mode="donot_use_mm_for_euclid_dist")
    nearest, index = distance.min(1)
    ends = torch.where(nearest <= merge, index, -1).view(2, -1).T
    apart = found.attractors.view(2, len(saddles), -1).diff(dim=0)[0].norm(dim=1) > merge
    good = found.converged.view(2, -1).all(0) & apart
    strangers = found.attractors[((nearest > merge) & good.repeat(2))]
    return saddles[good], ends[good], strangers


def _climb(memory: DenseAM, x: Tensor) -> tuple[Tensor, Tensor]:
    """Go to the index-1 saddles near `x`; return those reached, with their unstable directions."""
    x, radius = x.clone(), 0.5 / math.sqrt(2 * memory.beta)
    for _ in range(CLIMB_STEPS):
        values, vectors = soft_modes(memory, x)
        shift = memory.posterior(x).shift
        along = (vectors @ shift[:, :, None])[:, :, 0]
        curvature = (1 - 2 * memory.beta * values).abs().clamp_min(1e-9)
        gain = 1 / curvature - 1
        gain[:, 0] = -1 / curvature[:, 0] - 1
        move = shift + ((gain * along)[:, None] @ vectors)[:, 0]
        length = move.norm(dim=1, keepdim=True)
        x += move * (radius / length.clamp_min(1e-300)).clamp_max(1)
    values, vectors = soft_modes(memory, x)
    still = memory.posterior(x).shift.norm(dim=1) <= 1e-9 * memory.patterns.norm(dim=1).max()
    unstable = 2 * memory.beta * values > 1
    index_one = unstable[:, 0] & (unstable.sum(1) == 1)
    good = still & index_one
    return x[good], vectors[good, 0]

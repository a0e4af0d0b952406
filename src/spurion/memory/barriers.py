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
from spurion.memory.distinct import locate
from spurion.memory.place import Place
from spurion.memory.retrieval import resting_shift, retrieve

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
    radius: Float[Tensor, " m"],
    *,
    of: Bool[Tensor, " m"],
    neighbors: int = 4,
) -> Barriers:
    """Find the barriers around minima.

    Arguments:
        memory: The memory.
        points: Its minima, with shape (m, D).
        radius: The distance within which a state counts as one of them, with shape (m).
        of: For which minima barriers are wanted, with shape (m).
        neighbors: How many of its nearest minima each one is joined with.
    """
    height = torch.where(of, torch.inf, torch.nan).to(points)
    pairs = _pairs(points, of, neighbors)
    if not len(pairs):
        empty = points.new_zeros(0, points.shape[1])
        return Barriers(height, of, empty, pairs, empty)
    top, top_energy = _highest_on_strings(memory, points[pairs[:, 0]], points[pairs[:, 1]])
    saddles, ends, strangers = _checked_saddles(memory, points, radius, top)
    energy = memory.energy(points)
    sides = torch.cat([ends[:, 0], ends[:, 1]])
    known = sides >= 0
    passes = memory.energy(saddles).repeat(2)[known] - energy[sides[known]]
    height = _lowest(height, sides[known], memory.beta * passes, of)
    certified = torch.isfinite(height)
    rises = memory.beta * (top_energy.repeat(2) - energy[pairs.T.flatten()])
    height = _lowest(height, pairs.T.flatten(), rises, of & ~certified)
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
    answer: Tensor = pairs.sort(1).values.unique(dim=0)
    return answer


def _highest_on_strings(memory: DenseAM, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """The highest point of each relaxed string, with its energy."""
    shares = torch.linspace(0, 1, IMAGES + 2, dtype=first.dtype, device=first.device)
    path = first[:, None] + shares[:, None] * (last - first)[:, None]
    for _ in range(STRING_STEPS):
        inner = path[:, 1:-1]
        path[:, 1:-1] = inner + Place.at(memory, inner.flatten(0, 1)).shift.view_as(inner)
        path = _evenly(path, shares)
    top = _depth(memory, path.flatten(0, 1)).view(path.shape[:2])[:, 1:-1].argmin(1) + 1
    rows = torch.arange(len(path), device=path.device)
    low, middle, high = path[rows, top - 1], path[rows, top], path[rows, top + 1]
    ridge = 0.1 / (2 * memory.beta * float(first.sub(last).norm(dim=1).max()))
    steps = math.ceil(math.log2(max(2.0, float((high - low).norm(dim=1).max()) / ridge)))
    for _ in range(steps):  # a ridge is far narrower than the distance of two images
        left, right = (low + middle) / 2, (middle + high) / 2
        trial = torch.stack([left, middle, right])
        best = _depth(memory, trial.flatten(0, 1)).view(3, -1).argmin(0)[:, None]
        low = torch.where(best == 0, low, torch.where(best == 1, left, middle))
        high = torch.where(best == 0, middle, torch.where(best == 1, right, high))
        middle = trial.gather(0, best.expand(len(low), memory.dim)[None])[0]
    return middle, memory.energy(middle)


def _depth(memory: DenseAM, x: Tensor) -> Tensor:
    return Place.at(memory, x).log_partition


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
    memory: DenseAM, points: Tensor, radius: Tensor, top: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Saddles whose two descents end in different minima, which ones, and those that are not known."""
    saddles, direction = _climb(memory, top)
    step = 1e-2 / math.sqrt(2 * memory.beta) * direction
    found = retrieve(memory, torch.cat([saddles - step, saddles + step]))
    ends = locate(found.attractors, points, radius).view(2, -1).T
    sides = found.attractors.view(2, *saddles.shape)
    good = found.converged.view(2, -1).all(0) & ((ends[:, 0] != ends[:, 1]) | (ends[:, 0] < 0))
    return saddles[good], ends[good], sides[(ends.T < 0) & good]


def _climb(memory: DenseAM, x: Tensor) -> tuple[Tensor, Tensor]:
    """Go to the index-1 saddles near `x`; return those reached, with their unstable directions."""
    x, radius = x.clone(), 0.5 / math.sqrt(2 * memory.beta)
    rest = resting_shift(memory, 1e-9)
    for _ in range(CLIMB_STEPS):
        place = Place.at(memory, x)
        shift = place.shift
        if float(shift.norm(dim=1).max()) <= rest:
            break
        values, vectors = place.modes(memory)
        along = (vectors @ shift[:, :, None])[:, :, 0]
        curvature = (1 - 2 * memory.beta * values).abs().clamp_min(1e-9)
        gain = 1 / curvature - 1
        gain[:, 0] = -1 / curvature[:, 0] - 1
        move = shift + ((gain * along)[:, None] @ vectors)[:, 0]
        length = move.norm(dim=1, keepdim=True)
        x += move * (radius / length.clamp_min(1e-300)).clamp_max(1)
    place = Place.at(memory, x)
    values, vectors = place.modes(memory)
    still = place.shift.norm(dim=1) <= rest
    unstable = 2 * memory.beta * values > 1
    index_one = unstable[:, 0] & (unstable.sum(1) == 1)
    good = still & index_one
    return x[good], vectors[good, 0]

r"""Where a search for minima starts from.

All critical points lie in the convex hull of the patterns, so that is where every start lies.
"""

__all__ = ["first_starts", "mixtures"]

import math

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.memory.dense import DenseAM

MANY = 4096  # patterns, pairs and grid points at most
NEAREST = 3
GRID_DIM = 3


def first_starts(memory: DenseAM, generator: torch.Generator) -> Float[Tensor, "s D"]:
    """Patterns, points between near neighbors, the center, and a grid in up to three dimensions.

    Arguments:
        memory: The memory.
        generator: Chooses among the patterns where there are too many.
    """
    patterns = memory.patterns
    if len(patterns) > MANY:
        chosen = torch.randperm(len(patterns), generator=generator)[:MANY]
        patterns = patterns[chosen.to(patterns.device)]
    parts = [patterns, _between(patterns), patterns.mean(0, keepdim=True)]
    if memory.dim <= GRID_DIM:
        parts.append(_grid(memory))
    return torch.cat(parts)


def mixtures(memory: DenseAM, count: int, generator: torch.Generator) -> Float[Tensor, "count D"]:
    """Random convex combinations of a few patterns each: two, three, up to eight.

    Arguments:
        memory: The memory.
        count: How many.
        generator: Draws patterns and weights.
    """
    patterns = memory.patterns
    index = torch.randint(len(patterns), (count, 8), generator=generator)
    weights = -torch.rand(count, 8, generator=generator, dtype=patterns.dtype).log()
    weights *= torch.arange(8) <= 1 + torch.arange(count)[:, None] % 7
    weights = (weights / weights.sum(1, keepdim=True)).to(patterns.device)
    return (weights[:, None] @ patterns[index.to(patterns.device)])[:, 0]


def _between(patterns: Tensor) -> Tensor:
    count = min(NEAREST, len(patterns) - 1)
    if count < 1:
        return patterns[:0]
    size = max(1, 2**22 // len(patterns))
    nearest = []
    for start in range(0, len(patterns), size):
        distances = torch.cdist(patterns[start : start + size], patterns)
        distances.diagonal(start).fill_(torch.inf)
        nearest.append(distances.topk(count, largest=False).indices)
    partner = torch.cat(nearest).flatten()
    return (patterns.repeat_interleave(count, 0) + patterns[partner]) / 2


def _grid(memory: DenseAM) -> Tensor:
    """Grid over the bounding box, with a spacing near 0.7 / sqrt(2 beta) where that is not too fine."""
    low, high = memory.patterns.amin(0), memory.patterns.amax(0)
    finest = int(MANY ** (1 / memory.dim))
    axes = []
    for a, b in zip(low.tolist(), high.tolist(), strict=True):
        size = math.ceil((b - a) * math.sqrt(2 * memory.beta) / 0.7) + 1
        axes.append(torch.linspace(a, b, min(size, finest), dtype=memory.patterns.dtype))
    return torch.cartesian_prod(*axes).view(-1, memory.dim).to(memory.patterns.device)

r"""When two states are the same minimum.

A retrieved minimum is off its true place by about the Newton step that remains, shift / curvature. Near
a merging point, where the curvature goes to 0, that is much more than rounding; so every minimum carries
a radius of its own.
"""

__all__ = ["distinct", "locate", "same_within"]

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spurion.memory.dense import DenseAM
from spurion.memory.place import Place

LEAST, MOST = 1e-4, 0.05  # bounds of the radius, in units of 1 / sqrt(2 beta), the width of a memory


def same_within(memory: DenseAM, states: Float[Tensor, "n D"]) -> Float[Tensor, " n"]:
    """Distance within which another state is the same minimum: ten times the Newton step that remains.

    Arguments:
        memory: The memory.
        states: Minima, as retrieved, with shape (n, D).
    """
    unit = 1 / math.sqrt(2 * memory.beta)
    place = Place.at(memory, states)
    softest = 1 - 2 * memory.beta * place.modes(memory)[0].amax(1)
    shift = place.shift.norm(dim=1)
    answer: Float[Tensor, " n"] = (10 * shift / softest.clamp_min(1e-300)).clamp(LEAST * unit, MOST * unit)
    return answer


def distinct(states: Float[Tensor, "n D"], radius: float) -> Float[Tensor, "m D"]:
    """One of each group of states closer than `radius` to it."""
    kept = [states[:0]]
    while len(states):
        kept.append(states[:1])
        states = states[(states - states[0]).norm(dim=1) > radius]
    return torch.cat(kept)


def locate(
    x: Float[Tensor, "n D"], points: Float[Tensor, "m D"], radius: Float[Tensor, " m"]
) -> Int[Tensor, " n"]:
    """Which of the points each state lies on, within its radius; -1 for none, with shape (n)."""
    if not len(points):
        return torch.full((len(x),), -1, dtype=torch.long, device=x.device)
    nearest, index = torch.cdist(x, points, compute_mode="donot_use_mm_for_euclid_dist").min(1)
    return torch.where(nearest <= radius[index], index, -1)

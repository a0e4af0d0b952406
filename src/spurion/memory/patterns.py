"""Random patterns to store: of which kinds a capacity curve can be drawn."""

__all__ = ["PATTERNS", "random_circle"]

import math
from collections.abc import Callable
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.core.arguments import GENERATOR, WHOLE, check_arguments

Draw = Callable[[int, int, torch.Generator], Tensor]


def random_circle(count: int, *, generator: torch.Generator) -> Float[Tensor, "count 2"]:
    """Freshly drawn patterns, uniform on the unit circle, float64, with shape (count, 2).

    Raises:
        ValueError: If `count` is below 1.
    """
    check_arguments(locals(), {"count": WHOLE, "generator": GENERATOR})
    if count < 1:
        raise ValueError(f"`count` must be at least 1, got {count}.")
    angles = 2 * math.pi * torch.rand(count, generator=generator, dtype=torch.float64)
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def _circle(count: int, dim: int, rng: torch.Generator) -> Tensor:
    if dim != 2:
        raise ValueError(f"`dim` must be 2 for patterns on a circle, got {dim}.")
    return random_circle(count, generator=rng)


def _gaussian(count: int, dim: int, rng: torch.Generator) -> Tensor:
    return torch.randn(count, dim, generator=rng, dtype=torch.float64)


def _sphere(count: int, dim: int, rng: torch.Generator) -> Tensor:
    return torch.nn.functional.normalize(_gaussian(count, dim, rng), dim=1)


def _binary(count: int, dim: int, rng: torch.Generator) -> Tensor:
    return torch.randint(0, 2, (count, dim), generator=rng).double() * 2 - 1


PATTERNS: MappingProxyType[str, Draw] = MappingProxyType(
    {"circle": _circle, "sphere": _sphere, "gaussian": _gaussian, "binary": _binary}
)
"""Random patterns by name: unit circle, unit sphere, standard normal, entries -1 and +1."""

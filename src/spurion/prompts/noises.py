"""Initial noises: each from a stream of its own, the same for all prompts."""

__all__ = ["initial_noises", "prompt_noises"]

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.core.random import generator


def initial_noises(shape: tuple[int, ...], count: int, seed: int) -> Float[Tensor, "count *shape"]:
    """Initial noises; noise i comes from ``generator(seed, "prompt", i)`` alone.

    Arguments:
        shape: The shape of one item.
        count: How many, at least 1.
        seed: The seed of them all.

    Returns:
        Standard normal, float32, on the CPU, with shape (count, *shape).

    Raises:
        ValueError: If `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1, got {count}.")
    return prompt_noises(shape, range(count), seed)


def prompt_noises(shape: tuple[int, ...], members: range, seed: int) -> Float[Tensor, "m *shape"]:
    """Standard normal initial noises, float32, on the CPU; noise i is of ``generator(seed, "prompt", i)``."""
    return torch.stack([torch.randn(shape, generator=generator(seed, "prompt", i)) for i in members])

"""How fast this machine multiplies, and how many operations a training step needs."""

import copy
import statistics
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch.nn.functional import conv2d
from torch.utils.flop_counter import FlopCounterMode
from training_loops import SCHEDULE, Case

Key = TypeVar("Key")

SIDE = 1024
"""Rows and columns of the matrices."""


def in_turns(loops: Mapping[Key, Callable[[int], object]], rounds: int, repeats: int) -> dict[Key, float]:
    """Median processor seconds of one call of each, over rounds of so many calls, after one round to warm up.

    Rounds go in turns, so that a machine that slows down slows all.
    """
    seconds: dict[Key, list[float]] = {name: [] for name in loops}
    for number in range(rounds + 1):
        for name, call in loops.items():
            begun = time.process_time()
            for index in range(repeats):
                call(number * repeats + index)
            if number:
                seconds[name].append((time.process_time() - begun) / repeats)
    return {name: statistics.median(values) for name, values in seconds.items()}


def products() -> dict[str, tuple[Callable[[int], object], int]]:
    """Matrix products and 3 x 3 convolutions forward in both precisions, with their operations."""
    found = {}
    for dtype, name in ((torch.float32, "float32"), (torch.bfloat16, "bf16")):
        matrix = torch.randn(SIDE, SIDE).to(dtype)
        found[f"product {name}"] = (lambda number, m=matrix: m @ m), 2 * SIDE**3
        images, weights = torch.randn(32, 64, 28, 28).to(dtype), torch.randn(64, 64, 3, 3).to(dtype)
        operations = 2 * images.numel() * 64 * 9
        found[f"convolution {name}"] = (
            (lambda number, x=images, w=weights: conv2d(x, w, padding=1)),
            operations,
        )
    return found


def operations_of(case: Case, images: torch.Tensor) -> int:
    """Multiplications and additions of products and convolutions in a step; backward counts twice forward."""
    network = copy.deepcopy(case.fresh(images, 0).network)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.zeros(1, *case.shape), torch.tensor([SCHEDULE.steps // 2]))
    return 3 * case.batch * counter.get_total_flops()

"""Recall capacity: up to which training size the iterated denoiser leaves training images where they are."""

__all__ = ["recall_capacity"]

from collections.abc import Mapping

import numpy as np

from spurion.core.random import derive_seed
from spurion.geometry.groups.flow import SampleFlow
from spurion.phases.passage import Capacity, passage
from spurion.phases.transitions import RESAMPLES


def recall_capacity(
    flows: Mapping[int, SampleFlow], *, epsilon: float = 0.1, seed: int, resamples: int = RESAMPLES
) -> Capacity | None:
    """Where the share of recalled training images passes 1 - epsilon; see `spurion.phases.passage`.

    Arguments:
        flows: What was found at each training size.
        epsilon: The share in (0, 1) that may be missing.
        seed: Seed of the bootstrap.
        resamples: Number of resampled studies, in which the recalled images are drawn anew.

    Returns:
        The capacity; None where no training image was followed at any size.
    """
    known = {k: flow for k, flow in sorted(flows.items()) if flow.images}
    if not known:
        return None
    sizes = np.array(list(known), dtype=np.int64)
    total = np.array([flow.images for flow in known.values()], dtype=np.int64)
    recalled = np.array([flow.recalled for flow in known.values()], dtype=np.int64)
    draw = np.random.default_rng(derive_seed(seed, "bootstrap"))
    drawn = draw.binomial(total, recalled / total, size=(resamples, len(sizes)))
    every = np.concatenate([recalled[None], drawn])
    return passage(sizes, every, total, 1 - epsilon, "recalled", falling=True)

r"""Which images are trained on: a held-out part that is never touched, and nested training subsets.

The subset of size K is :math:`S_K = \{x_{\pi(1)}, \dots, x_{\pi(K)}\}` with one random permutation
:math:`\pi` for all K, so that :math:`S_K \subset S_{K'}` for K < K'.

References:
    | Memorization to Generalization (Pham et al., 2025): the same random seed for all splits, 3407
"""

__all__ = ["PAPER_SEED", "Split", "hold_out", "nested_order"]

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from spurion.data.imageset import ImageSet

PAPER_SEED = 3407
"""The seed of the paper's training subsets."""

_HOLDOUT_SEED = 0


@dataclass(frozen=True, eq=False)
class Split:
    """Images to train on and images kept away from training.

    Attributes:
        train: The images that training subsets are drawn from.
        holdout: Images of the same kind that no model ever sees, or None.
    """

    train: ImageSet
    holdout: ImageSet | None = None


def nested_order(n: int, seed: int) -> Int64[Tensor, " n"]:
    """The order in which images enter the training subsets: S_K is its first K entries.

    Arguments:
        n: The number of images, at least 1.
        seed: The seed of the permutation; the paper's is `PAPER_SEED`.

    Returns:
        A permutation of 0..n-1: ``torch.randperm`` with a generator seeded by `seed`.

    Raises:
        ValueError: If `n` is under 1.

    Example:
        >>> nested_order(5, PAPER_SEED).sort().values.tolist()
        [0, 1, 2, 3, 4]
    """
    if n < 1:
        raise ValueError(f"`n` must be at least 1, got {n}.")
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


def hold_out(images: ImageSet, fraction: float) -> Split:
    """Hold out a fraction of a set, always the same images whatever a study's seed.

    Arguments:
        images: The set to divide; both parts keep its order.
        fraction: The share to hold out, in (0, 1); rounded to whole images.

    Raises:
        ValueError: If either part would be empty.
    """
    count = round(fraction * len(images)) if 0 < fraction < 1 else 0
    if not 0 < count < len(images):
        raise ValueError(
            f"`holdout` must be a fraction that leaves images on both sides, got {fraction:g} of "
            f"{len(images)} images."
        )
    order = nested_order(len(images), _HOLDOUT_SEED)
    train, holdout = order[count:].sort().values, order[:count].sort().values
    return Split(images.subset(train), images.subset(holdout, f"{images.name} (held out)"))

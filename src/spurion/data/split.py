r"""Which images are trained on: a held-out part that is never touched, and nested training subsets.

The subset of size K is :math:`S_K = \{x_{\pi(1)}, \dots, x_{\pi(K)}\}` with one random permutation
:math:`\pi` for all K, so that :math:`S_K \subset S_{K'}` for K < K'.

References:
    | Memorization to Generalization (Pham et al., 2025): the same random seed for all splits, 3407
"""

__all__ = ["PAPER_SEED", "Split", "hold_out", "hold_out_families", "nested_order"]

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from spurion.data.imageset import ImageSet

PAPER_SEED = 3407
"""The seed of the paper's training subsets."""

_HOLDOUT_SEED = 0

_LARGEST_FAMILY = 0.25
"""The most that one family may be of the held-out part."""


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
    count = _count(images, fraction)
    order = nested_order(len(images), _HOLDOUT_SEED)
    return _divided(images, order[:count])


def hold_out_families(images: ImageSet, fraction: float, families: Int64[Tensor, " n"]) -> Split:
    """Hold out whole families of near copies, so that no training image has one among the held-out images.

    Families enter the held-out part in a random order, always the same, each that still fits. One that would
    be more than a quarter of the part is trained on: it would stand for the rest of the images.

    Arguments:
        images: The set to divide; both parts keep its order.
        fraction: The share to hold out, in (0, 1); fewer images where no further family fits.
        families: A number for each image, equal within a family; see `spurion.data.families`.

    Raises:
        ValueError: If there is not one number for every image, or either part would be empty.
    """
    if len(families) != len(images):
        raise ValueError(
            f"`families` must be given for each of the {len(images)} images, got {len(families)}."
        )
    count = _count(images, fraction)
    _, members, sizes = families.unique(return_inverse=True, return_counts=True)
    held, left = torch.zeros(len(sizes), dtype=torch.bool), count
    for family in nested_order(len(sizes), _HOLDOUT_SEED).tolist():
        size = int(sizes[family])
        if size <= left and size <= max(1, _LARGEST_FAMILY * count):
            held[family] = True
            left -= size
    if left == count:
        raise ValueError(f"`families` must have one of at most a quarter of the {count} images to hold out.")
    return _divided(images, held[members].nonzero().flatten())


def _count(images: ImageSet, fraction: float) -> int:
    count = round(fraction * len(images)) if 0 < fraction < 1 else 0
    if not 0 < count < len(images):
        raise ValueError(
            f"`holdout` must be a fraction that leaves images on both sides, got {fraction:g} of "
            f"{len(images)} images."
        )
    return count


def _divided(images: ImageSet, holdout: Int64[Tensor, " k"]) -> Split:
    kept = torch.ones(len(images), dtype=torch.bool)
    kept[holdout] = False
    train, held = kept.nonzero().flatten(), (~kept).nonzero().flatten()
    return Split(images.subset(train), images.subset(held, f"{images.name} (held out)"))

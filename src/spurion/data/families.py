r"""Families of near copies: images that show one thing, or that hardly differ.

Two images x and y are linked if they share a key (a word for what they show) or if

.. math:: \lVert x - y \rVert_2 < d ,

and a family is all that can be reached over links, so that images of different families are at least
:math:`d` apart, whatever their keys.

Pairs are screened by a bound that needs few numbers: for means :math:`\bar x` over blocks of m pixels,
:math:`\lVert x - y \rVert_2^2 \geq m \lVert \bar x - \bar y \rVert_2^2` (Cauchy and Schwarz). Those that
remain are decided by whole numbers, so that the families are the same on every machine.
"""

__all__ = ["near_families", "near_pairs"]

import math
from collections.abc import Collection, Sequence

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.nn.functional import avg_pool2d

_BLOCK = 4  # side of the blocks whose means are compared first
_ROWS = 512  # images that are screened at once
_PAIRS = 4096  # pairs that are decided at once


def near_families(
    levels: UInt8[Tensor, "n channels height width"],
    keys: Sequence[Collection[str]],
    distance: float,
) -> Int64[Tensor, " n"]:
    """Find the family of each image.

    Arguments:
        levels: 8-bit images with shape (n, C, H, W).
        keys: For each image, the words for what it shows; none where it has none.
        distance: The distance d, at least 0, between images scaled to [-1, 1].

    Returns:
        For each image, the number of the first image of its family, with shape (n,).

    Raises:
        ValueError: If there is not one collection of keys for every image, or `distance` is below 0 or not
            finite.

    Example:
        >>> images = torch.tensor([0, 255, 1, 128], dtype=torch.uint8).reshape(4, 1, 1, 1)
        >>> near_families(images, [["sun"], [], [], ["sun", "moon"]], distance=0.1)
        tensor([0, 1, 0, 0])
    """
    if len(keys) != len(levels):
        raise ValueError(f"`keys` must be given for each of the {len(levels)} images, got {len(keys)}.")
    roots = list(range(len(levels)))

    def root(image: int) -> int:
        while roots[image] != image:
            roots[image] = image = roots[roots[image]]
        return image

    def join(one: int, other: int) -> None:
        first, second = sorted((root(one), root(other)))
        roots[second] = first

    known: dict[str, int] = {}
    for image, words in enumerate(keys):
        for word in words:
            join(known.setdefault(word, image), image)
    for one, other in near_pairs(levels, distance).tolist():
        join(one, other)
    return torch.tensor([root(image) for image in range(len(levels))])


def near_pairs(levels: UInt8[Tensor, "n channels height width"], distance: float) -> Int64[Tensor, "pairs 2"]:
    """Find all pairs i < j of images nearer than a distance, exactly.

    Arguments:
        levels: 8-bit images with shape (n, C, H, W).
        distance: The distance, at least 0, between images scaled to [-1, 1].

    Raises:
        ValueError: If `distance` is below 0 or not finite.
    """
    if not 0 <= distance < math.inf:
        raise ValueError(f"`distance` must be at least 0 and finite, got {distance:g}.")
    limit = math.ceil((127.5 * distance) ** 2)  # of squared distances between levels, whole numbers
    flat = levels.flatten(1).to(torch.int16)
    near = [torch.empty(0, 2, dtype=torch.int64)]
    for pairs in _candidates(levels, limit):
        for some in pairs.split(_PAIRS):
            apart = (flat[some[:, 0]] - flat[some[:, 1]]).to(torch.int32).square_().sum(1)
            near.append(some[apart < limit])
    return torch.cat(near)


def _candidates(
    levels: UInt8[Tensor, "n channels height width"], limit: int
) -> list[Int64[Tensor, "pairs 2"]]:
    """All pairs that the bound of the module does not rule out; float64 holds its numbers exactly."""
    side = min(_BLOCK, *levels.shape[2:])
    means = avg_pool2d(levels.double(), side).flatten(1)  # pixels of no whole block only add to a distance
    sizes = means.square().sum(1)
    found = []
    for start in range(0, len(means), _ROWS):
        rows = means[start : start + _ROWS]
        squares = sizes[start : start + _ROWS, None] + sizes - 2 * rows @ means.T
        pairs = (squares * side**2 < limit + 1).nonzero() + torch.tensor([start, 0])
        found.append(pairs[pairs[:, 0] < pairs[:, 1]])
    return found

r"""Whether two sets of images look as if drawn from one source, told from nearest neighbors.

Pool as many images of each set. If both are drawn alike, the nearest other image of any image is of its own
set as often as not. Sets that differ push one of the two shares away from a half, or both: images that keep
among themselves push theirs up, smoothed images, which lie nearer to everything, push that of the others
down.

References:
    | Multivariate two-sample tests based on nearest neighbors (Schilling, 1986)
"""

__all__ = ["MARGIN", "Kinship", "kinship"]

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spurion.core.random import generator
from spurion.neighbors import nearest
from spurion.statistics.intervals import Interval, proportion

MOST = 400
"""Images of each set that are compared."""

MOST_ELEMENTS = 2**26
"""Pixels of each set that are compared."""

MARGIN = 0.2
"""How far a share may lie from a half in sets that are called alike."""


class Kinship(NamedTuple):
    """For each of two sets, the share of its images whose nearest other image is of the same set."""

    first: Interval
    second: Interval

    def alike(self) -> bool:
        """Whether both shares lie surely within `MARGIN` of a half."""
        return all(share.low >= 0.5 - MARGIN and share.high <= 0.5 + MARGIN for share in self)

    def differ(self) -> bool:
        """Whether either share lies surely farther than `MARGIN` from a half."""
        return any(share.high < 0.5 - MARGIN or share.low > 0.5 + MARGIN for share in self)


def kinship(
    first: Float[Tensor, "n *shape"], second: Float[Tensor, "m *shape"], *, seed: int
) -> Kinship | None:
    """Compare two sets of images by the sets of their nearest neighbors in l2.

    Arguments:
        first: Images with shape (n, *shape).
        second: Images with shape (m, *shape).
        seed: Seed of the choice, where there are more than `MOST`.

    Returns:
        The shares, or None with fewer than 2 images in either set.

    Example:
        >>> dark = torch.rand(200, 1, 4, 4, generator=generator(0))
        >>> kinship(dark[:100], dark[100:], seed=0).alike(), kinship(dark, dark + 1, seed=0).differ()
        (True, True)
    """
    count = min(len(first), len(second), MOST)
    if count < 2:
        return None
    count = max(2, min(count, MOST_ELEMENTS // first[0].numel()))
    one, other = first[_some(len(first), count, seed)], second[_some(len(second), count, seed)]
    return Kinship(_own(one, other), _own(other, one))


def _some(available: int, count: int, seed: int) -> Int64[Tensor, " count"]:
    return torch.randperm(available, generator=generator(seed, "kinship"))[:count]


def _own(images: Float[Tensor, "n *shape"], others: Float[Tensor, "n *shape"]) -> Interval:
    """The share of images that are nearer to another of theirs than to the other set; half of the ties."""
    among = nearest(images, images, exclude_self=True).distances[:, 0]
    across = nearest(images, others).distances[:, 0]
    doubled = 2 * int((among < across).sum()) + int((among == across).sum())
    return proportion(doubled // 2, len(images))

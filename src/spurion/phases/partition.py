"""The nearest training image within one part of the training set, read off a search of all of it.

Of k nearest training images the first that lies in the part is the nearest of the part. Only where none of
the k does is the part searched.
"""

__all__ = ["nearest_inside", "second_outside"]

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from torch import Tensor

from spurion.data.storage import taken
from spurion.neighbors import Distance, Neighbors, Searcher, nearest


def nearest_inside(
    found: Neighbors,
    cells: tuple[Int[Tensor, " m"], Int[Tensor, " k"]],
    samples: Float[Tensor, "m *shape"],
    train: Float[Tensor, "k *shape"],
    *,
    distance: str | Distance = "l2",
    search: Searcher = nearest,
) -> Float64[Tensor, " m"]:
    """The distance of each sample to the nearest training image of its own cell.

    Arguments:
        found: The nearest training images of each sample, one or more.
        cells: The cell of each sample, with shape (M,), and of each training image, with shape (K,).
        samples: The samples, with shape (M, *shape).
        train: The training images, with shape (K, *shape).
        distance: A distance or its name.
        search: What finds neighbors.

    Returns:
        The distances with shape (M,); infinite where the cell holds no training image.

    Example:
        >>> train = torch.tensor([[0.0], [5.0]])
        >>> samples = torch.tensor([[1.0], [2.0]])
        >>> cells = torch.tensor([0, 1]), torch.tensor([0, 1])
        >>> nearest_inside(nearest(samples, train), cells, samples, train)
        tensor([1., 3.], dtype=torch.float64)
    """
    ours, theirs = cells
    inside = theirs[found.indices] == ours[:, None]
    return _nearest_of_part(
        found, inside, ours, lambda cell: theirs == cell, samples, train, distance=distance, search=search
    )


def second_outside(
    found: Neighbors,
    groups: Sequence[Sequence[int]],
    samples: Float[Tensor, "m *shape"],
    train: Float[Tensor, "k *shape"],
    *,
    distance: str | Distance = "l2",
    search: Searcher = nearest,
) -> Float64[Tensor, " m"]:
    """The distance of each sample to the nearest training image that is no duplicate of its nearest one.

    Arguments:
        found: The nearest training images of each sample, one or more; the training set is searched again
            only where all of them are duplicates of each other.
        groups: Duplicates in the training set, from `duplicate_groups`.
        samples: The samples, with shape (M, *shape).
        train: The training images, with shape (K, *shape).
        distance: A distance or its name.
        search: What finds neighbors.

    Returns:
        The distances with shape (M,); infinite where the training set holds nothing but one group.

    Example:
        >>> train = torch.tensor([[0.0], [0.0], [5.0]])
        >>> samples = torch.tensor([[1.0]])
        >>> second_outside(nearest(samples, train, 2), [(0, 1)], samples, train)
        tensor([4.], dtype=torch.float64)
    """
    group_of = torch.arange(len(train))
    for group in groups:
        group_of[list(group)] = min(group)
    mine = group_of[found.indices]
    return _nearest_of_part(
        found,
        mine != mine[:, :1],
        mine[:, 0],
        lambda group: group_of != group,
        samples,
        train,
        distance=distance,
        search=search,
    )


def _nearest_of_part(
    found: Neighbors,
    inside: Bool[Tensor, "m depth"],
    keys: Int64[Tensor, " m"],
    part_of: Callable[[Tensor], Bool[Tensor, " k"]],
    samples: Float[Tensor, "m *shape"],
    train: Float[Tensor, "k *shape"],
    *,
    distance: str | Distance,
    search: Searcher,
) -> Float64[Tensor, " m"]:
    """The distance to the nearest image of the part that `part_of` gives for a sample's key."""
    distances = found.distances.where(inside, torch.inf).amin(dim=1)
    unknown = ~inside.any(dim=1)
    for key in keys[unknown].unique():
        part = part_of(key).nonzero()[:, 0]
        rows = (unknown & (keys == key)).nonzero()[:, 0]
        if len(part):
            again = search(taken(samples, rows), taken(train, part), distance=distance)
            distances[rows] = again.distances[:, 0]
    return distances

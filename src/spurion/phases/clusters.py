"""Groups of like images, to ask whether a rule that holds for all of them holds for each."""

__all__ = ["clusters"]

import warnings

import torch
from jaxtyping import Float, Int64
from scipy.cluster.vq import kmeans2
from torch import Tensor

from spurion.core.random import derive_seed, generator
from spurion.neighbors import Distance
from spurion.neighbors.embedding import embedded
from spurion.neighbors.rows import Rows

MOST = 10
"""Groups at most."""

MEMBERS = 40
"""Images of a group, on average, at least."""

PROJECTED = 32
"""Coordinates of a random projection in which images are grouped."""


def clusters(images: Float[Tensor, "n *shape"], distance: Distance, *, seed: int) -> Int64[Tensor, " n"]:
    """The group of each image, by k-means on projected vectors of the distance.

    Arguments:
        images: The images, with shape (n, *shape).
        distance: The distance whose vectors are grouped.
        seed: Seed of the projection and of the centers.

    Returns:
        A number for each image, with shape (n,): 0 for all where there are too few for two groups.
    """
    count = min(MOST, len(images) // MEMBERS)
    if count < 2:
        return torch.zeros(len(images), dtype=torch.int64)
    rows = embedded(Rows.open(images, "images"), distance, memory_limit=0)
    axes = torch.randn(rows.dim, PROJECTED, generator=generator(seed, "clusters")) / rows.dim**0.5
    points = torch.cat([some.float() @ axes for _, some in rows.parts()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a group that lost all its images stays empty
        _, labels = kmeans2(
            points.double().numpy(), count, iter=20, minit="++", seed=derive_seed(seed, "centers") % 2**32
        )
    return torch.from_numpy(labels).long()

"""Nearest neighbors among images and their transformed versions.

Queries are compared with every version of the reference, one version after another; the distance to an image
is the least one to any of its versions, and the index is that of the image. Only the versions of one kind are
in memory, beside what is found so far; the cost is that of a search for each version.
"""

__all__ = ["TransformedSearch"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spurion.core.progress import Progress, silent
from spurion.data.storage import room
from spurion.data.transforms import versions
from spurion.neighbors.distances import Distance, as_distance
from spurion.neighbors.distances.distance import subtracted
from spurion.neighbors.found import Neighbors
from spurion.neighbors.search import nearest

PART_ELEMENTS = 2**24
"""Numbers of images that are transformed at once."""


@dataclass(frozen=True)
class TransformedSearch:
    """A search like `nearest`, with transformed versions of the reference.

    Attributes:
        names: The transforms, names in `TRANSFORMS`.
    """

    names: Sequence[str]

    def __call__(
        self,
        queries: Float[Tensor, "n *shape"],
        reference: Float[Tensor, "m *shape"],
        k: int = 1,
        *,
        distance: str | Distance = "l2",
        progress: Progress = silent,
    ) -> Neighbors:
        """Find the k nearest images of every query; see `nearest` for the arguments.

        Raises:
            ValueError: As `nearest`.
        """
        changes = versions(self.names, tuple(reference.shape[1:]))
        found = nearest(queries, reference, k, distance=distance)
        for done, version in enumerate(changes):
            progress(done, len(changes))
            changed = _changed(reference, version.apply)
            found = _nearer(found, nearest(queries, changed, k, distance=distance))
        progress(len(changes), len(changes))
        return found

    def which(
        self,
        queries: Float[Tensor, "n *shape"],
        images: Float[Tensor, "n *shape"],
        *,
        distance: str | Distance = "l2",
    ) -> list[str]:
        """By which transform image i comes nearest to query i; empty where by none.

        Arguments:
            queries: The queries, with shape (n, C, H, W).
            images: An image for each, of the same shape.
            distance: The distance.
        """
        distance = as_distance(distance)
        names = ["", *(version.name for version in versions(self.names, tuple(images.shape[1:])))]
        best: list[Int64[Tensor, " part"]] = [torch.empty(0, dtype=torch.int64)]
        size = max(1, PART_ELEMENTS // max(1, images[:1].numel()))
        for some, theirs in zip(queries.split(size), images.split(size), strict=True):
            mine = distance.embed(some)
            changed = (theirs, *(v.apply(theirs) for v in versions(self.names, tuple(images.shape[1:]))))
            apart = torch.stack([subtracted(mine, distance.embed(version)) for version in changed])
            best.append(apart.argmin(dim=0))
        return [names[index] for index in torch.cat(best).tolist()]


def _changed(
    images: Float[Tensor, "m *shape"], apply: Callable[[Tensor], Tensor]
) -> Float[Tensor, "m *shape"]:
    """A version of every image, in a file where they are many."""
    changed = room(tuple(images.shape), images.dtype, "transformed images")
    size = max(1, PART_ELEMENTS // max(1, images[:1].numel()))
    for part, some in zip(changed.split(size), images.split(size), strict=True):
        part.copy_(apply(some))
    return changed


def _nearer(one: Neighbors, other: Neighbors) -> Neighbors:
    """The k nearest of two lists, each image once at its least distance, ties by lowest index."""
    k = one.indices.shape[1]
    distances = torch.cat([one.distances, other.distances], dim=1)
    indices = torch.cat([one.indices, other.indices], dim=1)
    order = distances.argsort(dim=1, stable=True)
    distances, indices = distances.gather(1, order), indices.gather(1, order)
    order = indices.argsort(dim=1, stable=True)
    distances, indices = distances.gather(1, order), indices.gather(1, order)
    again = torch.zeros_like(indices, dtype=torch.bool)
    again[:, 1:] = indices[:, 1:] == indices[:, :-1]
    order = distances.where(~again, torch.inf).argsort(dim=1, stable=True)[:, :k]
    return replace(one, distances=distances.gather(1, order), indices=indices.gather(1, order))

"""What searches return, and how pairs become it."""

__all__ = ["Neighbors", "Pairs", "as_pairs", "merged", "nobody"]

from dataclasses import dataclass, field

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from spurion.neighbors.distances.distance import DistanceInfo
from spurion.neighbors.work import Work


@dataclass(frozen=True)
class Neighbors:
    """The k nearest neighbors of each query, nearest first.

    Attributes:
        distances: In the unit of the distance, float64, with shape (n, k).
        indices: Positions in the reference, with shape (n, k).
        work: How they were found.
        distance: The distance: its name, its unit and the weights behind it.
        notes: What a reader must know of it, such as that images were enlarged.
    """

    distances: Float64[Tensor, "n k"]
    indices: Int64[Tensor, "n k"]
    work: Work = field(default_factory=Work, compare=False)
    distance: DistanceInfo | None = field(default=None, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def part(self, queries: slice) -> "Neighbors":
        """Those of some consecutive queries."""
        return Neighbors(self.distances[queries], self.indices[queries])


@dataclass(frozen=True)
class Pairs:
    """All pairs within a radius, as the rows of a sparse matrix.

    Attributes:
        indptr: Query i owns `indices[indptr[i] : indptr[i + 1]]`, with shape (n + 1,).
        indices: Positions in the reference, increasing for each query, with shape (p,).
        work: How they were found.
        distance: The distance: its name, its unit and the weights behind it.
        notes: What a reader must know of it, such as that images were enlarged.
    """

    indptr: Int64[Tensor, " n_plus_1"]
    indices: Int64[Tensor, " p"]
    work: Work = field(default_factory=Work, compare=False)
    distance: DistanceInfo | None = field(default=None, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def counts(self) -> Int64[Tensor, " n"]:
        """The number of pairs of each query, with shape (n,)."""
        return self.indptr.diff()


def nobody(count: int, k: int, device: torch.device) -> Neighbors:
    """Neighbors not found yet: infinitely far, at position -1."""
    distances = torch.full((count, k), torch.inf, dtype=torch.float64, device=device)
    return Neighbors(distances, torch.full((count, k), -1, device=device))


def merged(
    known: Neighbors,
    rows: Int64[Tensor, " p"],
    columns: Int64[Tensor, " p"],
    distances: Float64[Tensor, " p"],
) -> Neighbors:
    """The k nearest among known neighbors and other pairs (query, reference image), ties by lowest index."""
    if not len(rows):
        return known
    count, k = known.indices.shape
    known_rows = torch.arange(count, device=rows.device).repeat_interleave(k)
    all_rows = torch.cat([known_rows, rows])
    all_columns = torch.cat([known.indices.flatten(), columns])
    all_distances = torch.cat([known.distances.flatten(), distances])
    order = all_columns.argsort()
    order = order[all_distances[order].argsort(stable=True)]
    order = order[all_rows[order].argsort(stable=True)]
    sizes = all_rows.bincount(minlength=count)
    starts = sizes.cumsum(dim=0) - sizes
    first = order[starts[:, None] + torch.arange(k, device=rows.device)]
    return Neighbors(all_distances[first], all_columns[first])


def as_pairs(found: list[Int64[Tensor, " p"]], count: int, size: int, work: Work | None = None) -> Pairs:
    """Sparse rows from pairs in any order; the list is emptied and the pairs are sorted in place.

    Arguments:
        found: Pairs (i, j) as numbers i m + j, in parts.
        count: The number of queries.
        size: The number m of reference images.
        work: How they were found.
    """
    size = max(1, size)
    pairs = found[0] if len(found) == 1 else torch.cat(found)
    found.clear()
    if pairs.is_cuda:
        pairs = pairs.sort().values
    else:
        pairs.numpy().sort()  # in place
    indptr = torch.searchsorted(pairs, torch.arange(count + 1, device=pairs.device) * size)
    return Pairs(indptr, pairs.remainder_(size), work or Work())

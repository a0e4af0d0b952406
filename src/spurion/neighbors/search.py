"""Exact nearest neighbors, fast and in bounded memory.

A matrix product proposes, subtraction decides. For every block of pairs the product gives rigorous
bounds on all distances (`spurion.neighbors.screen`); every pair that could, within its bounds, belong to
the answer is recomputed by subtraction in float64. However many pairs that are, none is dropped, so the
answer is that of brute force in float64, ties and planted copies included: equal images are at distance
exactly 0.

Of images that tie, the one with the lowest index comes first. A set searched in itself leaves out each
image by its index, never by its distance, so a duplicate of an image is still its neighbor.
"""

__all__ = ["Neighbors", "Pairs", "nearest", "within"]

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from spurion.core.progress import Progress, silent
from spurion.neighbors.blocks import Search
from spurion.neighbors.distances import Distance

GIBIBYTE = 2**30


@dataclass(frozen=True)
class Neighbors:
    """The k nearest neighbors of each query, nearest first.

    Attributes:
        distances: In the unit of the distance, float64, with shape (n, k).
        indices: Positions in the reference, with shape (n, k).
    """

    distances: Float64[Tensor, "n k"]
    indices: Int64[Tensor, "n k"]


@dataclass(frozen=True)
class Pairs:
    """All pairs within a radius, as the rows of a sparse matrix.

    Attributes:
        indptr: Query i owns `indices[indptr[i] : indptr[i + 1]]`, with shape (n + 1,).
        indices: Positions in the reference, increasing for each query, with shape (p,).
    """

    indptr: Int64[Tensor, " n_plus_1"]
    indices: Int64[Tensor, " p"]

    @property
    def counts(self) -> Int64[Tensor, " n"]:
        """The number of pairs of each query, with shape (n,)."""
        return self.indptr.diff()


def nearest(
    queries: Float[Tensor, "n *query_shape"],
    reference: Float[Tensor, "m *reference_shape"],
    k: int = 1,
    *,
    distance: str | Distance = "l2",
    exclude_self: bool = False,
    memory_limit: int = 2 * GIBIBYTE,
    progress: Progress = silent,
) -> Neighbors:
    """Find the k nearest neighbors of every query, exactly.

    Arguments:
        queries: Images with shape (n, C, H, W), or any (n, ...).
        reference: Images of the same shape, with shape (m, C, H, W).
        k: The number of neighbors, from 1 to m (m - 1 with `exclude_self`).
        distance: A distance, or the name of one that needs no `weights`; see `load_distance`.
        exclude_self: Leave out pair (i, i); `queries` and `reference` must then be the same set.
        memory_limit: Working memory in bytes, beside inputs and result. Does not change the answer.
        progress: Called with (blocks done, blocks in all).

    Returns:
        Distances and indices, both with shape (n, k), nearest first, ties by lowest index.

    Raises:
        ValueError: If shapes differ, a value is not finite, the name is unknown, or `k` is out of range.

    Example:
        >>> found = nearest(torch.tensor([[1.0], [5.0]]), torch.tensor([[4.0], [1.0], [1.0]]), k=2)
        >>> found.distances.tolist(), found.indices.tolist()
        ([[0.0, 0.0], [1.0, 4.0]], [[1, 2], [0, 1]])
    """
    search = Search.prepare(queries, reference, distance, exclude_self, memory_limit)
    available = len(reference) - exclude_self
    if not 1 <= k <= available:
        raise ValueError(
            f"`k` must be from 1 to the {available} images that can be neighbors, got {k}; "
            f"ask for fewer neighbors or give a larger reference."
        )
    size = (len(queries), k)
    distances = torch.full(size, torch.inf, dtype=torch.float64, device=queries.device)
    indices = torch.full(size, -1, dtype=torch.int64, device=queries.device)
    for block in search.blocks(progress):
        mine = slice(block.first_row, block.first_row + len(block.product))
        known = Neighbors(distances[mine], indices[mine])
        limit = search.distance.radius(known.distances[:, -1])
        rows, columns = block.nearest_candidates(k, limit)
        if search.is_crowded(block, len(rows)):
            rows, columns = search.sharpened(block).nearest_candidates(k, limit)
        better = _merge(known, rows - block.first_row, columns, search.subtract(rows, columns))
        distances[mine], indices[mine] = better.distances, better.indices
    return Neighbors(distances, indices)


def within(
    queries: Float[Tensor, "n *query_shape"],
    reference: Float[Tensor, "m *reference_shape"],
    radius: float,
    *,
    distance: str | Distance = "l2",
    exclude_self: bool = False,
    memory_limit: int = 2 * GIBIBYTE,
    progress: Progress = silent,
) -> Pairs:
    """Find all pairs at most `radius` apart, exactly, in the arithmetic of `nearest`.

    Arguments:
        queries: Images with shape (n, C, H, W), or any (n, ...).
        reference: Images of the same shape, with shape (m, C, H, W); may be empty.
        radius: The largest distance that counts, at least 0, in the unit of the distance.
        distance: A distance, or the name of one that needs no `weights`; see `load_distance`.
        exclude_self: Leave out pair (i, i); `queries` and `reference` must then be the same set.
        memory_limit: Working memory in bytes, beside inputs and result. Does not change the answer.
        progress: Called with (blocks done, blocks in all).

    Returns:
        The pairs of each query; 16 bytes each while they are collected.

    Raises:
        ValueError: If shapes differ, a value is not finite, the name is unknown, or `radius` is negative.

    Example:
        >>> pairs = within(torch.tensor([[1.0], [5.0]]), torch.tensor([[4.0], [1.0], [1.5]]), 1.0)
        >>> pairs.counts.tolist(), pairs.indices.tolist()
        ([2, 1], [1, 2, 0])
    """
    if not radius >= 0:
        raise ValueError(f"`radius` must be at least 0, got {radius}.")
    search = Search.prepare(queries, reference, distance, exclude_self, memory_limit)
    rows = [torch.empty(0, dtype=torch.int64, device=queries.device)]
    columns = list(rows)
    euclidean = float(search.distance.radius(torch.tensor(radius, dtype=torch.float64)))
    for block in search.blocks(progress):
        near_rows, near_columns, unsure = block.within_candidates(euclidean)
        if search.is_crowded(block, int(unsure.sum())):
            near_rows, near_columns, unsure = search.sharpened(block).within_candidates(euclidean)
        keep = ~unsure
        keep[unsure] = search.subtract(near_rows[unsure], near_columns[unsure]) <= radius
        rows.append(near_rows[keep])
        columns.append(near_columns[keep])
    return _as_pairs(torch.cat(rows), torch.cat(columns), len(queries))


def _merge(
    known: Neighbors,
    rows: Int64[Tensor, " p"],
    columns: Int64[Tensor, " p"],
    distances: Float64[Tensor, " p"],
) -> Neighbors:
    """The k nearest among known neighbors and new pairs, which come later in the reference."""
    count, k = known.indices.shape
    known_rows = torch.arange(count, device=rows.device).repeat_interleave(k)
    all_rows = torch.cat([known_rows, rows])
    all_distances = torch.cat([known.distances.flatten(), distances])
    order = all_distances.argsort(stable=True)
    order = order[all_rows[order].argsort(stable=True)]
    sizes = all_rows.bincount(minlength=count)
    starts = sizes.cumsum(dim=0) - sizes
    first = order[starts[:, None] + torch.arange(k, device=rows.device)]
    return Neighbors(all_distances[first], torch.cat([known.indices.flatten(), columns])[first])


def _as_pairs(rows: Int64[Tensor, " p"], columns: Int64[Tensor, " p"], count: int) -> Pairs:
    """Sparse rows from pairs whose columns increase within each row."""
    indptr = torch.zeros(count + 1, dtype=torch.int64, device=rows.device)
    torch.cumsum(rows.bincount(minlength=count), dim=0, out=indptr[1:])
    return Pairs(indptr, columns[rows.argsort(stable=True)])

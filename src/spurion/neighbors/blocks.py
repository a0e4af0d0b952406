"""Two sets of points and the walk through all of their pairs, block by block."""

__all__ = ["Block", "Search"]

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from spurion.core.progress import Progress
from spurion.neighbors.distances import Distance, as_distance
from spurion.neighbors.distances.distance import subtracted
from spurion.neighbors.screen import Points, Screen

PAIR_BYTES = 128
"""Bytes that a pair of a block can need when all of its pairs must be recomputed."""
BLOCK_PAIRS = 2**24
"""More pairs at once are no faster."""
CROWDED = 1 / 32
"""Share of a block's pairs from which on a product in float64 is cheaper than their subtraction."""
SUBTRACT_ELEMENTS = 2**18
"""Coordinates that are subtracted at once: few enough for the processor's cache."""
LARGEST_VALUE = 1e150
"""Squares of larger numbers overflow."""

Indices = Int64[Tensor, " p"]


@dataclass(frozen=True)
class Block:
    """Bounds on the pairs of consecutive queries (rows) and reference images (columns)."""

    screen: Screen
    first_row: int
    first_column: int
    x: Points
    y: Points
    product: Float[Tensor, "b c"]

    def nearest_candidates(self, k: int, known: Float64[Tensor, " b"]) -> tuple[Indices, Indices]:
        """The pairs (query, reference image) that may be among the k nearest of a query.

        Arguments:
            k: The number of neighbors.
            known: A Euclidean distance for each query that its k-th nearest does not exceed, possibly
                infinite.
        """
        limit = self.screen.scaled_square(known)
        if k <= self.product.shape[1]:
            lowest = self.product.topk(k, dim=1, largest=False)
            columns = self.y.squares[lowest.indices]
            bounds = self.screen.upper(lowest.values, self.x.squares[:, None], columns)
            limit = torch.minimum(limit, bounds.amax(dim=1))
        rows, columns = self._up_to(limit)
        return rows + self.first_row, columns + self.first_column

    def within_candidates(self, radius: float) -> tuple[Indices, Indices, Bool[Tensor, " p"]]:
        """The pairs that may be at most `radius` apart, and which of them must be subtracted to know.

        The radius is Euclidean; the bounds leave room for its rounding.
        """
        limit = self.screen.scaled_square(torch.full_like(self.x.squares, radius))
        rows, columns = self._up_to(limit)
        bounds = self.screen.upper(self.product[rows, columns], self.x.squares[rows], self.y.squares[columns])
        return rows + self.first_row, columns + self.first_column, bounds > limit[rows]

    def _up_to(self, limit: Float64[Tensor, " b"]) -> tuple[Indices, Indices]:
        """Rows and columns of the block whose scaled squared distance may be at most the row's limit."""
        near = self.product <= self.screen.lower_limit(self.x, limit)
        rows, columns = near.nonzero(as_tuple=True)
        return rows, columns


@dataclass(frozen=True)
class Search:
    """Two embedded sets and how to walk through their pairs."""

    queries: Float[Tensor, "n d"]
    reference: Float[Tensor, "m d"]
    distance: Distance
    screen: Screen
    exclude_self: bool
    memory_limit: int

    @classmethod
    def prepare(
        cls,
        queries: Float[Tensor, "n *query_shape"],
        reference: Float[Tensor, "m *reference_shape"],
        distance: str | Distance,
        exclude_self: bool,
        memory_limit: int,
    ) -> "Search":
        """Check the arguments of a search and embed both sets; see `nearest` for what they are."""
        distance = as_distance(distance)
        if memory_limit < 1:
            raise ValueError(f"`memory_limit` must be at least 1 byte, got {memory_limit}.")
        if queries.shape[1:] != reference.shape[1:] or queries.shape[1:].numel() == 0 or queries.ndim < 2:
            raise ValueError(
                f"`queries` and `reference` must hold images of one shape, as (n, C, H, W), "
                f"got {tuple(queries.shape)} and {tuple(reference.shape)}."
            )
        if exclude_self and not (queries is reference or torch.equal(queries, reference)):
            raise ValueError("`exclude_self` needs `queries` and `reference` to be the same set of images.")
        x = distance.embed(queries.detach())
        y = x if reference is queries else distance.embed(reference.detach())
        largest = max(_largest(x, "queries"), _largest(y, "reference"))
        return cls(x, y, distance, Screen.of(x, y, largest), exclude_self, memory_limit)

    def blocks(self, progress: Progress) -> Iterator[Block]:
        """All pairs, reference by reference chunk, within the memory limit."""
        height, width = self.block_shape()
        row_starts = range(0, len(self.queries), height)
        column_starts = range(0, len(self.reference), width)
        total = len(row_starts) * len(column_starts)
        for i, first_column in enumerate(column_starts):
            y = self.screen.place(self.reference[first_column : first_column + width])
            for j, first_row in enumerate(row_starts):
                x = self.screen.place(self.queries[first_row : first_row + height])
                yield self._block(self.screen, first_row, first_column, x, y)
                progress(i * len(row_starts) + j + 1, total)

    def is_crowded(self, block: Block, pairs: int) -> bool:
        """Whether a block leaves so many pairs to subtract that it should be sharpened first."""
        return pairs > CROWDED * block.product.numel() and self.screen.dtype != torch.float64

    def sharpened(self, block: Block) -> Block:
        """The same block with bounds from a product in float64: some 10^8 times as narrow."""
        screen = replace(self.screen, dtype=torch.float64)
        height, width = block.product.shape
        x = screen.place(self.queries[block.first_row : block.first_row + height])
        y = screen.place(self.reference[block.first_column : block.first_column + width])
        return self._block(screen, block.first_row, block.first_column, x, y)

    def _block(self, screen: Screen, first_row: int, first_column: int, x: Points, y: Points) -> Block:
        product = screen.product(x, y)
        if self.exclude_self:
            product.diagonal(first_row - first_column).fill_(torch.inf)
        return Block(screen, first_row, first_column, x, y, product)

    def block_shape(self) -> tuple[int, int]:
        """Queries and reference images of a block: half the memory for the reference, half for pairs."""
        half = self.memory_limit // 2
        row_bytes = 24 * self.queries.shape[1] + 16
        width = min(max(1, half // row_bytes), max(1, len(self.reference)))
        height = min(half // (row_bytes + PAIR_BYTES * width), BLOCK_PAIRS // width, len(self.queries))
        return max(1, height), width

    def subtract(self, rows: Int64[Tensor, " p"], columns: Int64[Tensor, " p"]) -> Float64[Tensor, " p"]:
        """The distances of pairs (query, reference image), by subtraction in float64."""
        step = max(1, SUBTRACT_ELEMENTS // self.queries.shape[1])
        parts = zip(rows.split(step), columns.split(step), strict=True)
        pairs = (subtracted(self.queries[row], self.reference[column]) for row, column in parts)
        return self.distance.value(torch.cat(list(pairs)))


def _largest(vectors: Float[Tensor, "n d"], name: str) -> float:
    """The largest value in size.

    Raises:
        ValueError: If a value is NaN, infinite or too large to be squared.
    """
    if not vectors.numel():
        return 0.0
    low, high = (float(end) for end in vectors.aminmax())
    if not -LARGEST_VALUE <= low <= high <= LARGEST_VALUE:  # false for NaN
        raise ValueError(
            f"`{name}` must hold finite numbers up to {LARGEST_VALUE:g} in size, "
            f"got values from {low:g} to {high:g}."
        )
    return max(-low, high)

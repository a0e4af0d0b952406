"""Bounds on the pairs of some queries and some reference images, and the pairs they cannot exclude.

Columns are looked at in groups: one pass over all pairs finds the least score of every group, and only
groups whose least score is low enough are looked into.
"""

__all__ = ["Block"]

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float64, Int64, Num
from torch import Tensor

from spurion.neighbors.bounds import GROUP, Points, Screen

Indices = Int64[Tensor, " p"]
Kept = Int64[Tensor, " kept"]


@dataclass(frozen=True)
class Block:
    """Bounds on the pairs of consecutive queries (rows) and reference images (columns).

    Attributes:
        screen: Where the bounds come from.
        number: The place of the block in its search.
        first_row: The first query.
        first_column: The first reference image.
        x: The queries.
        y: The reference images.
        scores: The screen's scores, the largest number for pairs that are out of the question; with as many
            columns as fill the last group.
        lowest: For every query and group of columns a number that no score of the group is below.
    """

    screen: Screen
    number: int
    first_row: int
    first_column: int
    x: Points
    y: Points
    scores: Num[Tensor, "b c"]
    lowest: Num[Tensor, "b groups"]

    @classmethod
    def of(cls, screen: Screen, number: int, first: tuple[int, int], x: Points, y: Points) -> "Block":
        """Compute the scores of a block that starts at a query and a reference image."""
        scores = screen.scores(x, y)[: x.size]
        return cls(screen, number, *first, x, y, scores, least(scores))

    @property
    def pairs(self) -> int:
        """The number of pairs."""
        return self.x.size * self.y.size

    @property
    def queries(self) -> slice:
        """The rows of the block among all queries."""
        return slice(self.first_row, self.first_row + self.x.size)

    def pieces(self, height: int) -> Iterator["Block"]:
        """The same pairs as blocks of at most so many queries, which share the memory of this one."""
        for start in range(0, self.x.size, height):
            rows = slice(start, min(start + height, self.x.size))
            points, squares, residuals, _ = self.x
            x = Points(points[rows], squares[rows], residuals[rows], rows.stop - start)
            yield replace(
                self,
                first_row=self.first_row + start,
                x=x,
                scores=self.scores[rows],
                lowest=self.lowest[rows],
            )

    def forget(self, rows: Indices, columns: Indices) -> None:
        """Put pairs, given as indices of queries and reference images, out of the question."""
        if not len(rows):
            return
        row, column = rows - self.first_row, columns - self.first_column
        self.scores[row, column] = largest(self.scores)
        if GROUP * len(row) >= self.scores.numel():
            self.lowest.copy_(least(self.scores))
            return
        group = column % self.lowest.shape[1]
        self.lowest[row, group] = self.scores[row[:, None], self._members(group)].amin(dim=1)

    def likely(self, k: int, limit: Float64[Tensor, " b"]) -> tuple[Indices, Indices]:
        """Up to k pairs of every query with low scores, none surely farther than its limit."""
        if 4 * k <= self.lowest.shape[1]:
            groups = self.lowest.topk(k, dim=1, largest=False).indices
            columns = self._members(groups).flatten(start_dim=1)
            best = self.scores.gather(1, columns).topk(k, dim=1, largest=False).indices
            columns = columns.gather(1, best)
        else:
            columns = self.scores.topk(min(k, self.scores.shape[1]), dim=1, largest=False).indices
        rows = torch.arange(self.x.size, device=columns.device)[:, None].expand_as(columns)
        return self._not_beyond(limit, rows.flatten(), columns.flatten())

    def promising(self, limit: Float64[Tensor, " b"]) -> tuple[Indices, Indices]:
        """All rows with groups of columns that may hold a pair not surely farther than the row's limit."""
        residuals = self.x.residuals[: self.x.size] + self.y.residuals[: self.y.size].max()
        ceiling = self.screen.ceiling(limit, self.x.squares[: self.x.size], residuals)
        rows, groups = (self.lowest.double() <= ceiling[:, None]).nonzero(as_tuple=True)
        return rows, groups

    def candidates(self, limit: Float64[Tensor, " b"], rows: Indices, groups: Indices) -> tuple[Kept, Kept]:
        """All pairs (query, reference image) of some groups not surely farther than their query's limit."""
        columns = self._members(groups)
        return self._not_beyond(limit, rows[:, None].expand_as(columns).flatten(), columns.flatten())

    def surely_within(self, radius: float, rows: Indices, columns: Indices) -> Bool[Tensor, " p"]:
        """Which pairs, given as indices of queries and reference images, are surely within a distance."""
        row, column = rows - self.first_row, columns - self.first_column
        residuals = self.x.residuals[row] + self.y.residuals[column]
        bounds = self.screen.farthest(
            self.scores[row, column], self.x.squares[row], self.y.squares[column], residuals
        )
        return bounds <= radius

    def _members(self, groups: Int64[Tensor, "*pairs"]) -> Int64[Tensor, "*pairs group"]:
        """The columns of groups: all that are equal modulo the number of groups."""
        number = self.lowest.shape[1]
        return groups[..., None] + number * torch.arange(GROUP, device=groups.device)

    def _not_beyond(self, limit: Float64[Tensor, " b"], row: Indices, column: Indices) -> tuple[Kept, Kept]:
        """Of some pairs of the block those not surely farther than the limit of their query."""
        residuals = self.x.residuals[row] + self.y.residuals[column]
        ceiling = self.screen.ceiling(limit[row], self.x.squares[row], residuals)
        scores = self.scores[row, column]
        keep = (scores.double() <= ceiling) & (scores < largest(self.scores))
        return row[keep] + self.first_row, column[keep] + self.first_column


def least(scores: Num[Tensor, "b c"]) -> Num[Tensor, "b groups"]:
    """The least score of every group."""
    return scores.view(len(scores), GROUP, scores.shape[1] // GROUP).amin(dim=1)


def largest(scores: Num[Tensor, "b c"]) -> float | int:
    """The score of pairs that are out of the question."""
    return torch.inf if scores.is_floating_point() else torch.iinfo(scores.dtype).max

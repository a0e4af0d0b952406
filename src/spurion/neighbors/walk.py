"""Two sets of points and the walk through all of their pairs, block by block, in bounded memory.

A quarter of the memory holds points of the reference, a quarter those of the queries, a quarter a block that
is looked at more finely, a quarter the bounds on the pairs of a block.
"""

__all__ = ["Search"]

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from spurion.core.progress import Progress
from spurion.neighbors.blocks import Block
from spurion.neighbors.bounds import GROUP, Points, Screen
from spurion.neighbors.copies import Copies
from spurion.neighbors.distances import Distance
from spurion.neighbors.distances.distance import subtracted
from spurion.neighbors.rows import Rows, same_rows
from spurion.neighbors.screens import screens_for, survey
from spurion.neighbors.work import Work

PAIR_BYTES = 160
"""Bytes that a pair of a block can need when all of its pairs must be recomputed."""
ROW_BYTES = 12
"""Bytes that a coordinate of a block's points can need when the block is looked at more finely."""
SCORE_BYTES = 16
"""Bytes that a pair of an accelerator's block needs: its score and that of the block before, both in float64.
Where more of its pairs must be recomputed than fit, the block is taken apart."""
CROWDED = 1 / 64
"""Share of a block's pairs from which on a finer product is cheaper than their subtraction."""
SUBTRACT_BYTES = 32
"""Bytes that a coordinate needs while it is subtracted."""


class Sizes(NamedTuple):
    """How much a device does at once.

    Attributes:
        rows: Queries of a block.
        pairs: Pairs of a block.
        pair_bytes: Bytes of a pair, as long as few are recomputed.
        subtracted: Coordinates that are subtracted.
    """

    rows: int
    pairs: int
    pair_bytes: int
    subtracted: int


CACHED = Sizes(256, 2**21, PAIR_BYTES, 2**18)
"""A processor is no faster with more, which leaves its cache."""
ACCELERATED = Sizes(8192, 2**28, SCORE_BYTES, 2**24)
"""An accelerator waits for every operation to be launched, so that it wants few and large ones."""


@dataclass
class Search:
    """Two embedded sets and how to walk through their pairs.

    Attributes:
        queries: The embedded queries.
        reference: The embedded reference, each distinct image once.
        distance: What their Euclidean distances stand for.
        own: For each query the position in `reference` that is left out, -1 for none.
        left_out: The same in the reference as it was given.
        copies: Where each image of `reference` was in it; None if these are the same.
        memory_limit: Working memory in bytes.
        screens: From the fastest to the finest.
        k: The number of neighbors that are asked for; 1 where it is all within a radius.
        work: What was done so far.
    """

    queries: Rows
    reference: Rows
    distance: Distance
    own: Int64[Tensor, " n"]
    left_out: Int64[Tensor, " n"]
    copies: Copies | None
    memory_limit: int
    screens: list[Screen]
    k: int = 1
    work: Work = field(default_factory=Work)
    _start: int = 0
    _kept: dict[int, Points] = field(default_factory=dict)
    _crowded: list[bool] = field(default_factory=list)

    @classmethod
    def prepare(
        cls,
        queries: Rows,
        reference: Rows,
        distance: Distance,
        *,
        exclude_self: bool = False,
        memory_limit: int = 2**31,
        engine: str = "auto",
        k: int = 1,
    ) -> "Search":
        """Read both sets once and choose the screens; see `nearest` for the arguments."""
        first = survey(queries, "queries")
        second = first if queries.is_same_as(reference) else survey(reference, "reference")
        own = torch.full((len(queries),), -1, device=reference.device)
        if exclude_self:
            if not same_rows(queries, reference):
                raise ValueError(
                    "`exclude_self` needs `queries` and `reference` to be the same set of images."
                )
            own = torch.arange(len(queries), device=reference.device)
        left_out, copies = own, Copies.of(reference, second.sketches)
        if copies is not None:
            reference, own = reference.selected(copies.firsts), copies.alone(own)
        screens = screens_for(reference, (first, second), engine)
        work = Work(screens[0].name)
        return cls(queries, reference, distance, own, left_out, copies, memory_limit, screens, k, work)

    @property
    def sizes(self) -> Sizes:
        """How much is done at once."""
        return ACCELERATED if self.reference.device.type == "cuda" else CACHED

    @property
    def wanted(self) -> int:
        """How many of the distinct images must be found for every query."""
        return self.k if self.copies is None else self.copies.needed(self.k)

    def resume(self, work: Work | None) -> None:
        """Go on from what was done before, if anything was, with the screen that blocks started with."""
        if work is not None:
            names = [screen.name for screen in self.screens]
            # a machine that lacks the instructions for it starts with another
            self._start = names.index(work.engine) if work.engine in names else 0
            self.work = replace(work, engine=names[self._start])

    def blocks(self, progress: Progress, first: int = 0) -> Iterator[Block]:
        """All pairs, the reference read once, from a block on.

        Arguments:
            progress: Called with (blocks done, blocks in all).
            first: The number of blocks that are done already.
        """
        chunk, height, width = self.block_shape()
        n, m = len(self.queries), len(self.reference)
        total = sum(-(-(min(m, at + chunk) - at) // width) for at in range(0, m, chunk)) * -(-n // height)
        number = 0
        for start in range(0, m, chunk):
            stop = min(m, start + chunk)
            placed: tuple[Screen, Points] | None = None
            for top in range(0, n, height):
                for left in range(start, stop, width):
                    number += 1
                    if number <= first:
                        continue
                    screen = self.screens[self._start]
                    if placed is None or placed[0] is not screen:
                        placed = (screen, screen.place(self.reference, slice(start, stop)))
                    y = placed[1].part(left - start, min(left + width, stop) - start)
                    x = self._queries(screen, top, height)
                    self.work.pairs += x.size * y.size
                    yield self._block(screen, number - 1, (top, left), x, y)
                    progress(number, total)

    def _queries(self, screen: Screen, top: int, height: int) -> Points:
        """The points of some queries, kept if all fit into the memory."""
        if top in self._kept and self._kept[top].rows.dtype == screen.dtype:
            return self._kept[top]
        points = screen.place(self.queries, slice(top, top + height))
        if self.queries.count * self._point_bytes() > self.memory_limit // 4:
            self._kept.clear()
        self._kept[top] = points
        return points

    def _point_bytes(self) -> int:
        """The bytes of a point, in the widest precision that blocks may start with."""
        return (8 if self.screens[0].dtype == torch.float64 else 4) * (self.reference.dim + 16)

    def _block(self, screen: Screen, number: int, at: tuple[int, int], x: Points, y: Points) -> Block:
        block = Block.of(screen, number, at, x, y)
        own = self.own[block.queries] - block.first_column
        rows = ((own >= 0) & (own < y.size)).nonzero()[:, 0]
        block.forget(rows + block.first_row, own[rows] + block.first_column)
        return block

    def block_shape(self) -> tuple[int, int, int]:
        """Reference images that are held, queries of a block and its reference images.

        With what is known of every query already, a block holds few enough pairs, and it is at least about as
        wide as that, so that what is known is sorted anew only where about as much is new.
        """
        quarter = self.memory_limit // 4
        sizes, safe = self.sizes, quarter // PAIR_BYTES
        pairs = quarter // sizes.pair_bytes
        chunk = _multiple(quarter // self._point_bytes())
        fine = quarter // (ROW_BYTES * (self.reference.dim + 16))
        least = self.wanted + max(self.wanted, GROUP)
        height = max(1, min(sizes.rows, fine // 4, len(self.queries), min(safe, sizes.pairs) // least))
        width = min(fine - height, pairs // height - self.wanted, sizes.pairs // height, chunk, safe)
        return chunk, height, min(_multiple(width), _multiple(len(self.reference) + GROUP - 1))

    def is_too_large(self, block: Block, groups: int) -> bool:
        """Whether the pairs in so many groups of columns need too much memory together."""
        safe = self.memory_limit // 4 // PAIR_BYTES
        return block.x.size > 1 and block.pairs > safe and groups * GROUP > safe

    def pieces(self, block: Block) -> Iterator[Block]:
        """A block as blocks of which all pairs may be recomputed."""
        width = block.scores.shape[1] + self.wanted
        return block.pieces(max(1, self.memory_limit // 4 // PAIR_BYTES // width))

    def is_crowded(self, block: Block, pairs: int) -> bool:
        """Whether a block leaves so many pairs to subtract that it should be refined first.

        If that is so for most blocks, the next ones start with the finer screen.
        """
        if block.screen is self.screens[-1]:
            return False
        crowded = pairs > CROWDED * block.pairs
        if block.screen is self.screens[self._start] and self._start < len(self.screens) - 2:
            self._crowded.append(crowded)
            if sum(self._crowded) > max(1, len(self._crowded) // 2):
                self._start += 1
                self._crowded.clear()
                self.work.engine = self.screens[self._start].name
        return crowded

    def refined(self, block: Block) -> Block:
        """The same block with bounds from the next finer screen."""
        screen = self.screens[self.screens.index(block.screen) + 1]
        x = screen.place(self.queries, block.queries)
        columns = slice(block.first_column, block.first_column + block.y.size)
        self.work.refined += block.pairs
        y = screen.place(self.reference, columns)
        return self._block(screen, block.number, (block.first_row, block.first_column), x, y)

    def subtract(self, rows: Int64[Tensor, " p"], columns: Int64[Tensor, " p"]) -> Float64[Tensor, " p"]:
        """The distances of pairs (query, reference image), by subtraction in float64."""
        fit = self.memory_limit // 4 // SUBTRACT_BYTES
        most = max(CACHED.subtracted, min(self.sizes.subtracted, fit))
        step = max(1, most // self.queries.dim)
        parts = zip(rows.split(step), columns.split(step), strict=True)
        pairs = (subtracted(self.queries.take(row), self.reference.take(column)) for row, column in parts)
        self.work.subtracted += len(rows)
        return self.distance.value(torch.cat(list(pairs)))


def _multiple(number: int) -> int:
    """The largest multiple of `GROUP` up to a number, at least one."""
    return max(GROUP, number // GROUP * GROUP)

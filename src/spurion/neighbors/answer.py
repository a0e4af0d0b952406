"""From bounds to answers: which pairs are subtracted, and what is made of them."""

__all__ = ["nearest_by_screens", "within_by_screens"]

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Int64
from torch import Tensor

from spurion.core.progress import Progress
from spurion.neighbors.blocks import Block
from spurion.neighbors.checkpoint import Checkpoint, Saved
from spurion.neighbors.found import Neighbors, Pairs, as_pairs, merged, nobody
from spurion.neighbors.walk import PAIR_BYTES, Search

Found = tuple[Int64[Tensor, " p"], Int64[Tensor, " p"]]
"""Pairs, as the indices of queries and of reference images."""


def nearest_by_screens(search: Search, checkpoint: Checkpoint, progress: Progress) -> Neighbors:
    """The nearest of every query, block by block from where the checkpoint is."""
    device = search.reference.device
    saved = checkpoint.load()
    search.resume(saved.work)
    found = nobody(len(search.queries), search.wanted, device)
    if saved.tensors:
        found = Neighbors(saved.tensors["distances"].to(device), saved.tensors["indices"].to(device))
    state = {"distances": found.distances, "indices": found.indices}
    done = saved.blocks
    for block in search.blocks(progress, done):
        before, mine, done = replace(search.work), block.queries, block.number + 1
        better = _improved(search, block, found.part(mine))
        found.distances[mine], found.indices[mine] = better.distances, better.indices
        search.work.close(block.pairs, before)
        checkpoint.offer(Saved(done, state, search.work))
    checkpoint.save(Saved(done, state, search.work))
    return _with_copies(search, found)


def _with_copies(search: Search, found: Neighbors) -> Neighbors:
    """The nearest images, from the nearest distinct ones."""
    if search.copies is None:
        return Neighbors(found.distances, found.indices, search.work)
    most = search.memory_limit // PAIR_BYTES
    nearer = search.copies.nearest(found, search.k, search.left_out, most)
    return Neighbors(nearer.distances, nearer.indices, search.work)


def _improved(search: Search, block: Block, known: Neighbors, seen: Sequence[Found] = ()) -> Neighbors:
    """The nearest among known neighbors of a block's queries and its reference images.

    A few likely pairs are subtracted first: with the limit they give, few others are left.

    Arguments:
        search: The search.
        block: The block.
        known: The nearest neighbors of its queries so far.
        seen: Pairs of the block that are known already.
    """
    k = known.indices.shape[1]
    seen = [*seen]
    while True:
        for pairs in seen:
            block.forget(*pairs)
        seen.append(block.likely(k, search.distance.radius(known.distances[:, -1])))
        block.forget(*seen[-1])
        known = _with(search, block, known, *seen[-1])
        limit = search.distance.radius(known.distances[:, -1])
        groups = block.promising(limit)
        if search.is_too_large(block, len(groups[0])):
            return _improved_in_pieces(search, block, known, seen)
        others = block.candidates(limit, *groups)
        if not search.is_crowded(block, len(others[0])):
            return _with(search, block, known, *others)
        block = search.refined(block)


def _improved_in_pieces(search: Search, block: Block, known: Neighbors, seen: Sequence[Found]) -> Neighbors:
    """The same as `_improved`, few queries at a time."""
    better = []
    for piece in search.pieces(block):
        start = piece.first_row - block.first_row
        mine = [(rows >= piece.first_row) & (rows < piece.queries.stop) for rows, _ in seen]
        theirs = [(rows[some], columns[some]) for (rows, columns), some in zip(seen, mine, strict=True)]
        better.append(_improved(search, piece, known.part(slice(start, start + piece.x.size)), theirs))
    return Neighbors(torch.cat([b.distances for b in better]), torch.cat([b.indices for b in better]))


def _with(
    search: Search, block: Block, known: Neighbors, rows: Int64[Tensor, " p"], columns: Int64[Tensor, " p"]
) -> Neighbors:
    """The nearest among known neighbors and pairs of a block, once these are subtracted."""
    return merged(known, rows - block.first_row, columns, search.subtract(rows, columns))


def within_by_screens(search: Search, radius: float, checkpoint: Checkpoint, progress: Progress) -> Pairs:
    """All pairs within a distance, block by block from where the checkpoint is."""
    saved = checkpoint.load()
    search.resume(saved.work)
    done, device = saved.blocks, search.reference.device
    found = [saved.tensors.get("pairs", torch.empty(0, dtype=torch.int64)).to(device)]
    for block in search.blocks(progress, done):
        before, done = replace(search.work), block.number + 1
        found.append(_numbered(search, *_near(search, block, radius)))
        search.work.close(block.pairs, before)
        if checkpoint.is_due():
            found = [torch.cat(found)]
            checkpoint.save(Saved(done, {"pairs": found[0]}, search.work))
    found = [torch.cat(found)]
    checkpoint.save(Saved(done, {"pairs": found[0]}, search.work))
    return _all_within(search, found)


def _all_within(search: Search, found: list[Int64[Tensor, " p"]]) -> Pairs:
    """All pairs, from the numbers of those with distinct images, which are let go."""
    pairs = as_pairs(found, len(search.queries), len(search.reference), search.work)
    if search.copies is None:
        return pairs
    return search.copies.within(pairs, search.left_out, search.memory_limit // PAIR_BYTES)


def _numbered(search: Search, rows: Int64[Tensor, " p"], columns: Int64[Tensor, " p"]) -> Int64[Tensor, " p"]:
    """Pairs as numbers; see `as_pairs`."""
    return rows * len(search.reference) + columns


def _near(search: Search, block: Block, radius: float) -> Found:
    """The pairs of a block that are within a distance."""
    euclidean = _euclidean(search, radius)
    limit = torch.full_like(block.x.squares[: block.x.size], euclidean)
    while True:
        groups = block.promising(limit)
        if search.is_too_large(block, len(groups[0])):
            parts = [_near(search, piece, radius) for piece in search.pieces(block)]
            return torch.cat([rows for rows, _ in parts]), torch.cat([columns for _, columns in parts])
        rows, columns = block.candidates(limit, *groups)
        keep = block.surely_within(euclidean, rows, columns)
        if not search.is_crowded(block, int((~keep).sum())):
            break
        block = search.refined(block)
    keep[~keep] = search.subtract(rows[~keep], columns[~keep]) <= radius
    return rows[keep], columns[keep]


def _euclidean(search: Search, radius: float) -> float:
    return float(search.distance.radius(torch.tensor(radius, dtype=torch.float64)))

"""Exact nearest neighbors, fast and in bounded memory.

A matrix product proposes, subtraction decides. For every block of pairs the product, in as little precision
as serves, gives rigorous bounds on all distances (`spurion.neighbors.bounds`); every pair that could, within
its bounds, belong to the answer is recomputed by subtraction in float64. However many pairs that are, none
is dropped, so the answer is that of brute force in float64, bit by bit, whatever engine proposed, ties and
planted copies included: equal images are at distance exactly 0.

Of images that tie, the one with the lowest index comes first. A set searched in itself leaves out each
image by its index, never by its distance, so a duplicate of an image is still its neighbor.

Sets may be larger than memory (`spurion.neighbors.rows`), and a search that was stopped goes on from its
checkpoint.
"""

__all__ = ["Neighbors", "Pairs", "Searcher", "nearest", "within"]

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from spurion.core.arguments import FLAG, FUNCTION, NUMBER, PATH, TEXT, WHOLE, Kind, check_arguments, optional
from spurion.core.progress import Progress, silent
from spurion.neighbors.answer import nearest_by_screens, within_by_screens
from spurion.neighbors.checkpoint import Checkpoint
from spurion.neighbors.distances import Distance, as_distance
from spurion.neighbors.embedding import embedded
from spurion.neighbors.found import Neighbors, Pairs
from spurion.neighbors.rows import Rows, Source
from spurion.neighbors.walk import Search

GIBIBYTE = 2**30

SEARCH_KINDS: dict[str, Kind] = {
    "distance": (str | Distance, "a distance or the name of one"),
    "exclude_self": FLAG,
    "engine": TEXT,
    "memory_limit": WHOLE,
    "checkpoint": optional(PATH),
    "cache": optional(PATH),
    "progress": FUNCTION,
}
"""What the arguments of both searches must be."""

Searcher = Callable[..., Neighbors]
"""What is called like `nearest`, and may find more than it."""


def nearest(
    queries: Source,
    reference: Source,
    k: int = 1,
    *,
    distance: str | Distance = "l2",
    exclude_self: bool = False,
    engine: str = "auto",
    memory_limit: int = 2 * GIBIBYTE,
    checkpoint: Path | str | None = None,
    cache: Path | str | None = None,
    progress: Progress = silent,
) -> Neighbors:
    """Find the k nearest neighbors of every query, exactly.

    Arguments:
        queries: Images with shape (n, C, H, W), or any (n, ...): a tensor, an array (memory-mapped if it is
            large) or the path of a ``.npy`` file; floats, or bytes that stand for u / 127.5 - 1.
        reference: Images of the same shape, with shape (m, C, H, W), likewise.
        k: The number of neighbors, from 1 to m (m - 1 with `exclude_self`).
        distance: A distance, or the name of one that needs no `weights`; see `load_distance`.
        exclude_self: Leave out pair (i, i); `queries` and `reference` must then be the same set.
        engine: What proposes neighbors: the fastest that applies, or one of
            `spurion.neighbors.screens.ENGINES`. Does not change the answer.
        memory_limit: Working memory in bytes, beside inputs and result. Does not change the answer.
        checkpoint: A file that keeps what is found; the same search goes on from it if it was stopped.
        cache: A folder that keeps the vectors of network distances from one search to the next.
        progress: Called with (blocks done, blocks in all); before that, where images must be embedded, with
            (images done, images in all).

    Returns:
        Distances and indices, both with shape (n, k), nearest first, ties by lowest index; the distance's
        name, unit and weights, and notes on it.

    Raises:
        ValueError: If an argument is of a wrong kind, shapes differ, a value is not finite, the name or
            engine is unknown or not to be had, `k` is out of range, or the checkpoint is of another search.

    Example:
        >>> import torch
        >>> found = nearest(torch.tensor([[1.0], [5.0]]), torch.tensor([[4.0], [1.0], [1.0]]), k=2)
        >>> found.distances.tolist(), found.indices.tolist()
        ([[0.0, 0.0], [1.0, 4.0]], [[1, 2], [0, 1]])
    """
    check_arguments(locals(), SEARCH_KINDS | {"k": WHOLE})
    images = _opened(queries, reference)
    available = len(images[1]) - exclude_self
    if not 1 <= k <= available:
        raise ValueError(
            f"`k` must be from 1 to the {available} images that can be neighbors, got {k}; ask for fewer "
            "neighbors or give a larger reference."
        )
    search = _prepared(images, distance, exclude_self, engine, memory_limit, cache, progress, k)
    file = _checkpoint(checkpoint, search, {"k": k})
    found = nearest_by_screens(search, file, progress)
    return replace(found, distance=search.distance.info, notes=search.distance.notes(images[0].shape))


def within(
    queries: Source,
    reference: Source,
    radius: float,
    *,
    distance: str | Distance = "l2",
    exclude_self: bool = False,
    engine: str = "auto",
    memory_limit: int = 2 * GIBIBYTE,
    checkpoint: Path | str | None = None,
    cache: Path | str | None = None,
    progress: Progress = silent,
) -> Pairs:
    """Find all pairs at most `radius` apart, exactly, in the arithmetic of `nearest`.

    Arguments:
        queries: Images, as for `nearest`.
        reference: Images of the same shape, likewise; may be empty.
        radius: The largest distance that counts, at least 0, in the unit of the distance.
        distance: A distance, or the name of one that needs no `weights`; see `load_distance`.
        exclude_self: Leave out pair (i, i); `queries` and `reference` must then be the same set.
        engine: What proposes pairs, as for `nearest`.
        memory_limit: Working memory in bytes, beside inputs and result. Does not change the answer.
        checkpoint: A file to go on from, as for `nearest`.
        cache: A folder that keeps the vectors of network distances.
        progress: Called as by `nearest`.

    Returns:
        The pairs of each query. Beside `memory_limit` they take 16 bytes each while they are put in order and
        8 then; while a checkpoint is written, 8 more.

    Raises:
        ValueError: If `radius` is negative, or as for `nearest`.

    Example:
        >>> import torch
        >>> pairs = within(torch.tensor([[1.0], [5.0]]), torch.tensor([[4.0], [1.0], [1.5]]), 1.0)
        >>> pairs.counts.tolist(), pairs.indices.tolist()
        ([2, 1], [1, 2, 0])
    """
    check_arguments(locals(), SEARCH_KINDS | {"radius": NUMBER})
    if not radius >= 0:
        raise ValueError(f"`radius` must be at least 0, got {radius}.")
    images = _opened(queries, reference)
    search = _prepared(images, distance, exclude_self, engine, memory_limit, cache, progress)
    file = _checkpoint(checkpoint, search, {"radius": radius})
    found = within_by_screens(search, radius, file, progress)
    return replace(found, distance=search.distance.info, notes=search.distance.notes(images[0].shape))


def _opened(queries: object, reference: object) -> tuple[Rows, Rows]:
    """Both sets as rows on the device of the queries."""
    x = Rows.open(queries, "queries")
    y = x if reference is queries else Rows.open(reference, "reference").on(x.device)
    if x.shape != y.shape or x.dim == 0:
        raise ValueError(
            "`queries` and `reference` must hold images of one shape, as (n, C, H, W), got "
            f"{(len(x), *x.shape)} and {(len(y), *y.shape)}."
        )
    return x, y


def _prepared(
    images: tuple[Rows, Rows],
    distance: str | Distance,
    exclude_self: bool,
    engine: str,
    memory_limit: int,
    cache: Path | str | None,
    progress: Progress,
    k: int = 1,
) -> Search:
    """The search among embedded sets, which take up to half of the memory."""
    if memory_limit < 1:
        raise ValueError(f"`memory_limit` must be at least 1 byte, got {memory_limit}.")
    distance, (x, y) = as_distance(distance).kept(cache), images
    dtype = torch.promote_types(*(rows.images(slice(0, 0)).dtype for rows in images))
    embed = partial(embedded, dtype=dtype, memory_limit=memory_limit // 4, progress=progress)
    first = embed(x, distance)
    second = first if y is x else embed(y, distance)
    left = memory_limit if first is x else max(1, memory_limit // 2)
    return Search.prepare(
        first, second, distance, exclude_self=exclude_self, memory_limit=left, engine=engine, k=k
    )


def _checkpoint(path: Path | str | None, search: Search, settings: dict[str, object]) -> Checkpoint:
    """The file of a search, known by all that its answer and the order of its blocks depend on."""
    if path is None:
        return Checkpoint(None, {})
    settings |= {
        "queries": search.queries.digest(),
        "reference": search.reference.digest(),
        "copies": None if search.copies is None else search.copies.digest(),
        "distance": search.distance.info.model_dump(mode="json"),
        "own": bool((search.left_out >= 0).any()),
        "blocks": search.block_shape(),
    }
    return Checkpoint(path, settings)

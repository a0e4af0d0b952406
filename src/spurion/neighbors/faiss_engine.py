r"""The library faiss as the one that proposes, held to the same contract as our own screens.

faiss returns the pairs that are nearest by its arithmetic: the product form of the square, in float32. As in
`spurion.neighbors.screen`, that errs by at most :math:`2 \varepsilon (|x|^2 + |y|^2)`, norms and products
being summed in float32. What it returns is decided by subtraction; what it did not return is at least as far
as the last that it did, less that error. Where this leaves a doubt, the query is refused and searched anew.
"""

__all__ = ["certified_nearest", "range_candidates"]

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from spurion.core.progress import Progress
from spurion.neighbors.found import Neighbors, merged
from spurion.neighbors.screen import TINY, Points
from spurion.neighbors.walk import Search

SPARE = 8
"""Neighbors beyond k that faiss is asked for: the more, the clearer that no other is near."""

FARTHEST = 1e18
"""Scaled points are nowhere near as far apart, and its square fits into float32."""


def certified_nearest(
    search: Search, known: Neighbors, progress: Progress
) -> tuple[Neighbors, Bool[Tensor, " n"]]:
    """The k nearest by faiss and subtraction, and the queries for which others might be nearer.

    Raises:
        ValueError: If faiss is not installed or the images are not on the processor.
    """
    k = known.indices.shape[1]
    distances, indices = known.distances.clone(), known.indices.clone()
    beyond = torch.full((len(search.queries),), torch.inf, dtype=torch.float64)
    tried = torch.zeros_like(indices[:, 0])
    for part, x, first, y, index in _blocks(search, progress):
        wanted = min(k + SPARE, y.size)
        squares, columns = index.search(x.rows[: x.size].numpy(), wanted)
        columns = torch.from_numpy(columns) + first
        rows = torch.arange(part.start, part.stop)[:, None].expand_as(columns)
        pairs = columns != search.own[part][:, None]
        mine = rows[pairs], columns[pairs]
        tried[part] += pairs.sum(dim=1)
        block = Neighbors(distances[part], indices[part])
        better = merged(block, mine[0] - part.start, mine[1], search.subtract(*mine))
        distances[part], indices[part] = better.distances, better.indices
        if wanted < y.size:
            beyond[part] = torch.minimum(beyond[part], _least(search, x, y, squares[:, -1]))
    limit = search.distance.radius(distances[:, -1]) * (1 + search.screens[0].margin) + TINY
    doubt = ~(beyond > limit)
    search.work.undecided += int(tried[~doubt].sum())
    return Neighbors(distances, indices), doubt


def range_candidates(
    search: Search, radius: float, progress: Progress
) -> Iterator[tuple[Int64[Tensor, " p"], Int64[Tensor, " p"]]]:
    """All pairs (query, reference image) that may be within a Euclidean radius, in parts.

    Raises:
        ValueError: If faiss is not installed or the images are not on the processor.
    """
    screen = search.screens[0]
    for part, x, first, y, index in _blocks(search, progress):
        residuals = x.residuals[: x.size].max() + y.residuals[: y.size].max()
        reach = (radius * (1 + screen.margin) + TINY) / screen.scale + float(residuals)
        norms = float(x.squares[: x.size].max() + y.squares[: y.size].max())
        square = min(reach, FARTHEST) ** 2 + 2 * screen.slack * norms + screen.underflow
        top = float(np.nextafter(np.float32(square), np.float32(np.inf)))
        starts, _, columns = index.range_search(x.rows[: x.size].numpy(), top)
        counts = torch.from_numpy(starts.astype(np.int64)).diff()
        rows = torch.arange(part.start, part.stop).repeat_interleave(counts)
        found = torch.from_numpy(columns.astype(np.int64)) + first
        keep = found != search.own[rows]
        yield rows[keep], found[keep]


def _least(search: Search, x: Points, y: Points, squares: np.ndarray) -> Tensor:
    """Lower bounds on Euclidean distances to all that faiss found no nearer than these squares."""
    screen = search.screens[0]
    norms = x.squares[: x.size] + y.squares[: y.size].max()
    square = torch.from_numpy(squares).double() - 2 * screen.slack * norms - screen.underflow
    residuals = x.residuals[: x.size] + y.residuals[: y.size].max()
    return (square.clamp(min=0).sqrt() - residuals) * screen.scale


def _blocks(search: Search, progress: Progress) -> Iterator[tuple[slice, Points, int, Points, Any]]:
    """Blocks of queries, each with an index of part of the reference, whose vectors faiss copies."""
    faiss = _load(search)
    chunk, height, _ = search.block_shape()
    chunk = max(1, chunk // 2)
    n, m = len(search.queries), len(search.reference)
    steps = [(start, top) for start in range(0, m, chunk) for top in range(0, n, height)]
    held: tuple[int, Points, Any] | None = None
    for done, (start, top) in enumerate(steps, start=1):
        if held is None or held[0] != start:
            y = search.screens[0].place(search.reference, slice(start, start + chunk))
            index = faiss.IndexFlatL2(search.reference.dim)
            index.add(y.rows[: y.size].numpy())
            held = (start, y, index)
        part = slice(top, min(top + height, n))
        x = search.screens[0].place(search.queries, part)
        search.work.pairs += x.size * held[1].size
        yield part, x, start, held[1], held[2]
        progress(done, len(steps))


def _load(search: Search) -> Any:
    if search.reference.device.type != "cpu":
        raise ValueError("`engine` faiss searches on the processor only; leave it out or move the images.")
    try:
        import faiss
    except ImportError:
        raise ValueError("`engine` faiss needs the package faiss-cpu; install spurion[faiss].") from None
    return faiss

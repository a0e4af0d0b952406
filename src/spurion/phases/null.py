"""The held-out null: are samples nearer to the training set than honest new images would be?

Class fractions stop at the last sample below a threshold; a model can go on leaking its training set long
after that. Held-out images, from the same source but never seen by the model, are the finer instrument. Three
readings, each of which a model that copies nothing passes:

- the share of samples closer to the training set than to an equally large held-out set, 0.5 if nothing
  leaks (`spurion.phases.share`);
- Meehan's C_T, 0 if samples are as near to the training set as held-out images (`spurion.phases.copying`);
- AuthPct beside its value for held-out images (`spurion.phases.copying`).

Their p-values are one-sided: small if the samples are too close to the training set.

Images that stand in a set more than once count once: a set looks larger than it is by its copies, and the
other one would seem nearer.

Three searches are all it takes: samples in the training set and in the held-out set, and held-out images in
the training set (`Searches`); a caller that has made them passes them on. Equal set sizes and AuthPct are
read off the `DEPTH` nearest neighbors, and what these leave undecided is searched again: a few samples, and
the gaps around those training images that no neighbor shows to be crowded.
"""

__all__ = ["DEPTH", "NullTest", "Searches", "null_test", "searches"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from pydantic import Field
from torch import Tensor

from spurion.core.config import Config
from spurion.core.progress import Progress, silent
from spurion.core.quantities import Count, Notes, Number, Percentage, PValue
from spurion.data.storage import MOST_IN_MEMORY, taken
from spurion.neighbors import Distance, Neighbors, Searcher, as_distance, nearest
from spurion.neighbors.distances.distance import subtracted
from spurion.neighbors.embedding import embedded
from spurion.neighbors.rows import Rows
from spurion.phases.copying import CopyTest, authenticity, c_t, nearest_cells
from spurion.phases.exposed import duplicate_groups
from spurion.phases.partition import nearest_inside
from spurion.phases.share import equal_blocks, nearest_in_blocks, relabeling_p_value, share_closer
from spurion.statistics.intervals import Interval, ShareInterval

DEPTH = 50
"""Neighbors of each sample that are looked up, and as many as Carlini's local scale needs."""

REVEALING = 8
"""Neighbors of a sample that are compared with its nearest training image to bound that image's gap."""

BETWEEN_ELEMENTS = 2**18
"""Coordinates that are subtracted at once."""


@dataclass(frozen=True)
class Searches:
    """The searches of a null test, each with one neighbor or more; deeper ones save work.

    Attributes:
        to_train: The training images nearest to each sample.
        to_holdout: The held-out images nearest to each sample.
        holdout_to_train: The training images nearest to each held-out image.
    """

    to_train: Neighbors
    to_holdout: Neighbors
    holdout_to_train: Neighbors


def searches(
    samples: Float[Tensor, "m *shape"],
    train: Float[Tensor, "k *shape"],
    holdout: Float[Tensor, "h *shape"],
    *,
    distance: str | Distance = "l2",
    progress: Progress = silent,
    search: Searcher = nearest,
) -> Searches:
    """Make the three searches of a null test, each with its progress; see `null_test` for the arguments."""
    distance = as_distance(distance).kept()
    found = [
        search(queries, reference, min(depth, len(reference)), distance=distance, progress=progress)
        for queries, reference, depth in (
            (samples, train, DEPTH),
            (samples, holdout, DEPTH),
            (holdout, train, DEPTH),
        )
    ]
    return Searches(*found)


class NullTest(Config):
    """Are samples closer to the training set than to an equally large held-out set?"""

    share_closer_to_train: ShareInterval | None
    share_p_value: PValue | None = Field(description="One-sided: small if samples are too close to train.")
    set_size: Count = Field(description="Images in each of the two sets: the size of the smaller.")
    ct: Number | None = Field(description="Meehan's C_T: far below 0 means copying.")
    ct_p_value: PValue | None = Field(None, description="Probability of a C_T as low under the null.")
    authpct: Percentage | None = Field(description="Percentage of authentic samples.")
    authpct_holdout: Percentage | None = Field(None, description="Percentage of authentic held-out images.")
    authpct_p_value: PValue | None = Field(
        None, description="Probability of an AuthPct as low under the null."
    )
    notes: Notes = ()


def null_test(
    samples: Float[Tensor, "m *shape"],
    train: Float[Tensor, "k *shape"],
    holdout: Float[Tensor, "h *shape"],
    *,
    seed: int,
    distance: str | Distance = "l2",
    known: Searches | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    search: Searcher = nearest,
) -> NullTest:
    """Test whether samples are nearer to the training set than new images would be; see the module.

    Arguments:
        samples: The samples, with shape (M, *shape).
        train: The training set, with shape (K, *shape).
        holdout: Images from the same source that the model never saw, with shape (H, *shape).
        seed: Seed of the cut of the larger set, the relabelings and the cells.
        distance: A distance or its name. The cells of C_T are formed from pixels in any case.
        known: The searches, from `searches` with the same images; made here if None or if a set holds
            copies.
        groups: Equal images of the training set, from `duplicate_groups`; found here if None.
        search: What finds neighbors, and found those that are known.

    Returns:
        The three readings with p-values, and notes on what could not be computed or weakens the test.

    Raises:
        ValueError: If a set is empty, or shapes differ.
    """
    for name, given in (("samples", samples), ("train", train), ("holdout", holdout)):
        if len(given) == 0:
            raise ValueError(f"`{name}` must hold at least one image, got none.")
    distance = as_distance(distance).kept()
    copies = duplicate_groups(train) if groups is None else groups, duplicate_groups(holdout)
    if any(copies):
        once = (
            taken(images, _once(len(images), g)) for images, g in zip((train, holdout), copies, strict=True)
        )
        found = null_test(samples, *once, seed=seed, distance=distance, groups=(), search=search)
        return found.model_copy(update={"notes": (_of_copies(*copies), *found.notes)})
    known = known or searches(samples, train, holdout, distance=distance, search=search)
    to_train, to_holdout = _first(known.to_train), _first(known.to_holdout)
    images = (len(train), len(holdout))
    cells = nearest_cells(train, samples, holdout, seed=seed)
    copying = _copying(samples, train, holdout, known, cells, distance, search)
    authentic, of_holdout = _authenticity(train, known, distance, search)
    return NullTest(
        share_closer_to_train=_share(samples, train, holdout, known, distance, seed, search),
        share_p_value=relabeling_p_value(to_train, to_holdout, images, seed=seed),
        set_size=min(images),
        ct=copying.value,
        ct_p_value=copying.p_value,
        authpct=None if authentic is None else authentic.value,
        authpct_holdout=of_holdout,
        authpct_p_value=None if authentic is None else authentic.p_value,
        notes=tuple(_notes(known.holdout_to_train, images, cells is not None)),
    )


def _copying(
    samples: Float[Tensor, "m *shape"],
    train: Float[Tensor, "k *shape"],
    holdout: Float[Tensor, "h *shape"],
    known: Searches,
    cells: tuple[Int64[Tensor, " k"], Int64[Tensor, " m"], Int64[Tensor, " h"]] | None,
    distance: Distance,
    search: Searcher,
) -> CopyTest:
    """C_T from the distances to the training images of the same cell."""
    found = known.to_train, known.holdout_to_train
    if cells is None:
        ours, theirs = (near.distances[:, 0] for near in found)
        return c_t(ours, theirs)
    ours, theirs = (
        nearest_inside(near, (mine, cells[0]), images, train, distance=distance, search=search)
        for near, mine, images in zip(found, cells[1:], (samples, holdout), strict=True)
    )
    return c_t(ours, theirs, cells[1:])


def _share(
    samples: Float[Tensor, "m *shape"],
    train: Float[Tensor, "k *shape"],
    holdout: Float[Tensor, "h *shape"],
    known: Searches,
    distance: str | Distance,
    seed: int,
    search: Searcher,
) -> Interval:
    """The share with the larger set cut into blocks of the size of the smaller."""
    sizes = sorted((len(train), len(holdout)))
    blocks = equal_blocks(sizes[1], sizes[0], seed=seed)

    def compared(images: Tensor, found: Neighbors, other: Neighbors) -> tuple[Neighbors, int]:
        if len(images) == sizes[0]:
            whole = _first(found)
            columns = whole.distances.expand(-1, len(blocks)), whole.indices.expand(-1, len(blocks))
            return Neighbors(*columns), sizes[0]
        cut = nearest_in_blocks(
            found,
            blocks,
            other.distances[:, 0],
            lambda rows, block: search(taken(samples, rows), taken(images, block), distance=distance),
        )
        return cut, blocks.numel()

    ours, train_images = compared(train, known.to_train, known.to_holdout)
    theirs, holdout_images = compared(holdout, known.to_holdout, known.to_train)
    return share_closer(ours, theirs, (train_images, holdout_images))


def _first(found: Neighbors) -> Neighbors:
    return Neighbors(found.distances[:, :1], found.indices[:, :1])


def _once(count: int, groups: Sequence[Sequence[int]]) -> Int64[Tensor, " distinct"]:
    """The images that are left if of each group only the first is kept."""
    keep = torch.ones(count, dtype=torch.bool)
    for group in groups:
        keep[sorted(group)[1:]] = False
    return keep.nonzero()[:, 0]


def _of_copies(train: Sequence[Sequence[int]], holdout: Sequence[Sequence[int]]) -> str:
    sets = ((train, "training images"), (holdout, "held-out images"))
    counts = [f"{sum(map(len, groups)) - len(groups)} {name}" for groups, name in sets if groups]
    return f"{' and '.join(counts)} are copies of others; the held-out null counts each image once."


def _authenticity(
    train: Float[Tensor, "k *shape"], known: Searches, distance: Distance, search: Searcher
) -> tuple[CopyTest | None, float | None]:
    """AuthPct of samples and of held-out images against the training set."""
    if len(train) < 2:
        return None, None
    queries = [
        (found.distances[:, 0], found.indices[:, :REVEALING])
        for found in (known.to_train, known.holdout_to_train)
    ]
    gaps = _gap_bounds(distance, train, queries)
    undecided = torch.cat([images[distances <= gaps[images[:, 0]], 0] for distances, images in queries])
    images = undecided.unique()
    if len(images):
        gaps[images] = search(taken(train, images), train, k=2, distance=distance).distances[:, 1]
    ours, theirs = ((distances, images[:, 0]) for distances, images in queries)
    return authenticity(ours, theirs, gaps)


def _gap_bounds(
    distance: Distance,
    train: Float[Tensor, "k *shape"],
    queries: list[tuple[Float64[Tensor, " _"], Int64[Tensor, "_ depth"]]],
) -> Float64[Tensor, " k"]:
    """Upper bounds on the distance of training images to their nearest other one, infinite where unknown.

    A query that is farther from its nearest training image than a bound is authentic: the exact distance need
    not be known. Images that are near one query tend to be near each other, so a few of them often tell.

    Arguments:
        distance: The distance.
        train: The training images, with shape (K, *shape).
        queries: For samples and held-out images the distance to the nearest training image, and the
            nearest training images.
    """
    bounds = torch.full((len(train),), torch.inf, dtype=torch.float64)
    vectors = embedded(Rows.open(train, "train"), distance, memory_limit=MOST_IN_MEMORY)
    for distances, images in queries:
        for column in images.T[1:]:
            undecided = distances <= bounds[images[:, 0]]
            rows = (undecided & (column != images[:, 0])).nonzero()[:, 0]
            for part in rows.split(max(1, BETWEEN_ELEMENTS // vectors.dim)):
                ends = images[part, 0], column[part]
                between = distance.value(subtracted(vectors.take(ends[0]), vectors.take(ends[1])))
                bounds.scatter_reduce_(0, ends[0], between, "amin")
    return bounds


def _notes(holdout_to_train: Neighbors, sizes: tuple[int, int], in_cells: bool) -> Iterator[str]:
    leaked = int((holdout_to_train.distances[:, 0] == 0).sum())
    if leaked:
        yield f"{leaked} held-out images are also in the training set, which hides copying."
    if min(sizes) == 1:
        yield "With a single image a side, the share closer to the training set has no interval."
    if not in_cells:
        yield "A set is too small for cells, so C_T was computed in one cell."
    if sizes[0] < 2:
        yield "AuthPct needs at least two different training images."

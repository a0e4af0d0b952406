"""The held-out null: are samples nearer to the training set than honest new images would be?

Class fractions stop at the last sample below a threshold; a model can go on leaking its training set long
after that. Held-out images, from the same source but never seen by the model, are the finer instrument. Three
readings, each of which a model that copies nothing passes:

- the share of samples closer to the training set than to an equally large held-out set, 0.5 if nothing
  leaks (`spurion.phases.share`);
- Meehan's C_T, 0 if samples are as near to the training set as held-out images (`spurion.phases.copying`);
- AuthPct beside its value for held-out images (`spurion.phases.copying`).

Their p-values are one-sided: small if the samples are too close to the training set.
"""

__all__ = ["NullTest", "null_test"]

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor

from spurion.core.config import Config
from spurion.neighbors import Neighbors, nearest
from spurion.phases.copying import CopyTest, authenticity, c_t, nearest_cells
from spurion.phases.exposure import duplicate_groups
from spurion.phases.intervals import Interval
from spurion.phases.share import equal_blocks, relabeling_p_value, share_closer


class NullTest(Config):
    """Are samples closer to the training set than to an equally large held-out set?"""

    share_closer_to_train: Interval | None
    share_p_value: float | None = Field(description="One-sided: small if samples are too close to train.")
    set_size: int = Field(description="Images in each of the two sets: the size of the smaller.")
    ct: float | None = Field(description="Meehan's C_T: far below 0 means copying.")
    ct_p_value: float | None = Field(None, description="Probability of a C_T as low under the null.")
    authpct: float | None = Field(description="Percentage of authentic samples.")
    authpct_holdout: float | None = Field(None, description="Percentage of authentic held-out images.")
    authpct_p_value: float | None = Field(
        None, description="Probability of an AuthPct as low under the null."
    )
    notes: tuple[str, ...] = ()


def null_test(
    samples: Float[Tensor, "m *shape"],
    train: Float[Tensor, "k *shape"],
    holdout: Float[Tensor, "h *shape"],
    *,
    seed: int,
    distance: str = "l2",
) -> NullTest:
    """Test whether samples are nearer to the training set than new images would be; see the module.

    Arguments:
        samples: The samples, with shape (M, *shape).
        train: The training set, with shape (K, *shape).
        holdout: Images from the same source that the model never saw, with shape (H, *shape).
        seed: Seed of the cut of the larger set, the relabelings and the cells.
        distance: A name in `DISTANCES`. The cells of C_T are formed from pixels in any case.

    Returns:
        The three readings with p-values, and notes on what could not be computed or weakens the test.

    Raises:
        ValueError: If a set is empty, or shapes differ.
    """
    for name, given in (("samples", samples), ("train", train), ("holdout", holdout)):
        if len(given) == 0:
            raise ValueError(f"`{name}` must hold at least one image, got none.")
    to_train = nearest(samples, train, distance=distance)
    to_holdout = nearest(samples, holdout, distance=distance)
    holdout_to_train = nearest(holdout, train, distance=distance)
    images = (len(train), len(holdout))
    cells = nearest_cells(train, samples, holdout, seed=seed)
    copying = c_t(to_train.distances[:, 0], holdout_to_train.distances[:, 0], cells)
    first = _first_of_duplicates(train)
    authentic, of_holdout = _authenticity(train, first, to_train, holdout_to_train, distance)
    return NullTest(
        share_closer_to_train=_share(samples, train, holdout, to_train, to_holdout, distance, seed),
        share_p_value=relabeling_p_value(to_train, to_holdout, images, seed=seed),
        set_size=min(images),
        ct=copying.value,
        ct_p_value=copying.p_value,
        authpct=None if authentic is None else authentic.value,
        authpct_holdout=of_holdout,
        authpct_p_value=None if authentic is None else authentic.p_value,
        notes=tuple(_notes(first, holdout_to_train, min(images), cells is not None)),
    )


def _share(
    samples: Float[Tensor, "m *shape"],
    train: Float[Tensor, "k *shape"],
    holdout: Float[Tensor, "h *shape"],
    to_train: Neighbors,
    to_holdout: Neighbors,
    distance: str,
    seed: int,
) -> Interval:
    """The share with the larger set cut into blocks of the size of the smaller."""
    sizes = sorted((len(train), len(holdout)))
    blocks = equal_blocks(sizes[1], sizes[0], seed=seed)

    def within_blocks(images: Tensor, whole: Neighbors) -> tuple[Neighbors, int]:
        if len(images) == sizes[0]:
            columns = [whole] * len(blocks)
            return _side_by_side(columns), sizes[0]
        found = [nearest(samples, images[block], distance=distance) for block in blocks]
        columns = [Neighbors(f.distances, block[f.indices]) for f, block in zip(found, blocks, strict=True)]
        return _side_by_side(columns), blocks.numel()

    (ours, train_images), (theirs, holdout_images) = (
        within_blocks(train, to_train),
        within_blocks(holdout, to_holdout),
    )
    return share_closer(ours, theirs, (train_images, holdout_images))


def _side_by_side(columns: list[Neighbors]) -> Neighbors:
    return Neighbors(
        torch.cat([column.distances for column in columns], dim=1),
        torch.cat([column.indices for column in columns], dim=1),
    )


def _first_of_duplicates(train: Float[Tensor, "k *shape"]) -> Int64[Tensor, " k"]:
    """The index of the first image equal to each image, often its own."""
    first = torch.arange(len(train))
    for group in duplicate_groups(train):
        first[list(group)] = group[0]
    return first


def _authenticity(
    train: Float[Tensor, "k *shape"],
    first: Int64[Tensor, " k"],
    to_train: Neighbors,
    holdout_to_train: Neighbors,
    distance: str,
) -> tuple[CopyTest | None, float | None]:
    """AuthPct of samples and of held-out images against the different images of the training set."""
    distinct = first.unique()
    if len(distinct) < 2:
        return None, None
    ours, theirs = first[to_train.indices[:, 0]], first[holdout_to_train.indices[:, 0]]
    hit = torch.cat([ours, theirs]).unique()
    gaps = torch.zeros(len(train), dtype=torch.float64)
    gaps[hit] = nearest(train[hit], train[distinct], k=2, distance=distance).distances[:, 1]
    return authenticity((to_train.distances[:, 0], ours), (holdout_to_train.distances[:, 0], theirs), gaps)


def _notes(
    first: Int64[Tensor, " k"], holdout_to_train: Neighbors, set_size: int, in_cells: bool
) -> Iterator[str]:
    copies = len(first) - len(first.unique())
    leaked = int((holdout_to_train.distances == 0).sum())
    if leaked:
        yield f"{leaked} held-out images are also in the training set, which hides copying."
    if set_size == 1:
        yield "With a single image a side, the share closer to the training set has no interval."
    if not in_cells:
        yield "A set is too small for cells, so C_T was computed in one cell."
    if len(first) - copies < 2:
        yield "AuthPct needs at least two different training images."
    elif copies:
        yield f"{copies} training images are copies of others; AuthPct counts each image once."

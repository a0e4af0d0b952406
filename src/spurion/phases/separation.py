r"""Whether a threshold separates copies: do images that are no copies fall below it as often?

A valley between two modes of distances, or a number from elsewhere, may part two kinds of images, plain ones
and busy ones, as well as copies and the rest. Then images that nobody copied lie below it too. Two questions,
either of which is enough to support that samples below the threshold :math:`\delta` are copies:

- **Often.** Do samples lie below it more often than others do: held-out images, or without them training
  images among themselves (`spurion.phases.signs`, with half their number)? By Fisher's exact test. It cannot
  tell where few others are known, for at least about :math:`5 / n` of the samples must be copies.
- **Near the training set alone.** Do samples within :math:`\delta` of a training image lie near as many
  images of another set? With held-out images, each sample that is within :math:`\delta` of either set counts
  for its nearest image. Without, other samples stand in: each of them, and each training image, counts the
  rest of the samples within :math:`\delta`. If no image is copied, which set an image belongs to is chance,
  and relabeling them (`spurion.phases.share.counts_p_value`) gives the probability of as large a sum.
  It sees few copies of many images; if all samples are copies, they are as near to each other.

Samples that are smoother than images lie near to both sets: with held-out images the first question is enough
only if at least half of the samples within :math:`\delta` are more than that.

The level is 0.01 for both together. An honest model of two kinds of images fails an audit no more often.
"""

__all__ = ["Separation", "by_held_out", "by_others"]

import torch
from jaxtyping import Bool, Float, Float64
from pydantic import Field
from torch import Tensor

from spurion.core.config import Config
from spurion.core.random import generator
from spurion.data.storage import taken
from spurion.neighbors import Distance, Neighbors, within
from spurion.phases.share import counts_p_value, relabeling_p_value
from spurion.statistics.counts import more_often
from spurion.statistics.numbers import p_words

LEVEL = 0.01
"""Both p-values above half of it: nothing says that the threshold separates copies."""

MOST = 2_000
"""Images of each set, at most, that are paired."""


class Separation(Config):
    """Whether others lie below the threshold as often as samples do."""

    samples: float = Field(description="Share of samples within the threshold.")
    others: float | None = Field(
        description="The same share of held-out images, or of training images among themselves."
    )
    often_p_value: float = Field(description="Small if samples lie below it more often than others.")
    near_p_value: float = Field(description="Small if samples lie near the training set alone.")
    held_out: bool = Field(description="Whether the others are held-out images.")

    @property
    def supported(self) -> bool:
        """Whether anything says that samples below the threshold are copies."""
        return min(self.often_p_value, self.near_p_value) < LEVEL / 2

    @property
    def whose(self) -> str:
        """Who the others are."""
        return "held-out images" if self.held_out else "training images among themselves"

    @property
    def sentence(self) -> str:
        """Why the threshold separates nothing, if it does not; a clause without a full stop."""
        if self.others is None:
            return "nothing says how near images of this kind come to each other by chance"
        told = (
            f"{self.others:.1%} of {self.whose} lie as near to a training image as {self.samples:.1%} of the "
            "samples do"
        )
        if self.samples <= self.others:
            return f"{told}, so the threshold does not separate copies"
        p = p_words(min(1.0, 2 * min(self.often_p_value, self.near_p_value)))
        return f"{told}, which does not tell copies from chance ({p})"


def by_held_out(
    to_train: Neighbors,
    to_holdout: Neighbors,
    held_out: Float[Tensor, " h"],
    threshold: float,
    images: tuple[int, int],
    *,
    seed: int,
) -> Separation:
    """Judge a threshold by held-out images; see the module.

    Arguments:
        to_train: The training images nearest to each sample.
        to_holdout: The held-out images nearest to each sample.
        held_out: The distance of held-out images to the training set, with shape (h,).
        threshold: The threshold, in the unit of the distances.
        images: The numbers of training and of held-out images.
        seed: Seed of the relabelings.
    """
    ours, theirs = (_within(found.distances[:, 0], threshold) for found in (to_train, to_holdout))
    rows = ours | theirs
    trained, held = (
        Neighbors(found.distances[rows, :1], found.indices[rows, :1]) for found in (to_train, to_holdout)
    )
    near = relabeling_p_value(trained, held, images, seed=seed) if rows.any() else 1.0
    first, second = trained.distances, held.distances
    wins = float((first < second).double().sum() + 0.5 * (first == second).double().sum())
    expected = len(first) * images[0] / sum(images)
    beyond = 2 * (wins - expected) >= len(first) - expected
    often = more_often(ours, _within(held_out, threshold)) if beyond else 1.0
    return Separation(
        samples=_share(ours),
        others=_share(_within(held_out, threshold)),
        often_p_value=often,
        near_p_value=near,
        held_out=True,
    )


def by_others(
    distances: Float64[Tensor, " m"],
    among: Float64[Tensor, " n"] | None,
    train: Float[Tensor, "k *shape"],
    samples: Float[Tensor, "m *shape"],
    threshold: float,
    *,
    distance: Distance,
    seed: int,
) -> Separation:
    """Judge a threshold by training images among themselves, and by other samples; see the module.

    Arguments:
        distances: The distance of each sample to the training set, with shape (m,).
        among: The distance of training images to the nearest different one, or None with too few.
        train: The training images, each once, with shape (k, *shape).
        samples: The samples, with shape (m, *shape).
        threshold: The threshold, in the unit of the distances.
        distance: The distance.
        seed: Seed of the choice of images and of the relabelings.
    """
    order = torch.randperm(len(samples), generator=generator(seed, "separation", "samples"))
    chosen = torch.randperm(len(train), generator=generator(seed, "separation", "train"))[:MOST]
    count = min(len(chosen), len(samples) // 2)
    queries = taken(samples, order[count:][:MOST])
    ours, theirs = (
        within(images, queries, threshold, distance=distance).counts.double()
        for images in (taken(train, chosen), taken(samples, order[:count]))
    )
    flags = None if among is None else _within(among, threshold)
    ours_within = _within(distances, threshold)
    return Separation(
        samples=_share(ours_within),
        others=None if flags is None else _share(flags),
        often_p_value=1.0 if flags is None else more_often(ours_within, flags, shared=2),
        near_p_value=counts_p_value(ours, theirs, (len(ours), count), seed=seed),
        held_out=False,
    )


def _within(distances: Float[Tensor, " n"], threshold: float) -> Bool[Tensor, " n"]:
    return distances <= threshold


def _share(flags: Bool[Tensor, " n"]) -> float:
    return float(flags.double().mean())

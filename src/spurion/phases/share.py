r"""Share of samples closer to the training set than to an equally large held-out set.

For a model that copies nothing, training and held-out images are exchangeable: either is the nearer with
probability 1/2. Let :math:`c_j` be the number of samples that have image :math:`j` as their nearest among
both sets (a tie gives half to each side); the share is :math:`\hat\theta = \sum_{j \in S} c_j / M`.

**Unequal sets.** The larger one is cut at random into R disjoint blocks of the smaller one's size n, and
:math:`c_j` averages over the blocks.

Within each block the nearest image is looked up among the k nearest of the whole set. A block with none of
those k is surely beaten if the other set's nearest image is nearer than all of them; only what remains
undecided is searched again, so the blocks cost next to nothing where k is several times R.

**Interval.** Samples with the same nearest image are decided together, so M samples are worth fewer
independent ones, and few images allow no firm answer however many samples there are. With
:math:`V_S, V_H` the variances of the sums of :math:`c_j` over training and over held-out images, taken from
the spread of :math:`c_j` from image to image,

.. math:: V = \frac{(1 - \hat\theta)^2 V_S + \hat\theta^2 V_H}{M^2}, \qquad
          M_{\mathrm{eff}} = \min\left(M,
          \frac{\hat\theta (1 - \hat\theta)}{V} \Big(\frac{z}{t_{n-1}}\Big)^2\right)

and the interval is that of Clopper and Pearson for :math:`M_{\mathrm{eff}}` trials (Korn & Graubard). If one
side never wins, its images are the trials. The interval covers the share of new samples, new
held-out images and new training images alike; it does not treat the training set as given.

**p-value.** By exchangeability the training set is a random draw of K out of all images. Relabeling images at
random, with :math:`c_j` among all images of both sets, gives the exact distribution of the number of samples
nearest to a training image. The p-value is one-sided: small if samples are too close to the training set.

References:
    | Confidence Intervals for Proportions with Small Expected Number of Positive Counts Estimated from
    | Survey Data (Korn & Graubard, 1998)
"""

__all__ = ["counts_p_value", "equal_blocks", "nearest_in_blocks", "relabeling_p_value", "share_closer"]

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float64, Int64
from scipy.special import ndtri, stdtrit
from torch import Tensor

from spurion.core.random import derive_seed, generator
from spurion.neighbors import Neighbors
from spurion.statistics.counts import clopper_pearson
from spurion.statistics.intervals import Interval

MAX_BLOCKS = 64
"""Blocks of the larger set; the variance falls with their number R as (R + 2) / R."""

RELABELINGS = 9_999
"""Random relabelings; the smallest p-value is one in 10,000."""

UPPER = 0.975
"""Level of the upper end of an interval; the lower end is at 1 - UPPER."""


def equal_blocks(larger: int, smaller: int, *, seed: int) -> Int64[Tensor, "blocks smaller"]:
    """Cut the larger of two sets at random into disjoint blocks of the size of the smaller.

    Arguments:
        larger: The number of images of the larger set.
        smaller: The number of images of the smaller set, from 1 to `larger`.
        seed: Seed of the cut.

    Returns:
        Indices into the larger set, one block a row, at most 64; images that fill no block are left out.
    """
    blocks = min(larger // smaller, MAX_BLOCKS)
    order = torch.randperm(larger, generator=generator(seed, "null", "blocks"))
    return order[: blocks * smaller].reshape(blocks, smaller)


def nearest_in_blocks(
    found: Neighbors,
    blocks: Int64[Tensor, "blocks size"],
    limit: Float64[Tensor, " m"],
    search: Callable[[Int64[Tensor, " some"], Int64[Tensor, " size"]], Neighbors],
) -> Neighbors:
    """The nearest image of each sample within each block of a set, from the nearest of the whole set.

    Arguments:
        found: The k nearest images of each sample in the whole set, with shape (M, k).
        blocks: Indices into the set, one block a row; no image is in two.
        limit: A distance for each sample, with shape (M,): the nearest image of a block need not be known
            if it is farther.
        search: The nearest neighbors of the samples at the first argument among the images at the second, as
            positions in the latter; called where the k nearest do not decide.

    Returns:
        Distances and indices into the set with shape (M, blocks); distance infinity and index 0 where the
        nearest is farther than the limit and unknown.
    """
    block_of = torch.full((int(torch.cat([found.indices.flatten(), blocks.flatten()]).max()) + 1,), -1)
    block_of[blocks] = torch.arange(len(blocks))[:, None].expand_as(blocks)
    member = block_of[found.indices]
    shape = (len(limit), len(blocks))
    distances, indices = torch.full(shape, torch.inf, dtype=torch.float64), torch.zeros(shape).long()
    open_ended = found.distances[:, -1] <= limit
    for block, images in enumerate(blocks):
        inside = member == block
        known, first = inside.any(dim=1), inside.int().argmax(dim=1, keepdim=True)
        distances[known, block] = found.distances.gather(1, first)[known, 0]
        indices[known, block] = found.indices.gather(1, first)[known, 0]
        rows = (open_ended & ~known).nonzero()[:, 0]
        if len(rows):
            again = search(rows, images)
            distances[rows, block] = again.distances[:, 0]
            indices[rows, block] = images[again.indices[:, 0]]
    return Neighbors(distances, indices)


def share_closer(train: Neighbors, holdout: Neighbors, images: tuple[int, int]) -> Interval:
    r"""Share of samples closer to training than to held-out images, with its interval; see the module.

    Arguments:
        train: The training image nearest to each sample within each block, with shape (M, R). Indices count
            over all blocks. The set that is not cut into blocks gives R equal columns.
        holdout: The same for the held-out images, with shape (M, R).
        images: The numbers of training and of held-out images searched, over all blocks.

    Returns:
        The share with its 95 % interval, which is [0, 1] if a block is a single image.
    """
    samples, blocks = train.distances.shape
    wins = _wins(train.distances, holdout.distances)
    share = float(wins.sum() / wins.numel())
    set_size = min(images)
    if set_size == 1:
        return Interval(value=share, low=0.0, high=1.0)
    if share in (0.0, 1.0):
        return _interval(share, min(samples, images[0] if share == 0.0 else images[1]))
    variance = (1 - share) ** 2 * _variance_of_sum(train.indices, wins / blocks, images[0])
    variance += share**2 * _variance_of_sum(holdout.indices, (1 - wins) / blocks, images[1])
    widening = float(ndtri(UPPER) / stdtrit(set_size - 1, UPPER))
    independent = share * (1 - share) * samples**2 / variance if variance > 0 else torch.inf
    return _interval(share, min(samples, independent * widening**2))


def relabeling_p_value(train: Neighbors, holdout: Neighbors, images: tuple[int, int], *, seed: int) -> float:
    """Probability of at least as many samples nearest to a training image, were the labels random.

    Arguments:
        train: The nearest of all training images for each sample, with shape (M, 1).
        holdout: The nearest of all held-out images for each sample, with shape (M, 1).
        images: The numbers of training and of held-out images.
        seed: Seed of the relabelings.

    Returns:
        The one-sided p-value, at least 1e-4: not below any level more often than that level under the null.
    """
    wins = _wins(train.distances, holdout.distances)
    counts = _per_image(train.indices, wins), _per_image(holdout.indices, 1 - wins)
    return counts_p_value(*counts, images, seed=seed)


def counts_p_value(
    ours: Float64[Tensor, " some"], theirs: Float64[Tensor, " others"], images: tuple[int, int], *, seed: int
) -> float:
    """Probability of as large a sum over the images of one set, were the images of two sets mixed at random.

    Arguments:
        ours: What the images of the set count, multiples of 1/2; those left out count 0.
        theirs: The same for the images of the other set.
        images: The numbers of images in both sets.
        seed: Seed of the relabelings.

    Returns:
        The one-sided p-value, at least 1e-4.

    Example:
        >>> one, none = torch.ones(20).double(), torch.zeros(20).double()
        >>> counts_p_value(one, none, (20, 20), seed=0), counts_p_value(none, none, (20, 20), seed=0)
        (0.0001, 1.0)
    """
    values, times = torch.cat([ours, theirs]).unique(return_counts=True)
    kinds = np.array([sum(images) - int(times.sum()), *times.tolist()])
    draw = np.random.default_rng(derive_seed(seed, "null", "relabel"))
    drawn = draw.multivariate_hypergeometric(kinds, images[0], size=RELABELINGS, method="marginals")
    reached = drawn[:, 1:] @ values.numpy() >= float(ours.sum()) - 0.25  # counts are multiples of 1/2
    return float((1 + reached.sum()) / (1 + RELABELINGS))


def _wins(train: Float64[Tensor, "m r"], holdout: Float64[Tensor, "m r"]) -> Float64[Tensor, "m r"]:
    return (train < holdout).double() + 0.5 * (train == holdout).double()


def _per_image(indices: Int64[Tensor, "m r"], weights: Float64[Tensor, "m r"]) -> Float64[Tensor, " images"]:
    return torch.bincount(indices.flatten(), weights=weights.flatten())


def _variance_of_sum(indices: Int64[Tensor, "m r"], weights: Float64[Tensor, "m r"], images: int) -> float:
    """Variance of a sum of one term for each of `images` images, most of which may be 0."""
    terms = _per_image(indices, weights)
    return float((terms.square().sum() - terms.sum().square() / images) * images / (images - 1))


def _interval(share: float, trials: float) -> Interval:
    low, high = clopper_pearson(share * trials, trials, 1 - UPPER)
    return Interval(value=share, low=low, high=high)

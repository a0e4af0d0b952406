r"""Studies drawn anew: thresholds from other held-out images, shares from other training images and samples.

An interval that treats thresholds and training images as given speaks of one accident of both. Here each
replicate draws anew

- the held-out images, with replacement: a repeated one counts as often as it was drawn, but is no neighbor of
  itself, so nearest neighbors are those in the drawn set of u different images, scaled by
  :math:`((u - 1)/(h - 1))^{1/d}`; the dimension and both thresholds follow (`spurion.phases.anchor`);
- the training images, by multinomial weights :math:`v_j` that are the same at all training sizes of a study,
  for these are nested;
- the samples, each with a probability in proportion to the weight of its nearest training image.

Class shares at these thresholds, of these samples, make the interval of a share; and the capacities of one
replicate over all training sizes that of a capacity. What it does not draw anew is the training itself.
"""

__all__ = ["Replicates", "drawn_thresholds", "resampled"]

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from spurion.core.random import derive_seed, generator
from spurion.phases.anchor import RANK, Anchor, dimension
from spurion.phases.repeats import repeats

REPLICATES = 1000
"""Number of replicates."""

GRID = 65
"""Spurious thresholds at which repetitions are counted; between them the nearest one is taken."""

AT_ONCE = 1 << 24
"""Numbers in memory at once."""


@dataclass(frozen=True)
class Replicates:
    """How a study is drawn anew.

    Attributes:
        thresholds: Both thresholds of every replicate, in the unit of the distance, with shape (R, 2).
        images: The number N of training images that weights are drawn for: the largest training set.
        seed: Seed of the weights; the same at all training sizes.
    """

    thresholds: Float64[Tensor, "r 2"]
    images: int
    seed: int

    def weights(self, train_size: int) -> Float[Tensor, "r k"]:
        """How often each of the first K of N training images is drawn, with shape (R, K)."""
        draws = np.random.default_rng(derive_seed(self.seed, "replicates", "train"))
        count = len(self.thresholds)
        rows = [
            np.bincount(draws.integers(self.images, size=self.images), minlength=self.images)[:train_size]
            for _ in range(count)
        ]
        return torch.from_numpy(np.stack(rows).astype(np.float32))


def drawn_thresholds(
    anchor: Anchor, alpha: float, sample_size: int, *, seed: int, count: int = REPLICATES
) -> Float64[Tensor, "count 2"]:
    """Both thresholds of the `null` rule for held-out images drawn anew, Euclidean, with shape (count, 2).

    Arguments:
        anchor: The real images.
        alpha: The share of new images that may be called copies.
        sample_size: The number of samples at which repetitions are counted.
        seed: Seed of the draws; the same draws for every alpha.
        count: Number of replicates.
    """
    size, known = len(anchor), anchor.distances.shape[1]
    random = generator(seed, "replicates", "anchor")
    parts = []
    for some in torch.arange(count).split(max(1, AT_ONCE // (size * known))):
        drawn = torch.randint(size, (len(some), size), generator=random)
        times = torch.zeros(len(some), size).scatter_add_(1, drawn, torch.ones(drawn.shape))
        parts.append(_thresholds(anchor, times, alpha, sample_size))
    return torch.cat(parts)


def _thresholds(
    anchor: Anchor, times: Float[Tensor, "r h"], alpha: float, sample_size: int
) -> Float64[Tensor, "r 2"]:
    size = len(anchor)
    there = (times > 0)[:, anchor.indices]
    near = anchor.distances.masked_fill(~there, torch.inf)
    d = cast(Tensor, dimension(near.masked_fill((times == 0)[:, :, None], torch.inf)))
    d = torch.where(d.isfinite() & (d > 0), d, anchor.dimension or 1.0)
    unique = (times > 0).sum(dim=1).double()
    apart = near.amin(dim=2)
    apart = torch.where(apart.isfinite(), apart, anchor.distances[:, -1])
    apart = apart * ((unique - 1) / (size - 1)).clamp(min=1e-9).pow(1 / d)[:, None]
    to_train = anchor.to_train.expand_as(apart)
    found = []
    for distances, main in (
        (to_train, anchor.nearness(alpha)),
        (apart, anchor.spacing(alpha, sample_size)),
    ):
        beta = max(alpha, RANK / (size + 1)) if main.carried else alpha
        quantile = _weighted_quantile(distances, times, beta * (size + 1))
        found.append(quantile * (alpha / beta) ** (1 / d))
    found[1] = found[1] * ((size - 1) / max(1, sample_size - 1)) ** (1 / d)
    return torch.stack(found, dim=1)


def _weighted_quantile(
    distances: Float64[Tensor, "r h"], times: Float[Tensor, "r h"], rank: float
) -> Float64[Tensor, " r"]:
    """The smallest distance with so many at or below it, each counted as often as it was drawn."""
    ordered, order = distances.sort(dim=1)
    reached = times.gather(1, order).cumsum(dim=1) >= max(1, int(rank + 1e-9))
    return ordered.gather(1, reached.int().argmax(dim=1, keepdim=True))[:, 0]


def resampled(
    to_train: Float64[Tensor, " m"],
    nearest_train: Int64[Tensor, " m"],
    to_samples: Float64[Tensor, "m k"],
    replicates: Replicates,
    *,
    train_size: int,
    sample_size: int | None,
    seed: int,
) -> Float64[Tensor, "r 3"]:
    """The class shares of every replicate at one training size, with shape (R, 3).

    Arguments:
        to_train: Distance of each of M samples to its nearest training image, with shape (M,).
        nearest_train: That image, with shape (M,).
        to_samples: Distances to the nearest other samples, with shape (M, k); see `repeats`.
        replicates: Thresholds and weights.
        train_size: The number K of training images.
        sample_size: The number of samples at which repetitions are counted; None for all.
        seed: Seed of the draw of samples.
    """
    memorized, spurious = replicates.thresholds.unbind(dim=1)
    grid, place = _grid(spurious)
    met = repeats(to_samples, grid, sample_size).float()
    weights = replicates.weights(train_size)
    weights[weights.sum(dim=1) == 0] = 1.0
    random = generator(seed, "replicates", "samples")
    parts, count = [], len(to_train)
    for rows in torch.arange(len(memorized)).split(max(1, AT_ONCE // (2 * count))):
        chance = weights[rows][:, nearest_train]
        chance[chance.sum(dim=1) == 0] = 1.0  # none of the drawn training images has a sample
        drawn = _draws(chance, random)
        copied = (to_train <= memorized[rows, None]).float()
        again = met[place[rows]] * (1 - copied)
        shares = torch.stack([(drawn * part).sum(dim=1) for part in (copied, again)], dim=1) / count
        parts.append(torch.cat([shares, 1 - shares.sum(dim=1, keepdim=True)], dim=1))
    return torch.cat(parts).double().clamp(0.0, 1.0)


def _grid(spurious: Float64[Tensor, " r"]) -> tuple[Float64[Tensor, " g"], Int64[Tensor, " r"]]:
    """At most `GRID` thresholds evenly spaced in their logs, and the one nearest to each."""
    low, high = float(spurious.min()), float(spurious.max())
    if low <= 0 or low == high:
        values, places = spurious.unique(return_inverse=True)
        return values, places
    logs = torch.linspace(float(np.log(low)), float(np.log(high)), GRID, dtype=torch.float64)
    step = logs[1] - logs[0]
    return logs.exp(), ((spurious.log() - logs[0]) / step).round().long().clamp(0, GRID - 1)


def _draws(chance: Float[Tensor, "r m"], random: torch.Generator) -> Float[Tensor, "r m"]:
    """How often each of M samples is among M draws, by its chance, for every replicate."""
    rows, count = chance.shape
    drawn = torch.multinomial(chance, count, replacement=True, generator=random)
    return torch.zeros(rows, count).scatter_add_(1, drawn, torch.ones(rows, count))

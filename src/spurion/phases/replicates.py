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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from spurion.core.random import derive_seed, generator
from spurion.phases.anchor import RANK, Anchor, dimension
from spurion.phases.repetition import repeats

REPLICATES = 500
"""Number of replicates."""

GRID = 65
"""Spurious thresholds at which repetitions are counted; between them the nearest one is taken."""

AT_ONCE = 1 << 24
"""Numbers in memory at once."""


@dataclass(frozen=True)
class Replicates:
    """How a study is drawn anew.

    Attributes:
        thresholds: Both thresholds of every replicate under each of A rules, in the unit of the distance,
            with shape (A, R, 2).
        images: The number N of training images that weights are drawn for: the largest training set of a
            study. None leaves the training images as they are, for the model of an audit has no others.
        seed: Seed of the weights; the same at all training sizes.
    """

    thresholds: Float64[Tensor, "a r 2"]
    images: int | None
    seed: int

    def chances(self, nearest_train: Int64[Tensor, " m"]) -> Iterator[np.ndarray]:
        """How likely each sample is drawn, with shape (M,), one replicate after the other."""
        draws = np.random.default_rng(derive_seed(self.seed, "replicates", "train"))
        count, asked = self.images, nearest_train.numpy()
        for _ in range(self.thresholds.shape[1]):
            weights = (
                None if count is None else np.bincount(draws.integers(count, size=count), minlength=count)
            )
            chance = np.ones(len(asked)) if weights is None else weights[asked].astype(np.float64)
            yield chance if chance.any() else np.ones(len(asked))  # no drawn image has a sample

    @classmethod
    def at(cls, thresholds: tuple[float, float], images: int | None, *, seed: int) -> "Replicates":
        """Replicates under one rule, whose thresholds are given and the same in all."""
        both = torch.tensor(thresholds, dtype=torch.float64).expand(1, REPLICATES, 2)
        return cls(both.clone(), images, seed)


def drawn_thresholds(
    anchor: Anchor, alphas: Sequence[float], sample_size: int, *, seed: int, count: int = REPLICATES
) -> Float64[Tensor, "a count 2"]:
    """Both thresholds of the `null` rule for held-out images drawn anew, Euclidean, with shape (A, count, 2).

    Arguments:
        anchor: The real images.
        alphas: Shares of new images that may be called copies; all see the same draws.
        sample_size: The number of samples at which repetitions are counted.
        seed: Seed of the draws.
        count: Number of replicates.
    """
    size, known = len(anchor), anchor.distances.shape[1]
    random = generator(seed, "replicates", "anchor")
    parts = []
    for some in torch.arange(count).split(max(1, AT_ONCE // (size * known))):
        drawn = torch.randint(size, (len(some), size), generator=random)
        times = torch.zeros(len(some), size).scatter_add_(1, drawn, torch.ones(drawn.shape))
        parts.append(_thresholds(anchor, times, alphas, sample_size))
    return torch.cat(parts, dim=1)


def _thresholds(
    anchor: Anchor, times: Float[Tensor, "r h"], alphas: Sequence[float], sample_size: int
) -> Float64[Tensor, "a r 2"]:
    size, there = len(anchor), times > 0
    near = anchor.distances.masked_fill(~(there[:, anchor.indices] & there[:, :, None]), torch.inf)
    d = dimension(near)
    d = torch.where(d.isfinite() & (d > 0), d, anchor.dimension or 1.0)
    shrink = ((there.sum(dim=1).double() - 1) / (size - 1)).clamp(min=1e-9).pow(1 / d)
    apart = near.amin(dim=2)
    apart = torch.where(apart.isfinite(), apart, anchor.distances[:, -1]) * shrink[:, None]
    nearness, spacing = (_Sorted.of(distances, times) for distances in (anchor.to_train, apart))
    found = []
    for alpha in alphas:
        main = anchor.spacing(alpha, sample_size)
        exponent = d if main.lawful else d.clamp(max=anchor.slope)
        scale = ((size - 1) / max(1, sample_size - 1)) ** (1 / exponent)
        memorized = nearness.quantile(alpha, d, anchor.nearness(alpha).carried)
        found.append(torch.stack([memorized, spacing.quantile(alpha, d, main.carried) * scale], dim=1))
    return torch.stack(found)


class _Sorted(NamedTuple):
    """Distances of every replicate in ascending order, and how many lie at or below each."""

    distances: Float64[Tensor, "r h"]
    counts: Float[Tensor, "r h"]

    @classmethod
    def of(cls, distances: Float64[Tensor, "*r h"], times: Float[Tensor, "r h"]) -> "_Sorted":
        """Sort distances, each of which counts as often as it was drawn."""
        ordered, order = distances.sort(dim=-1)
        counts = times[:, order] if distances.ndim == 1 else times.gather(1, order)
        return cls(ordered.expand_as(times), counts.cumsum(dim=1))

    def quantile(self, alpha: float, d: Float64[Tensor, " r"], carried: bool) -> Float64[Tensor, " r"]:
        """The distance below which a share alpha lies, carried on by the law of distances or as it is."""
        size = self.counts.shape[1]
        beta = max(alpha, RANK / (size + 1)) if carried else alpha
        rank = max(1, int(beta * (size + 1) + 1e-9))
        place = (self.counts >= rank).int().argmax(dim=1, keepdim=True)
        return self.distances.gather(1, place)[:, 0] * (alpha / beta) ** (1 / d)


def resampled(
    to_train: Float64[Tensor, " m"],
    nearest_train: Int64[Tensor, " m"],
    to_samples: Float64[Tensor, "m k"],
    replicates: Replicates,
    *,
    sample_sizes: Sequence[int | None],
    seed: int,
) -> Float64[Tensor, "a r 3"]:
    """The class shares of every replicate at one training size under A rules, with shape (A, R, 3).

    Arguments:
        to_train: Distance of each of M samples to its nearest training image, with shape (M,).
        nearest_train: That image, with shape (M,).
        to_samples: Distances to the nearest other samples, with shape (M, k); see `repeats`.
        replicates: Thresholds and weights.
        sample_sizes: The number of samples at which each rule counts repetitions; None for all.
        seed: Seed of the draw of samples.
    """
    random, chances = generator(seed, "replicates", "samples"), replicates.chances(nearest_train)
    count, grids = len(to_train), [_grid(spurious) for spurious in replicates.thresholds[:, :, 1]]
    met = [
        repeats(to_samples, grid, size).float() for (grid, _), size in zip(grids, sample_sizes, strict=True)
    ]
    parts = []
    for rows in torch.arange(replicates.thresholds.shape[1]).split(max(1, AT_ONCE // (2 * count))):
        drawn = _draws(torch.from_numpy(np.stack([next(chances) for _ in rows])), random)
        found = []
        for thresholds, (_, place), again in zip(replicates.thresholds, grids, met, strict=True):
            copied = to_train <= thresholds[rows, :1]
            repeated = again[place[rows]].masked_fill(copied, 0.0)
            shares = [(drawn * part).sum(dim=1).double() / count for part in (copied, repeated)]
            found.append(torch.stack([*shares, 1 - shares[0] - shares[1]], dim=1))
        parts.append(torch.stack(found))
    return torch.cat(parts, dim=1).clamp(0.0, 1.0)


def _grid(spurious: Float64[Tensor, " r"]) -> tuple[Float64[Tensor, " g"], Int64[Tensor, " r"]]:
    """At most `GRID` thresholds evenly spaced in their logs, and the one nearest to each."""
    low, high = float(spurious.min()), float(spurious.max())
    if low <= 0 or low == high:
        values, places = spurious.unique(return_inverse=True)
        return values, places
    logs = torch.linspace(float(np.log(low)), float(np.log(high)), GRID, dtype=torch.float64)
    step = logs[1] - logs[0]
    return logs.exp(), ((spurious.log() - logs[0]) / step).round().long().clamp(0, GRID - 1)


def _draws(chance: Float64[Tensor, "r m"], random: torch.Generator) -> Float[Tensor, "r m"]:
    """How often each of M samples is among M draws, by its chance, for every replicate."""
    rows, count = chance.shape
    reached = chance.cumsum(dim=1)
    asked = torch.rand(rows, count, generator=random, dtype=torch.float64) * reached[:, -1:]
    drawn = torch.searchsorted(reached, asked, right=True).clamp(max=count - 1)
    return torch.zeros(rows, count).scatter_add_(1, drawn, torch.ones(rows, count))

"""The ground that classes stand on: thresholds, what they hang on, and how far they may be off."""

__all__ = [
    "ALPHAS",
    "AllShares",
    "Ground",
    "Shares",
    "all_shares",
    "ground_for",
    "near_each_other",
    "real_images",
]

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from spurion.audits.measurement import Measurement
from spurion.core.random import derive_seed
from spurion.data.storage import taken
from spurion.neighbors import Distance, Searcher, nearest
from spurion.phases.anchor import LEAST, Anchor, anchor_among, anchor_of
from spurion.phases.classification import class_shares, classify
from spurion.phases.exposed import duplicate_groups, equal_images
from spurion.phases.leaks import near_leaks
from spurion.phases.reality import RealImages, real_reading
from spurion.phases.repetition import USUAL, repeats
from spurion.phases.replicates import Replicates, drawn_thresholds, resampled
from spurion.phases.rules import NullRule, ThresholdInfo, ValleyRule, parse_rule
from spurion.phases.thresholds import null_thresholds, thresholds_by_rule
from spurion.statistics.intervals import ClassFractions, class_fractions, drawn_fractions

ALPHAS = (0.05, 0.01, 0.001)
"""Shares of honest samples that may be called copies, at which results are shown side by side."""


@dataclass(frozen=True)
class Ground:
    """Thresholds, and the same for studies drawn anew.

    Attributes:
        thresholds: The thresholds of the main rule.
        replicates: The same of studies drawn anew, then those of `others`; None without thresholds.
        anchor: The real images that the `null` rule hangs on, or None.
        others: The thresholds of the `null` rule at each of `ALPHAS`.
        real: What is odd about the real images.
    """

    thresholds: ThresholdInfo
    replicates: Replicates | None
    anchor: Anchor | None = None
    others: tuple[tuple[float, ThresholdInfo], ...] = ()
    real: RealImages | None = None


@dataclass(frozen=True)
class Shares:
    """The class shares of a set of samples: as found, and of studies drawn anew with shape (R, 3)."""

    fractions: ClassFractions
    drawn: Float64[np.ndarray, "r 3"]


@dataclass(frozen=True)
class AllShares:
    """The class shares of a set of samples under the main rule, None without thresholds, and at `ALPHAS`."""

    main: Shares | None
    others: tuple[tuple[float, ThresholdInfo, Shares], ...] = ()

    def arrays(self) -> dict[str, np.ndarray]:
        """What was drawn anew, by the name of the rule: "main", and "null:ALPHA" for the others."""
        named = {f"null:{alpha:g}": shares.drawn for alpha, _, shares in self.others}
        return named if self.main is None else {"main": self.main.drawn} | named


def real_images(
    train: Float[Tensor, "k *shape"],
    holdout: Float[Tensor, "h *shape"] | None,
    to_train: Float64[Tensor, " h"] | None,
    distance: Distance,
    *,
    seed: int,
    search: Searcher = nearest,
) -> Anchor | None:
    """What the `null` rule hangs on: held-out images, or training images where these are too few.

    An image that is there more than once counts once; held-out images that are training images, or that a gap
    tells to be near copies of some (`spurion.phases.leaks`), not at all.

    Arguments:
        train: The training images, with shape (K, *shape).
        holdout: The held-out images, with shape (h, *shape), or None.
        to_train: Their distance to the nearest training image, if it is known.
        distance: The distance.
        seed: Seed of the choice of images where there are many.
        search: What finds the training images nearest to others.

    Returns:
        The anchor, or None where there are too few images of either kind.
    """
    if holdout is not None and len(holdout) >= LEAST:
        if to_train is None:
            to_train = search(holdout, train, 1, distance=distance).distances[:, 0]
        kept = _firsts(holdout) & ~equal_images(holdout, train, to_train)
        among = partial(_among_train, train, distance, seed, search)
        kept[kept.nonzero()[:, 0][near_leaks(to_train[kept], among)]] = False
        found = anchor_of(to_train[kept], _only(holdout, kept), distance, seed=seed)
        if found is not None:
            return found
    return anchor_among(_only(train, _firsts(train)), distance, search=search, seed=seed)


def _firsts(images: Float[Tensor, "n *shape"]) -> Tensor:
    """Which images do not equal an earlier one, with shape (n,)."""
    kept = torch.ones(len(images), dtype=torch.bool)
    for group in duplicate_groups(images):
        kept[list(group[1:])] = False
    return kept


def _among_train(
    train: Float[Tensor, "k *shape"], distance: Distance, seed: int, search: Searcher
) -> Float64[Tensor, " n"]:
    """The distance of training images to the nearest other one; looked up only where there is a gap."""
    anchor = anchor_among(_only(train, _firsts(train)), distance, search=search, seed=seed)
    return torch.empty(0, dtype=torch.float64) if anchor is None else distance.value(anchor.to_train)


def _only(images: Float[Tensor, "n *shape"], kept: Tensor) -> Tensor:
    return images if bool(kept.all()) else taken(images, kept.nonzero()[:, 0])


def ground_for(
    rule: str,
    *measurements: Measurement,
    anchor: Anchor | None,
    distance: Distance,
    images: int | None = None,
    sample_size: int = USUAL,
    seed: int = 0,
) -> Ground:
    """Thresholds by a rule, from the pooled distances of one or several measurements.

    Arguments:
        rule: The rule.
        measurements: The distances.
        anchor: What the `null` rule hangs on; for `valley`, training images among themselves.
        distance: Whose distances these are.
        images: The number of images of the largest training set of a study; None for an audit, whose training
            set is what it is.
        sample_size: The number of samples at which repetitions are counted, of the smallest set at most.
        seed: Seed of the studies drawn anew.

    Raises:
        ValueError: If the rule is unknown, or needs held-out images that were not given.
    """
    smallest = min(len(one.distance_train) for one in measurements)
    size, asked = min(sample_size, smallest), parse_rule(rule)
    thresholds = thresholds_by_rule(
        rule,
        olive=torch.cat([one.distance_train for one in measurements]),
        gray=torch.cat([one.distance_sample for one in measurements]),
        holdout_to_train=torch.cat([one.holdout_train for one in measurements]),
        holdout_to_holdout=torch.cat([one.holdout_holdout for one in measurements]),
        anchor=anchor,
        among=_among(anchor, distance) if isinstance(asked, ValleyRule) else None,
        sample_size=size,
        distance=distance,
    )
    if not isinstance(asked, NullRule) or anchor is None or thresholds.memorized is None:
        return Ground(thresholds, _fixed(thresholds, images, seed))
    others = [(a, null_thresholds(a, anchor, sample_size=size, distance=distance)) for a in ALPHAS]
    others = [(a, found) for a, found in others if found.memorized is not None]
    alphas = [asked.alpha, *(a for a, _ in others)]
    drawn = drawn_thresholds(anchor, alphas, size, seed=derive_seed(seed, "thresholds"))
    replicates = Replicates(distance.value(drawn), images, seed)
    real = real_reading(anchor, asked.alpha, size, distance)
    return Ground(thresholds, replicates, anchor, tuple(others), real)


def _among(anchor: Anchor | None, distance: Distance) -> Tensor | None:
    return None if anchor is None or anchor.held_out else distance.value(anchor.to_train)


def _fixed(thresholds: ThresholdInfo, images: int | None, seed: int) -> Replicates | None:
    if thresholds.memorized is None or thresholds.spurious is None:
        return None
    return Replicates.at((thresholds.memorized, thresholds.spurious), images, seed=seed)


def all_shares(found: Measurement, ground: Ground, *, seed: int) -> AllShares:
    """The class shares of the samples of a measurement under all rules of a ground.

    Arguments:
        found: The distances.
        ground: The thresholds.
        seed: Seed of the samples drawn anew.
    """
    replicates = ground.replicates
    if replicates is None:
        return AllShares(None)
    rules = [ground.thresholds, *(other for _, other in ground.others)]
    if replicates.images is None and ground.anchor is None:  # nothing but samples is drawn anew
        return AllShares(_of_samples(found, ground.thresholds, seed))
    near = found.to_samples.distances
    drawn = resampled(
        found.distance_train,
        found.nearest_train,
        near,
        replicates,
        sample_sizes=[rule.sample_size for rule in rules],
        seed=seed,
    ).numpy()
    every = [
        Shares(drawn_fractions(class_shares(found.distance_train, near, rule), rows, len(near)), rows)
        for rule, rows in zip(rules, drawn, strict=True)
    ]
    pairs = zip(ground.others, every[1:], strict=True)
    return AllShares(every[0], tuple((alpha, rule, shares) for (alpha, rule), shares in pairs))


def _of_samples(found: Measurement, thresholds: ThresholdInfo, seed: int) -> Shares:
    """The shares of samples under thresholds that are what they are, of a model that is what it is."""
    near = found.to_samples.distances
    values = np.array([class_shares(found.distance_train, near, thresholds)])
    if thresholds.sample_size is not None:
        return Shares(drawn_fractions(values[0].tolist(), values, len(near)), values)
    labels = classify(found.distance_train, near, thresholds)
    return Shares(class_fractions(labels, seed=derive_seed(seed, "bootstrap")), values)


def near_each_other(found: Measurement, ground: Ground, distance: Distance) -> float | None:
    """Share of samples that are not memorized and have another one as near as half of the real images have.

    Counted among the number of samples of the thresholds; 1/2 for samples as varied as real images. None
    without an anchor, or where all samples are memorized.
    """
    thresholds, real = ground.thresholds, ground.real
    if real is None or thresholds.memorized is None:
        return None
    rest = found.distance_train > thresholds.memorized
    met = repeats(found.to_samples.distances, real.typical, thresholds.sample_size)[rest]
    return float(met.mean()) if len(met) else None

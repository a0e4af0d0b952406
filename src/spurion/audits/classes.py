"""From distances to classes, and what follows from them alone; the rest is in `spurion.audits.conclusion`."""

__all__ = ["AuditRules", "classified", "labels_of"]

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor

from spurion.audits.findings import AtAlpha, Controls, Findings
from spurion.audits.ground import AllShares, Ground, all_shares, ground_for, near_each_other
from spurion.audits.measurement import COPY_NOISE, Measurement
from spurion.core.config import Config
from spurion.core.random import derive_seed
from spurion.neighbors import Distance, DistanceInfo, Pairs, as_distance, within
from spurion.phases.attractors import census
from spurion.phases.classification import classify, classify_by_ratio
from spurion.phases.rarefied import collision_rate, rarefaction
from spurion.phases.rules import ThresholdInfo
from spurion.phases.scaled import sensitivity
from spurion.statistics.intervals import ClassFractions, Interval, class_fractions, proportion


class AuditRules(Config):
    """The rules shown beside the main one.

    `holdout_alpha`: the alpha of the holdout rule. `ratio_memorized`, `ratio_spurious`: thresholds of the
    ratio rule (workshop Eq. 4-6).
    """

    holdout_alpha: float = Field(0.01, gt=0, lt=1)
    ratio_memorized: float = Field(1 / 3, gt=0)
    ratio_spurious: float = Field(0.3, gt=0, le=1)


def labels_of(measurement: Measurement, thresholds: ThresholdInfo) -> Int64[Tensor, " n"] | None:
    """Class of every sample by absolute distance (Eq. 9-11), or None without a threshold."""
    if thresholds.memorized is None or thresholds.spurious is None:
        return None
    return classify(measurement.distance_train, measurement.to_samples.distances, thresholds)


def classified(
    measurement: Measurement,
    ground: Ground,
    samples: Float[Tensor, "n *shape"],
    rules: AuditRules,
    *,
    shares: AllShares,
    distance: str | Distance = "l2",
    seed: int = 0,
) -> Findings:
    """Turn distances into classes and everything that follows from them.

    Arguments:
        measurement: The distances.
        ground: The thresholds of the main rule, and what they hang on.
        samples: The samples that were measured, for their pairs within the spurious threshold.
        rules: The rules shown beside the main one.
        shares: The class shares of the samples under all rules of the ground.
        distance: The distance that was measured.
        seed: Seed of the bootstrap.

    Raises:
        ValueError: If another distance was measured.
    """
    distance, thresholds = as_distance(distance), ground.thresholds
    if distance.info != measurement.distance:
        raise ValueError(
            f"{_in_words(measurement.distance)} was measured, but `distance` is {_in_words(distance.info)}; "
            "measure again, or give the same distance and weights."
        )
    labels = labels_of(measurement, thresholds)
    notes = list(distance.notes(tuple(samples.shape[1:])))
    found: dict[str, Any] = {
        "distance": measurement.distance,
        "thresholds": thresholds,
        "by_alpha": tuple(_at_alphas(shares)),
        "real": ground.real,
        "near_each_other": near_each_other(measurement, ground, distance),
        "ratio_fractions": _by_ratio(measurement, rules, notes, seed),
        **_by_holdout(measurement, rules, distance, seed),
        "null": measurement.null,
        "controls": _controls(measurement, thresholds),
    }
    if labels is None or thresholds.spurious is None or shares.main is None:
        notes.append("No threshold could be identified, so no sample was classified by absolute distance.")
        return Findings(**found, notes=tuple(notes))
    pairs = within(samples, samples, thresholds.spurious, distance=distance, exclude_self=True)
    return Findings(
        **found,
        fractions=shares.main.fractions,
        **_by_class(measurement, thresholds, pairs, labels),
        notes=tuple(notes),
    )


def _by_class(
    measurement: Measurement, thresholds: ThresholdInfo, pairs: Pairs, labels: Int64[Tensor, " n"]
) -> dict[str, Any]:
    memorized = labels == 0
    near = measurement.to_samples.distances
    return {
        "counts": tuple(torch.bincount(labels, minlength=3).tolist()),
        "duplicated_memorized": _mean(pairs.counts[memorized] > 0),
        "rarefaction": rarefaction(pairs.counts, ~memorized),
        "collision_rate": collision_rate(pairs.counts),
        "census": census(pairs, labels),
        "sensitivity": sensitivity(measurement.distance_train, near, thresholds),
    }


def _in_words(distance: DistanceInfo) -> str:
    return distance.name if distance.weights is None else f"{distance.name}, {distance.weights}"


def _mean(flags: Bool[Tensor, " n"]) -> float | None:
    return float(flags.double().mean()) if len(flags) else None


def _at_alphas(shares: AllShares) -> Iterator[AtAlpha]:
    for alpha, thresholds, found in shares.others:
        if thresholds.memorized is not None and thresholds.spurious is not None:
            yield AtAlpha(
                alpha=alpha,
                memorized=thresholds.memorized,
                spurious=thresholds.spurious,
                fractions=found.fractions,
            )


def _by_ratio(
    measurement: Measurement, rules: AuditRules, notes: list[str], seed: int
) -> ClassFractions | None:
    if not torch.isfinite(measurement.distance_train_2).all():
        notes.append("The ratio rule needs a second training image; there is only one.")
        return None
    labels = classify_by_ratio(
        measurement.distance_train,
        measurement.distance_train_2,
        measurement.distance_sample,
        memorized=rules.ratio_memorized,
        spurious=rules.ratio_spurious,
    )
    return class_fractions(labels, seed=derive_seed(seed, "bootstrap", "ratio"))


def _by_holdout(measurement: Measurement, rules: AuditRules, distance: Distance, seed: int) -> dict[str, Any]:
    if not len(measurement.holdout_train):
        return {}
    rule = f"holdout:{rules.holdout_alpha:g}"
    ground = ground_for(rule, measurement, anchor=None, distance=distance, seed=seed)
    shares = all_shares(measurement, ground, seed=derive_seed(seed, "shares", "holdout")).main
    return {
        "holdout_thresholds": ground.thresholds,
        "holdout_fractions": None if shares is None else shares.fractions,
    }


def _controls(measurement: Measurement, thresholds: ThresholdInfo) -> Controls | None:
    if thresholds.memorized is None:
        return None
    return Controls(
        noisy_copies=_share_within(measurement.copies, thresholds.memorized),
        noise=COPY_NOISE,
        held_out=_share_within(measurement.holdout_train, thresholds.memorized),
    )


def _share_within(distances: Float[Tensor, " c"], threshold: float) -> Interval | None:
    return proportion(int((distances <= threshold).sum()), len(distances)) if len(distances) else None

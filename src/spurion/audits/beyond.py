"""What samples show beyond honest images: the excess risk, and a list of copies that is mostly right."""

__all__ = ["FALSE_DISCOVERIES", "beyond_honest", "p_values"]

from typing import Any

from jaxtyping import Float64
from scipy.stats import false_discovery_control
from torch import Tensor

from spurion.audits.ground import Ground
from spurion.audits.measurement import Measurement
from spurion.neighbors import Distance
from spurion.phases.anchor import LEAST
from spurion.statistics.excess import excess

FALSE_DISCOVERIES = 0.05
"""The share of listed samples that are no copies is at most this, on average."""


def p_values(found: Measurement, ground: Ground, distance: Distance) -> Float64[Tensor, " n"] | None:
    """The probability of a new image as near to the training set as each sample; None without an anchor."""
    if ground.anchor is None or ground.thresholds.null is None:
        return None
    return ground.anchor.p_values(distance.radius(found.distance_train))


def _honest(found: Measurement, ground: Ground, distance: Distance) -> Float64[Tensor, " h"]:
    """The distances of honest images to the training set: of those that thresholds hang on, where some do.

    In a study these hang on all training images that it may draw from; held-out images are measured against
    those of this training size.
    """
    fit, anchor = ground.thresholds.null, ground.anchor
    whole = ground.replicates is None or ground.replicates.images is None
    if fit is not None and anchor is not None and (whole or not fit.held_out):
        return distance.value(anchor.to_train)
    return found.holdout_train


def beyond_honest(found: Measurement, ground: Ground, distance: Distance) -> dict[str, Any]:
    """The excess risk, and the samples that are listed as copies.

    The list is that of Benjamini and Hochberg at `FALSE_DISCOVERIES`: as long as the p-values allow, whatever
    the threshold.

    Arguments:
        found: The distances.
        ground: The thresholds and what they hang on.
        distance: Whose distances these are.

    Returns:
        Fields of an `AuditResult`.
    """
    fields: dict[str, Any] = {}
    threshold = ground.thresholds.memorized
    if threshold is not None:
        honest = _honest(found, ground, distance)
        if len(honest) >= LEAST and (honest > threshold).any():
            fields["excess"] = excess(
                int((found.distance_train <= threshold).sum()),
                len(found.distance_train),
                int((honest <= threshold).sum()),
                len(honest),
            )
    p = p_values(found, ground, distance)
    if p is not None:
        adjusted = false_discovery_control(p.numpy(), method="bh")
        fields["listed"] = tuple((adjusted <= FALSE_DISCOVERIES).nonzero()[0].tolist())
    return fields

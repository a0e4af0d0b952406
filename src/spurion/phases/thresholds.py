r"""Thresholds by rule, never bare numbers.

A sample counts as a copy of a training image below :math:`\delta_m`, and as a repetition of another
sample below :math:`\delta_s` (Pham et al., 2025, Eq. 9-11). Three rules find them:

- `fixed`: numbers from elsewhere, in the unit of the distance.
- `valley`: the valley between the two modes of the distances themselves (`spurion.phases.valley`), of
  all samples to the training set for :math:`\delta_m`, and of the samples that are *not* memorized to each
  other for :math:`\delta_s`. Where the latter have one mode, :math:`\delta_s = \delta_m`, said in a note;
  where the former have one mode there is no threshold at all.
- `holdout`: the :math:`\alpha`-quantile of the same distances of held-out real images. A new real image,
  exchangeable with those, is called memorized with probability at most :math:`\alpha`.
"""

__all__ = [
    "FixedRule",
    "HoldoutRule",
    "Identifiable",
    "Rule",
    "ThresholdInfo",
    "ValleyRule",
    "fixed",
    "holdout",
    "parse_rule",
    "thresholds_by_rule",
    "valley_thresholds",
]

import math

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from spurion.core.arguments import TEXT, check_arguments
from spurion.core.config import Config, build_config
from spurion.core.quantities import Distance, Notes
from spurion.phases.valley import Valley, valley


class Identifiable(Config):
    """Whether the rule itself found each threshold; false where it is absent or borrowed."""

    memorized: bool
    spurious: bool


class ThresholdInfo(Config):
    """Thresholds with the rule that made them.

    Attributes:
        rule: The rule, as `parse_rule` reads it.
        memorized: The largest distance to a training image that makes a sample memorized; None where
            there is no such threshold.
        spurious: The largest distance to another sample that makes a sample a repetition.
        identifiable: Whether the rule itself found them.
        notes: What a reader must know about them.
        memorized_valley: What the `valley` rule saw among the distances to the training set.
        spurious_valley: What it saw among the distances between samples that are not memorized.
    """

    rule: str
    memorized: Distance | None
    spurious: Distance | None
    identifiable: Identifiable
    notes: Notes = ()
    memorized_valley: Valley | None = None
    spurious_valley: Valley | None = None


class FixedRule(Config):
    """``fixed:DM,DS``."""

    memorized: Distance
    spurious: Distance


class ValleyRule(Config):
    """``valley``."""


class HoldoutRule(Config):
    """``holdout:ALPHA``."""

    alpha: float = Field(gt=0, lt=1)


Rule = FixedRule | ValleyRule | HoldoutRule


def parse_rule(text: str) -> Rule:
    """Read a rule: ``fixed:DM,DS``, ``valley`` or ``holdout:ALPHA``.

    Raises:
        ValueError: If it is none of these, or a number is missing or out of range.

    Example:
        >>> parse_rule("fixed:0.36,0.3"), parse_rule("holdout:0.01")
        (FixedRule(memorized=0.36, spurious=0.3), HoldoutRule(alpha=0.01))
    """
    check_arguments(locals(), {"text": TEXT})
    name, _, rest = text.partition(":")
    where = f"threshold rule `{text}`"
    if name == "fixed" and rest.count(",") == 1:
        memorized, spurious = rest.split(",")
        return build_config(FixedRule, {"memorized": memorized, "spurious": spurious}, where)
    if text == "valley":
        return ValleyRule()
    if name == "holdout" and rest:
        return build_config(HoldoutRule, {"alpha": rest}, where)
    raise ValueError(
        "the threshold rule must be `fixed:DM,DS`, `valley` or `holdout:ALPHA` (such as `fixed:0.36,0.36` "
        f"or `holdout:0.01`), got `{text}`."
    )


def thresholds_by_rule(
    rule: str,
    *,
    olive: Float[Tensor, " n"],
    gray: Float[Tensor, " m"],
    holdout_to_train: Float[Tensor, " h"] | None = None,
    holdout_to_holdout: Float[Tensor, " g"] | None = None,
) -> ThresholdInfo:
    """Find both thresholds by a rule.

    Arguments:
        rule: A rule that `parse_rule` reads.
        olive: Distance of each sample to its nearest training image, with shape (n,).
        gray: Distance of each sample to its nearest other sample, with shape (n,), so m = n.
        holdout_to_train: Distance of held-out images to the training set, for the `holdout` rule.
        holdout_to_holdout: Distance of held-out images to their nearest other held-out image, in a set
            of about as many images as there are samples.

    Raises:
        ValueError: If the rule cannot be read, or it is `holdout` and there are no held-out images.
    """
    match parse_rule(rule):
        case FixedRule(memorized=memorized, spurious=spurious):
            return fixed(memorized, spurious)
        case HoldoutRule(alpha=alpha):
            if holdout_to_train is None or not len(holdout_to_train):
                raise ValueError(f"the threshold rule `{rule}` needs held-out images; give some.")
            return holdout(alpha, holdout_to_train, holdout_to_holdout)
        case ValleyRule():
            return valley_thresholds(olive, gray)


def fixed(memorized: float, spurious: float) -> ThresholdInfo:
    """Thresholds given as numbers, in the unit of the distance, at least 0.

    Raises:
        ValueError: If a number is negative or not finite.
    """
    build_config(FixedRule, {"memorized": memorized, "spurious": spurious}, "fixed thresholds")
    return ThresholdInfo(
        rule=f"fixed:{memorized!r},{spurious!r}",
        memorized=memorized,
        spurious=spurious,
        identifiable=Identifiable(memorized=True, spurious=True),
    )


def valley_thresholds(olive: Float[Tensor, " n"], gray: Float[Tensor, " m"]) -> ThresholdInfo:
    """Thresholds in the valleys of the histograms of distance.

    Arguments:
        olive: Distance of each sample to its nearest training image, with shape (n,); of one model, or
            pooled over several.
        gray: Distance of the same samples to their nearest other sample, with shape (n,), so m = n.

    Raises:
        ValueError: If the two differ in length, or a distance is not finite or negative.
    """
    if len(olive) != len(gray):
        raise ValueError(f"`olive` and `gray` must be of the same samples, got {len(olive)} and {len(gray)}.")
    to_train = valley(olive)
    if to_train.value is None:
        return _none("valley", to_train.reason).model_copy(update={"memorized_valley": to_train})
    to_samples = valley(gray[olive > to_train.value])
    reason = f"among samples that are not memorized, {to_samples.reason}"
    both = _both("valley", to_train.value, to_samples.value, reason)
    return both.model_copy(update={"memorized_valley": to_train, "spurious_valley": to_samples})


def holdout(
    alpha: float,
    holdout_to_train: Float[Tensor, " h"],
    holdout_to_holdout: Float[Tensor, " g"] | None = None,
) -> ThresholdInfo:
    r"""Thresholds that held-out real images stay above, but for a share of at most alpha.

    The threshold is the order statistic of rank :math:`\lfloor \alpha (h + 1) \rfloor`, or the value below
    it if it ties with the next. One more real image is then at or below it with probability at most alpha.

    Arguments:
        alpha: The share, in (0, 1).
        holdout_to_train: Distance of each held-out image to its nearest training image, with shape (h,).
        holdout_to_holdout: Distance of each held-out image to its nearest other held-out image, with
            shape (g,). Nearest neighbors get nearer as a set grows, so the set should have about as
            many images as there are samples. None or empty: :math:`\delta_s = \delta_m`.

    Raises:
        ValueError: If `alpha` is out of range, or a distance is negative or NaN.

    Example:
        >>> holdout(0.1, torch.arange(1.0, 21.0)).memorized  # rank 2 of 20
        2.0
    """
    build_config(HoldoutRule, {"alpha": alpha}, "holdout thresholds")
    rule = f"holdout:{alpha!r}"
    memorized, reason = _quantile(alpha, holdout_to_train)
    if memorized is None:
        return _none(rule, reason)
    repeated = torch.empty(0) if holdout_to_holdout is None else holdout_to_holdout
    spurious, reason = _quantile(alpha, repeated)
    return _both(rule, memorized, spurious, reason)


def _none(rule: str, reason: str) -> ThresholdInfo:
    return ThresholdInfo(
        rule=rule,
        memorized=None,
        spurious=None,
        identifiable=Identifiable(memorized=False, spurious=False),
        notes=(f"The memorized threshold is not identifiable: {reason}.",),
    )


def _both(rule: str, memorized: float, spurious: float | None, reason: str) -> ThresholdInfo:
    note = f"The spurious threshold is not identifiable: {reason}. It is set equal to the memorized one."
    return ThresholdInfo(
        rule=rule,
        memorized=memorized,
        spurious=memorized if spurious is None else spurious,
        identifiable=Identifiable(memorized=True, spurious=spurious is not None),
        notes=(note,) if spurious is None else (),
    )


def _quantile(alpha: float, distances: Float[Tensor, " h"]) -> tuple[float | None, str]:
    """The largest distance that at most a share alpha of new ones do not exceed, or why there is none."""
    if not (distances >= 0).all():
        raise ValueError("held-out distances must be at least 0, got NaN or a negative number.")
    ordered = distances.double().sort().values
    rank = math.floor(alpha * (len(ordered) + 1))
    if rank < 1:
        return None, (
            f"{len(ordered)} held-out images cannot tell a share of {alpha:g}, {math.ceil(1 / alpha) - 1} or "
            "more could"
        )
    below = ordered[:rank]
    if rank < len(ordered):
        below = below[below < ordered[rank]]
    if not len(below):
        return None, f"{rank + 1} or more held-out images share the smallest distance of {ordered[0]:g}"
    return float(below[-1]), ""

r"""Thresholds by rule, never bare numbers.

A sample counts as a copy of a training image below :math:`\delta_m`, and as a repetition of another
sample below :math:`\delta_s` (Pham et al., 2025, Eq. 9-11). Four rules find them:

- `null`: a share :math:`\alpha` of new real images lies below them, by held-out images or, without any, by
  training images among themselves (`spurion.phases.anchor`). :math:`\delta_s` holds for a stated number of
  samples (`spurion.phases.repetition`). Both depend on the real images alone, not on the samples.
- `holdout`: the :math:`\alpha`-quantiles of the distances of held-out images as they are, without any law;
  it takes more of them, and :math:`\delta_s` holds for as many samples as there are held-out images.
- `fixed`: numbers from elsewhere, in the unit of the distance.
- `valley`: the valley between the two modes of the distances themselves (`spurion.phases.valley`), of
  all samples to the training set for :math:`\delta_m`, and of the samples that are *not* memorized to each
  other for :math:`\delta_s`. Where the latter have one mode, :math:`\delta_s = \delta_m`, said in a note;
  where the former have one mode there is no threshold at all. It describes the samples, and decides nothing:
  it moves with the models whose samples are pooled, and two kinds of images part as copies and the rest do.
  Where training images among themselves lie below it as well, it is refused.
"""

__all__ = [
    "fixed",
    "holdout",
    "null_thresholds",
    "thresholds_by_rule",
    "valley_thresholds",
]

import math

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.core.arguments import NUMBER, WHOLE, Kind, check_arguments
from spurion.core.config import build_config
from spurion.neighbors import Distance
from spurion.neighbors.distances.l2 import L2
from spurion.phases.anchor import LEAST, Anchor
from spurion.phases.repetition import USUAL
from spurion.phases.rules import (
    FixedRule,
    HoldoutRule,
    Identifiable,
    NullFit,
    NullRule,
    ThresholdInfo,
    ValleyRule,
    parse_rule,
)
from spurion.phases.valley import valley


def thresholds_by_rule(
    rule: str,
    *,
    olive: Float[Tensor, " n"],
    gray: Float[Tensor, " m"],
    holdout_to_train: Float[Tensor, " h"] | None = None,
    holdout_to_holdout: Float[Tensor, " g"] | None = None,
    anchor: Anchor | None = None,
    among: Float[Tensor, " t"] | None = None,
    sample_size: int = USUAL,
    distance: Distance | None = None,
) -> ThresholdInfo:
    """Find both thresholds by a rule.

    Arguments:
        rule: A rule that `parse_rule` reads.
        olive: Distance of each sample to its nearest training image, with shape (n,).
        gray: Distance of each sample to its nearest other sample, with shape (n,), so m = n.
        holdout_to_train: Distance of held-out images to the training set, for the `holdout` rule.
        holdout_to_holdout: Distance of held-out images to their nearest other held-out image.
        anchor: The real images of the `null` rule; None where there are too few.
        among: Distance of training images to their nearest other one, to hold the `valley` rule against.
        sample_size: The number of samples at which the `null` rule counts repetitions.
        distance: Whose distances these are, by default l2; it brings those of the anchor into its unit.

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
        case NullRule(alpha=alpha):
            return null_thresholds(alpha, anchor, sample_size=sample_size, distance=distance)
        case ValleyRule():
            return valley_thresholds(olive, gray, among)


def null_thresholds(
    alpha: float, anchor: Anchor | None, *, sample_size: int = USUAL, distance: Distance | None = None
) -> ThresholdInfo:
    r"""Thresholds below which a share alpha of new real images lies; see `spurion.phases.anchor`.

    Arguments:
        alpha: The share, in (0, 1).
        anchor: The real images; None where there are fewer than `LEAST`.
        sample_size: The number :math:`m_0` of samples at which repetitions are counted, at least 2.
        distance: Whose unit the thresholds have; by default Euclidean.

    Raises:
        ValueError: If `alpha` is out of range.
    """
    kinds: dict[str, Kind] = {
        "alpha": NUMBER,
        "anchor": (Anchor | None, "an Anchor or None"),
        "sample_size": WHOLE,
        "distance": (Distance | None, "a distance"),
    }
    check_arguments(locals(), kinds)
    build_config(NullRule, {"alpha": alpha}, "null thresholds")
    if sample_size < 2:
        raise ValueError(f"`sample_size` must be at least 2, got {sample_size}.")
    rule = f"null:{alpha!r}"
    if anchor is None:
        return _none(
            rule,
            f"there are fewer than {LEAST} different held-out images, and fewer than {LEAST} different "
            "training images; give more held-out images",
        )
    found = (anchor.nearness(alpha), anchor.spacing(alpha, sample_size))
    if any(one.value is None for one in found):
        return _none(
            rule,
            f"too many of {len(anchor)} {anchor.whose} are equal, or nearer than the law of distances "
            f"explains, to tell a share of {alpha:g}",
        )
    memorized, spurious = (
        float((distance or L2()).value(torch.tensor(one.value, dtype=torch.float64))) for one in found
    )
    fit = NullFit(
        held_out=anchor.held_out,
        images=len(anchor),
        dimension=anchor.dimension,
        carried=(found[0].carried, found[1].carried),
        lawful=(found[0].lawful, found[1].lawful),
    )
    return ThresholdInfo(
        rule=rule,
        memorized=memorized,
        spurious=spurious,
        identifiable=Identifiable(memorized=True, spurious=True),
        sample_size=sample_size,
        null=fit,
    )


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


def valley_thresholds(
    olive: Float[Tensor, " n"], gray: Float[Tensor, " m"], among: Float[Tensor, " t"] | None = None
) -> ThresholdInfo:
    """Thresholds in the valleys of the histograms of distance.

    Arguments:
        olive: Distance of each sample to its nearest training image, with shape (n,); of one model, or
            pooled over several.
        gray: Distance of the same samples to their nearest other sample, with shape (n,), so m = n.
        among: Distance of training images to their nearest other one. Where more than half as large a share
            of them lies below the valley as of samples, it does not part copies from the rest.

    Raises:
        ValueError: If the two differ in length, or a distance is not finite or negative.
    """
    if len(olive) != len(gray):
        raise ValueError(f"`olive` and `gray` must be of the same samples, got {len(olive)} and {len(gray)}.")
    to_train = valley(olive)
    if to_train.value is None:
        return _none("valley", to_train.reason).model_copy(update={"memorized_valley": to_train})
    if among is not None and len(among):
        theirs, ours = (float((some <= to_train.value).double().mean()) for some in (among, olive))
        if theirs > ours / 2:
            reason = (
                f"{theirs:.0%} of the training images lie as near to each other as {ours:.0%} of the samples"
            )
            return _none("valley", reason).model_copy(update={"memorized_valley": to_train})
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
            shape (g,). Nearest neighbors get nearer as a set grows, so repetitions are counted among g
            samples. None or empty: :math:`\delta_s = \delta_m`.

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
    if not len(repeated):
        reason = "there are too few samples or held-out images to count repetitions among as many of both"
    found = _both(rule, memorized, spurious, reason)
    return found if spurious is None else found.model_copy(update={"sample_size": len(repeated)})


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

"""Whether samples called memorized may be no copies, but near for another reason."""

__all__ = ["beyond_others", "equal_by_nature", "false_alarms", "less_contrast", "separated"]

import math
from collections.abc import Iterator

import torch

from spurion.audits.claims import Asked, Claim, of_kind
from spurion.audits.results import AuditResult
from spurion.statistics.counts import more_often

CLASSES: tuple[Asked, ...] = ("memorized", "generalized")
"""The shares that hang on memorized samples."""

FAINT = 0.9
"""Samples of a smaller part of the contrast of training images lie nearer for that alone."""

FAINT_LEVEL = 1e-3
"""A smaller p-value says that they have less contrast."""

CHANCE = 0.05
"""A smaller p-value says that samples equal training images more often than held-out images do."""


def false_alarms(audit: AuditResult) -> Iterator[Claim]:
    """How many of the samples called memorized the threshold may be wrong about, by its own promise."""
    power, near = audit.power, audit.near
    rate = power.false_positive_rate
    if rate is None or near <= 0:
        return
    rule = f"The threshold calls up to {100 * rate:g}% of new images memorized"
    if not power.could_be_chance(near):
        expected = min(near, max(1, round(rate * power.samples)))
        yield Claim(
            kind="false_alarms",
            severity="note",
            sentence=f"{rule}, so {'one' if expected == 1 else f'some {expected:,}'} may be false alarms.",
            numbers={"expected": expected},
            touches=("memorized",),
        )
        return
    besides = " besides equal images" if audit.exact_copies else ""
    if power.count_needed is None:
        chance = "among so few samples that may be all of them"
    else:
        chance = f"fewer than {power.count_needed:,}{besides} are no more than chance"
    yield Claim(
        kind="chance",
        severity="doubt",
        sentence=f"{rule}; {chance}.",
        numbers={"doubtful": near},
        touches=CLASSES,
        forbids=("many",),
    )


def separated(audit: AuditResult) -> Iterator[Claim]:
    """Whether other images lie below the threshold as often; see `spurion.phases.separation`."""
    found = audit.separation
    if found is not None and not found.supported and audit.near > 0:
        yield Claim(
            kind="not_separated",
            severity="doubt",
            sentence=f"{found.sentence[:1].upper()}{found.sentence[1:]}.",
            numbers={"doubtful": audit.near},
            touches=CLASSES,
            forbids=("many",),
        )


def less_contrast(audit: AuditResult) -> Iterator[Claim]:
    """Samples of less contrast than training images: near, and yet no copies but for those that are alike."""
    found = audit.contrast
    if (
        of_kind(audit.claims, "other_range")
        or found is None
        or found.ratio > FAINT
        or found.p_value > FAINT_LEVEL
    ):
        return
    doubtful = max(0, audit.near - found.alike)
    yield Claim(
        kind="less_contrast",
        severity="warning",
        sentence=f"The samples have {found.ratio:.0%} of the contrast of the training images, which alone "
        "brings "
        f"them nearer to these and to each other; {found.alike:,} of them are near copies at the contrast "
        "that "
        "they have.",
        numbers={"ratio": found.ratio, "alike": found.alike, "doubtful": doubtful},
        touches=("memorized", "spurious", "generalized"),
        forbids=("many",) if doubtful else (),
    )


def equal_by_nature(audit: AuditResult) -> Iterator[Claim]:
    """Samples that equal training images are no copies where held-out images do so as often.

    So do images of few pixels and levels.
    """
    exact, samples = len(audit.exact_copies), audit.power.samples
    indices = [claim.numbers.get("images") for claim in of_kind(audit.claims, "holdout_in_train")]
    equal = sum(len(images) for images in indices if isinstance(images, tuple))
    if not exact or not equal or audit.inputs.holdout is None:
        return
    held_out = audit.inputs.holdout.count
    if more_often(torch.arange(samples) < exact, torch.arange(held_out) < equal) > CHANCE:
        yield Claim(
            kind="equal_by_nature",
            severity="doubt",
            sentence=f"{equal} of {held_out} held-out images {'equals' if equal == 1 else 'equal'} training "
            "images too, as often as samples do as far as these numbers tell.",
            numbers={"doubtful": exact + (audit.near if audit.near_in_doubt else 0)},
            touches=CLASSES,
            forbids=("many",),
        )


def beyond_others(audit: AuditResult) -> Iterator[Claim]:
    """Others lie below the threshold too: only what samples have beyond them is surely copied."""
    found = audit.separation
    if found is None or not found.supported or not found.others or audit.fractions is None:
        return
    copied = _surely(audit.fractions.memorized.low, found.others)
    not_new = _surely(1 - audit.fractions.generalized.high, found.others)
    near = f"{found.others:.1%} of {found.whose} lie as near to a training image"
    told: list[tuple[tuple[Asked, ...], float, str]] = [(("memorized",), copied, "copies")]
    if math.isclose(not_new, copied, abs_tol=1e-12):
        told = [(CLASSES, copied, "copies")]
    else:
        told.append((("generalized",), not_new, "not new"))
    for touches, surely, what in told:
        yield Claim(
            kind="beyond_others",
            severity="note" if surely else "doubt",
            sentence=f"{near}, so no more than a share of {surely:.1%} is surely {what}.",
            numbers={"surely": surely},
            touches=touches,
            forbids=("many",),
        )


def _surely(low: float, others: float) -> float:
    """What is left of the lower end of a share beyond what others show."""
    return max(0.0, (low - others) / (1 - others)) if others < 1 else 0.0

"""The answer in words: what was asked, what was found, and what it does not mean."""

__all__ = ["answer", "certainty"]

from collections.abc import Iterator

from spurion.phases.intervals import Interval
from spurion.report.numbers import at_most, percent, percent_interval, size, value
from spurion.studies.auditing.limitations import PROMISE
from spurion.studies.auditing.results import AuditResult
from spurion.studies.auditing.verdict import false_alarms

SMALL = 0.01
"""A p-value below this is called evidence."""

OUTCOMES = {
    "pass": "The audit passes",
    "fail": "The audit fails",
    "inconclusive": "The audit is inconclusive",
}


def answer(audit: AuditResult) -> list[str]:
    """What the audit found, the last sentence being what not to conclude."""
    return [*_verdict(audit), *_copies(audit), *_sources(audit), *_leak(audit), PROMISE]


def _verdict(audit: AuditResult) -> Iterator[str]:
    if (verdict := audit.verdict) is not None:
        yield f"{OUTCOMES[verdict.outcome]} (asked to fail if {verdict.expression}): {verdict.reason}"


def _copies(audit: AuditResult) -> Iterator[str]:
    count = size(audit.inputs.samples.count)
    equal = len(audit.exact_copies)
    if audit.fractions is None or audit.counts is None:
        yield (
            f"{size(equal)} of the {count} samples equal training images, byte for byte. Whether there are "
            "other copies among them stays open: no threshold could be identified."
            if equal
            else f"No threshold could be identified, so none of the {count} samples is called a copy or new: "
            "whether there are copies among them stays open."
        )
        return
    share = audit.fractions.memorized
    if audit.counts[0] == 0:
        yield (
            f"None of the {count} samples is a copy of a training image; a model that copies in up to "
            f"{at_most(share.high)} of its samples could show the same."
        )
        return
    chance = audit.power.could_be_chance(audit.counts[0])
    are = "lie as near to a training image as a copy" if chance else "are copies of training images"
    yield f"Of {count} samples, {size(audit.counts[0])} {are}: {percent_interval(share)}."
    if told := false_alarms(audit.counts[0], audit.power):
        yield told
    if equal:
        yield f"{size(equal)} of the samples equal training images, byte for byte."


def _sources(audit: AuditResult) -> Iterator[str]:
    if not audit.exposure or (audit.counts and audit.power.could_be_chance(audit.counts[0])):
        return
    first = audit.exposure[0]
    if audit.pictures == 1:
        yield f"They are all copies of one training image, number {first.train_index}."
        return
    yield (
        f"They are copies of {size(audit.pictures)} different training images; the most copied one, "
        "number "
        f"{first.train_index}, came out {_times(first.count)}."
    )


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def _leak(audit: AuditResult) -> Iterator[str]:
    null = audit.null
    share = None if null is None else null.share_closer_to_train
    if null is None or share is None:
        yield "There were no held-out images, so finer traces of the training set could not be looked for."
        return
    begin = (
        f"{percent_interval(share)} of the samples lie closer to the training set than to an equally large "
        "set "
        "of images the model never saw, where 50% would mean that nothing leaked"
    )
    p = null.share_p_value
    if share.low > 0.5 and p is not None and p < SMALL:
        yield f"{begin}: the samples bear traces of the training set beyond chance (p = {value(p, 2)})."
    elif share.low > 0.5:
        yield f"{begin}: a hint of traces of the training set."
    else:
        yield f"{begin}: no trace beyond chance was found."


def certainty(audit: AuditResult) -> list[str]:
    """How sure the answer is; what the number of samples could have missed is among the limitations."""
    return [*_of_copies(audit), *_of_threshold(audit), *_of_controls(audit)]


def _of_copies(audit: AuditResult) -> Iterator[str]:
    if audit.fractions is not None:
        yield (
            f"The share called memorized lies between {_ends(audit.fractions.memorized)} with a confidence "
            "of 95%, for samples drawn as these were."
        )
    power = audit.power
    if power.detectable_excess is not None and power.count_needed is not None:
        yield (
            f"The threshold promises at most {percent(power.false_positive_rate or 0)} false alarms, so from "
            f"{size(power.count_needed)} samples called memorized on they are more than chance."
        )


def _ends(interval: Interval) -> str:
    return f"{percent(interval.low)} and {percent(interval.high)}"


def _of_threshold(audit: AuditResult) -> Iterator[str]:
    thresholds = audit.thresholds
    if thresholds is None:
        return
    if thresholds.memorized is None:
        yield "The rule for thresholds found none: " + " ".join(thresholds.notes)
        return
    yield (
        f"A copy is a sample at most {value(thresholds.memorized)} from a training image, in the "
        f"{audit.distance.name} distance ({audit.distance.unit}); rule: {thresholds.rule}."
    )


def _of_controls(audit: AuditResult) -> Iterator[str]:
    controls = audit.controls
    if controls is None:
        return
    if controls.noisy_copies is not None:
        yield (
            f"Of training images with a whisper of noise, {percent(controls.noisy_copies.value)} are "
            "recognized "
            "as copies; it must be 100%."
        )
    if controls.held_out is not None:
        yield (
            f"Of the held-out images, {percent_interval(controls.held_out)} would be called copies; it must "
            "be "
            "near 0%."
        )

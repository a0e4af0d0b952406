"""The answer in words: what was asked, what was found, and what it does not mean."""

__all__ = ["answer", "certainty"]

from collections.abc import Iterator

from spurion.audits.limitations import PROMISE
from spurion.audits.results import AuditResult
from spurion.data.transforms import TRANSFORMS
from spurion.report.numbers import at_most, percent, percent_interval, size, value
from spurion.statistics.intervals import Interval
from spurion.statistics.p_values import p_words

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
    if audit.fractions is None or audit.counts is None:
        yield _unclassified(audit)
    elif audit.counts[0] == 0:
        yield _none(audit, audit.fractions.memorized)
    else:
        yield from _some(audit, audit.counts[0], audit.fractions.memorized)


def _unclassified(audit: AuditResult) -> str:
    count = size(audit.inputs.samples.count)
    if not audit.exact_copies:
        return (
            f"No threshold could be identified, so none of the {count} samples is called a copy or new: "
            "whether there are copies among them stays open."
        )
    return (
        f"{_equal(audit)} Whether there are other copies among the {count} samples stays open: no threshold "
        "could be identified."
    )


def _none(audit: AuditResult, share: Interval) -> str:
    count, against = size(audit.inputs.samples.count), audit.doubts.get("memorized")
    if against:
        return (
            f"None of the {count} samples is called a copy of a training image, but {'; '.join(against)}: "
            "copies cannot be excluded."
        )
    return (
        f"None of the {count} samples is a copy of a training image; a model that copies in up to "
        f"{at_most(share.high)} of its samples could show the same."
    )


def _some(audit: AuditResult, memorized: int, share: Interval) -> Iterator[str]:
    is_one, exact = memorized == 1, len(audit.exact_copies)
    if audit.only_near:
        what = f"{'lies' if is_one else 'lie'} as near to a training image as a copy"
    else:
        what = "is a copy of a training image" if is_one else "are copies of training images"
    count = size(audit.inputs.samples.count)
    yield f"Of {count} samples, {size(memorized)} {what}: {percent_interval(share)}."
    if audit.false_alarms:
        yield audit.false_alarms
    if exact:
        yield _equal(audit)
    if against := audit.doubts.get("memorized"):
        yield f"There may be more: {'; '.join(against)}."


def _equal(audit: AuditResult) -> str:
    exact = len(audit.exact_copies)
    if exact == 1:
        return "One of the samples equals a training image, byte for byte."
    return f"{size(exact)} of the samples equal training images, byte for byte."


def _sources(audit: AuditResult) -> Iterator[str]:
    if not audit.exposure or (audit.only_near and not audit.exact_copies):
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
        yield f"{begin}: the samples bear traces of the training set beyond chance ({p_words(p)})."
    elif share.low > 0.5:
        yield f"{begin}: a hint of traces of the training set."
    elif against := audit.doubts.get("closer_to_train"):
        yield f"{begin}: no trace beyond chance was found, but {'; '.join(against)}."
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
    if controls.transformed:
        shares = (f"{TRANSFORMS[name].words} {percent(s.value)}" for name, s in controls.transformed.items())
        yield f"Of transformed training images these are recognized as copies: {', '.join(shares)}."
    if controls.held_out is not None:
        yield (
            f"Of the held-out images, {percent_interval(controls.held_out)} would be called copies; it must "
            "be "
            "near 0%."
        )

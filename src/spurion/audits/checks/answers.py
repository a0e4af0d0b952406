"""What an audit answers: how many copies, of which images, and whether finer traces are there."""

__all__ = ["copied_images", "copies", "excess_risk", "traces"]

from collections.abc import Iterator, Sequence

from spurion.audits.claims import Asked, Claim
from spurion.audits.results import AuditResult
from spurion.phases.signs import LEVEL
from spurion.statistics.intervals import Interval
from spurion.statistics.numbers import at_most, p_words, percent, percent_interval, size


def copies(audit: AuditResult) -> Iterator[Claim]:
    """How many samples are copies, and how many of them equal a training image."""
    exact, samples = len(audit.exact_copies), audit.inputs.samples.count
    numbers: dict[str, float | tuple[int, ...]] = {"samples": samples, "memorized": audit.memorized}
    if audit.fractions is None:
        sentence = _unclassified(audit)
    elif not audit.memorized:
        sentence = _none(audit, audit.fractions.memorized)
    else:
        sentence = _some(audit, audit.fractions.memorized)
    yield Claim(kind="copies", severity="answer", sentence=sentence, numbers=numbers, touches=("memorized",))
    if exact:
        yield Claim(
            kind="exact_copies",
            severity="answer",
            sentence="One of the samples equals a training image, byte for byte."
            if exact == 1
            else f"{size(exact)} of the samples equal training images, byte for byte.",
            numbers={"exact": exact},
            touches=("memorized",),
        )


def _unclassified(audit: AuditResult) -> str:
    count = size(audit.inputs.samples.count)
    if audit.exact_copies:
        return (
            f"Whether there are other copies among the {count} samples than equal ones stays open: no "
            "threshold could be identified."
        )
    return (
        f"No threshold could be identified, so none of the {count} samples is called a copy or new: whether "
        "there are copies among them stays open."
    )


def _none(audit: AuditResult, share: Interval) -> str:
    count = size(audit.inputs.samples.count)
    if _doubted(audit, "memorized"):
        return (
            f"None of the {count} samples is called a copy of a training image, but copies cannot be "
            "excluded."
        )
    return (
        f"None of the {count} samples is a copy of a training image; a model that copies in up to "
        f"{at_most(share.high)} of its samples could show the same."
    )


def _some(audit: AuditResult, share: Interval) -> str:
    one = audit.memorized == 1
    if audit.only_near:
        what = f"{'lies' if one else 'lie'} as near to a training image as a copy"
    else:
        what = "is a copy of a training image" if one else "are copies of training images"
    all_are = audit.memorized == audit.sample_size
    more = "; there may be more" if _doubted(audit, "memorized") and not all_are else ""
    count = size(audit.inputs.samples.count)
    return f"Of {count} samples, {size(audit.memorized)} {what}: {percent_interval(share)}{more}."


def _doubted(audit: AuditResult, name: Asked) -> bool:
    """Whether something forbids to believe that a share is no higher than its interval says."""
    return any(
        name in claim.touches and {"pass", "few"} & set(claim.forbids)
        for claim in audit.claims
        if claim.severity in ("doubt", "warning")
    )


def copied_images(audit: AuditResult) -> Iterator[Claim]:
    """Of which training images the copies are; nothing where they may be none."""
    count = len(audit.exposure)
    if not count or audit.only_near:
        return
    first = audit.exposure[0]
    if audit.memorized == 1:
        sentence = f"It is a copy of training image number {first.train_index}."
    elif count == 1:
        sentence = f"They are all copies of one training image, number {first.train_index}."
    else:
        times = {1: "once", 2: "twice"}.get(first.count, f"{first.count:,} times")
        alike = f", {size(audit.pictures)} of them unlike each other" if audit.pictures < count else ""
        sentence = (
            f"They are copies of {size(count)} training images{alike}; the most copied one, number "
            f"{first.train_index}, came out {times}."
        )
    yield Claim(
        kind="copied_images",
        severity="answer",
        sentence=sentence,
        numbers={"images": count, "pictures": audit.pictures, "most": first.count},
        touches=("memorized",),
    )


def excess_risk(audit: AuditResult) -> Iterator[Claim]:
    """What samples show beyond honest images, and how many are listed as copies."""
    if audit.excess is None:
        return
    fit = None if audit.thresholds is None else audit.thresholds.null
    held_out = fit.held_out if fit is not None else audit.inputs.holdout is not None
    honest = "held-out images" if held_out else "training images among themselves"
    at_least, most = (max(0.0, end) for end in (audit.excess.low, audit.excess.high))
    if at_least > 0:
        ends = f"95% interval {percent(at_least)} to {percent(most)}"
        told = f"{percent(audit.excess.value)} of the samples are copies beyond what {honest} show ({ends})"
    else:
        told = (
            f"no share of copies is sure beyond what {honest} show (at most {at_most(most)}, 95% confidence)"
        )
    yield Claim(
        kind="excess_risk",
        severity="note",
        sentence=f"{told[:1].upper()}{told[1:]}{_listed(audit.listed)}.",
        numbers={"excess": audit.excess.value}
        | ({} if audit.listed is None else {"listed": len(audit.listed)}),
        touches=("memorized",),
    )


def _listed(listed: Sequence[int] | None) -> str:
    """A clause on the list of copies; empty without any."""
    if listed is None:
        return ""
    count = len(listed)
    if count < 2:
        return f"; {'one is' if count else 'none is'} listed as a copy"
    return f"; {size(count)} are listed as copies, at most 5% of them wrongly, on average"


def traces(audit: AuditResult) -> Iterator[Claim]:
    """Whether samples lie closer to the training set than to as many held-out images, by its p-value."""
    null = audit.null
    share = None if null is None else null.share_closer_to_train
    if null is None or share is None:
        sentence = (
            "There were no held-out images, so finer traces of the training set could not be looked for."
        )
        yield Claim(kind="no_null", severity="answer", sentence=sentence, touches=("closer_to_train",))
        return
    begin = (
        f"{percent_interval(share)} of the samples lie closer to the training set than to an equally large "
        "set of images the model never saw, where 50% would mean that nothing leaked"
    )
    p = null.share_p_value
    found = p is not None and p < LEVEL and share.value > 0.5  # as the sign of it, `spurion.phases.signs`
    against = [
        claim for claim in audit.claims if claim.severity == "warning" and "closer_to_train" in claim.touches
    ]
    against += [claim for claim in audit.claims if claim.kind.startswith("sign_")]
    if found:
        end = "the samples bear traces of the training set beyond chance"
    elif share.low > 0.5:
        end = "a hint of traces of the training set"
    elif against:
        end = "no trace beyond chance was found here, but other evidence speaks of copies or against the sets"
    else:
        end = "no trace beyond chance was found"
    tail = "" if p is None or not found else f" ({p_words(p)})"
    yield Claim(
        kind="traces" if found else "no_traces",
        severity="answer",
        sentence=f"{begin}: {end}{tail}.",
        numbers={"share": share.value} | ({} if p is None else {"p_value": p}),
        touches=("closer_to_train",),
    )

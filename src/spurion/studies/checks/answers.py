"""Where memorization ends, what lies between, where generalization starts, and what not to conclude of it.

Each sentence has a form for the case that the study could not see what it was looking for.
"""

__all__ = ["foremost", "generalization", "memorization", "peak"]

from collections.abc import Iterator, Mapping

from spurion.audits.claims import Claim, of_kind
from spurion.audits.results import AuditResult
from spurion.phases.passage import Capacity
from spurion.statistics.numbers import at_most, percent, percent_interval, size
from spurion.studies.checks.points import classified, leak, peak_point, share
from spurion.studies.results import StudyResult

MANY_TIMES = 3.0
"""So many times the promised share of false calls is no small share of memorized samples any more."""


def _answer(kind: str, sentence: str, **numbers: float | None) -> Claim:
    known = {name: number for name, number in numbers.items() if number is not None}
    return Claim(kind=kind, severity="answer", sentence=sentence, numbers=known)


def memorization(study: StudyResult) -> Iterator[Claim]:
    """Up to which training size samples are copies; where there are no classes, that there are none."""
    audits, capacities = classified(study), study.capacities
    if not audits:
        what = (
            "The rule found no threshold, so no sample is classified and the question stays open."
            if study.audits
            else "No training size of this study has a result, so the question stays open."
        )
        yield _answer("unclassified", what)
        return
    first, last = min(audits), max(audits)
    begin = f"{percent_interval(share(audits[first], 'memorized'))} at K = {size(first)}"
    value = capacities.memorization.value if capacities else None
    if capacities and value is not None:
        sentence = (
            f"Up to about K = {size(value)} training images, the model copies: at least "
            f"{percent(1 - capacities.epsilon)} of its samples are memorized."
        )
    elif first == last:
        sentence = f"The memorized share is {begin}."
    else:
        sentence = (
            "The study does not find where memorization "
            f"ends{_reason(capacities.memorization if capacities else None)}: the memorized share is {begin} "
            f"and {percent_interval(share(audits[last], 'memorized'))} at K = {size(last)}."
        )
    yield _answer("memorization", sentence, capacity=value)


def peak(study: StudyResult) -> Iterator[Claim]:
    """Where samples are nobody's training image and yet come again."""
    audits = classified(study)
    if audits:
        k = peak_point(audits)
        height = share(audits[k], "spurious").value
        yield _answer("spurious_peak", _peak(study), train_size=k, share=height)


def _peak(study: StudyResult) -> str:
    audits = classified(study)
    k, first, last = peak_point(audits), min(audits), max(audits)
    height = share(audits[k], "spurious")
    if height.value == 0:
        bound = at_most(max(share(audit, "spurious").high for audit in audits.values()))
        return f"No sample is spurious at any K; a share of up to {bound} may still go unseen."
    where = f"K = {size(k)}"
    what = f"{percent_interval(height)} of the samples are nobody’s training image and yet come again"
    if len(audits) == 1:
        return f"At {where}, {what}: they are spurious."
    if k in (first, last):
        edge = "smallest" if k == first else "largest"
        return (
            f"Spurious samples are most frequent at {where}, the {edge} size studied, so the true peak may "
            f"lie beyond it: {what}."
        )
    ends = max(share(audits[end], "spurious").high for end in (first, last))
    clear = "" if height.low > ends else "; this does not stand clear of both ends of the grid"
    return f"In between, spurious samples peak at {where}, where {what}{clear}."


def generalization(study: StudyResult) -> Iterator[Claim]:
    """From which training size on samples are new."""
    audits, capacities = classified(study), study.capacities
    if not audits:
        return
    last = max(audits)
    end = f"the generalized share is {percent_interval(share(audits[last], 'generalized'))}"
    value = capacities.generalization.value if capacities else None
    if capacities and value is not None:
        most = percent(1 - capacities.epsilon)
        leaking = [k for k, audit in audits.items() if k >= value and of_kind(audit.claims, "still_leaking")]
        sentence = f"From about K = {size(value)} on, at least {most} are generalized."
        if leaking:
            sentence = (
                f"From about K = {size(value)} on, at least {most} are, one by one, no closer to a training "
                f"image than chance allows, but up to K = {size(max(leaking))} they are still leaking."
            )
    elif len(audits) == 1:
        sentence = f"At K = {size(last)}, {end}."
    else:
        sentence = (
            "The study does not find where generalization "
            f"starts{_reason(capacities.generalization if capacities else None)}: at the largest K, "
            f"{size(last)}, {end}."
        )
    yield _answer("generalization", sentence, capacity=value)


def _reason(capacity: Capacity | None) -> str:
    note = capacity.note.rstrip(".") if capacity else ""
    return f" ({note[:1].lower()}{note[1:]})" if note else ""


def _near_by_chance(audits: Mapping[int, AuditResult]) -> bool:
    """Whether many samples are called memorized at a training size where that may be no copying."""
    return any(
        of_kind(audit.claims, "not_separated", "chance")
        and share(audit, "memorized").value
        > MANY_TIMES * ((audit.thresholds and audit.thresholds.alpha) or 0.0)
        for audit in audits.values()
    )


def foremost(study: StudyResult) -> Iterator[Claim]:
    """The first thing that a reader must not conclude, chosen by weight."""
    audits, hidden = classified(study), leak(study)
    if not audits:
        return
    broken = of_kind(study.claims, "missed_copies", "accused_held_out")
    closer = None
    if hidden is not None and (null := audits[hidden].null) is not None:
        closer = null.share_closer_to_train
    if broken:
        sentence = (
            "Do not trust all classes: a control failed, so somewhere the threshold either misses copies or "
            "calls unseen images memorized."
        )
    elif _near_by_chance(audits):
        sentence = (
            "Memorized may mean near for another reason than copying: at some K images that nobody copied "
            "lie as "
            "near to the training images, as far as these numbers tell."
        )
    elif hidden is not None and closer is not None:
        generalized = share(audits[hidden], "generalized").value
        sentence = (
            f"Generalized does not mean free of traces: at K = {size(hidden)}, where {percent(generalized)} "
            f"of the samples are called generalized, {percent_interval(closer)} of all samples lie closer to "
            "the training set than to an equally large set of held-out images, where 50% would mean that "
            "nothing leaked."
        )
    elif of_kind(study.claims, "no_spurious_threshold"):
        sentence = (
            "The boundary between spurious and generalized is a convention here: the distances between "
            "samples that are not memorized show no gap that would fix δs."
        )
    else:
        sentence = (
            "These shares hold for this sampler, this distance, and this number of samples; none of them is "
            "a property of the model alone."
        )
    yield _answer("foremost", sentence)

"""The plain-language answer: where memorization ends, what lies between, where generalization starts.

Every sentence is made from stored numbers, and each has a form for the case that the study could not see
what it was looking for.
"""

__all__ = ["answer"]

from spurion.phases.transitions import Capacity
from spurion.report.geometry.order import summary
from spurion.report.numbers import at_most, percent, percent_interval, size
from spurion.report.readings import (
    accused_held_out,
    classified,
    in_sizes,
    leak,
    missed_copies,
    peak_point,
    share,
)
from spurion.report.run import Run
from spurion.studies.results import PointResult


def answer(run: Run) -> list[str]:
    """What the study found, in one to five sentences, the last of them what not to conclude."""
    points = classified(run)
    if points:
        widths = summary(run)
        return [
            _memorization(run, points),
            _peak(points),
            _generalization(run, points),
            *([widths] if widths else []),
            _caution(run, points),
        ]
    if run.done:
        return ["The rule found no threshold, so no sample is classified and the question stays open."]
    return ["No training size of this study has a result, so the question stays open."]


def _memorization(run: Run, points: list[PointResult]) -> str:
    first, last = points[0], points[-1]
    capacities = run.study.capacities
    if capacities and capacities.memorization.value is not None:
        return (
            f"Up to about K = {size(capacities.memorization.value)} training images, the model copies: "
            f"at least {percent(1 - capacities.epsilon)} of its samples are memorized."
        )
    begin = f"{percent_interval(share(first, 'memorized'))} at K = {size(first.train_size)}"
    if first is last:
        return f"The memorized share is {begin}."
    reason = _reason(capacities.memorization if capacities else None)
    return (
        f"The study does not find where memorization ends{reason}: the memorized share is {begin} and "
        f"{percent_interval(share(last, 'memorized'))} at K = {size(last.train_size)}."
    )


def _peak(points: list[PointResult]) -> str:
    peak = peak_point(points)
    height, where = share(peak, "spurious"), f"K = {size(peak.train_size)}"
    if height.value == 0:
        bound = at_most(max(share(point, "spurious").high for point in points))
        return f"No sample is spurious at any K; a share of up to {bound} may still go unseen."
    what = f"{percent_interval(height)} of the samples are nobody’s training image and yet come again"
    if len(points) == 1:
        return f"At {where}, {what}: they are spurious."
    if peak in (points[0], points[-1]):
        edge = "smallest" if peak is points[0] else "largest"
        return (
            f"Spurious samples are most frequent at {where}, the {edge} size studied, so the true peak may "
            f"lie beyond it: {what}."
        )
    ends = (share(points[0], "spurious").high, share(points[-1], "spurious").high)
    clear = "" if height.low > max(ends) else "; this does not stand clear of both ends of the grid"
    return f"In between, spurious samples peak at {where}, where {what}{clear}."


def _generalization(run: Run, points: list[PointResult]) -> str:
    capacities = run.study.capacities
    if capacities and capacities.generalization.value is not None:
        start = size(capacities.generalization.value)
        return f"From about K = {start} on, at least {percent(1 - capacities.epsilon)} are generalized."
    last = points[-1]
    end = f"the generalized share is {percent_interval(share(last, 'generalized'))}"
    if len(points) == 1:
        return f"At K = {size(last.train_size)}, {end}."
    reason = _reason(capacities.generalization if capacities else None)
    return (
        f"The study does not find where generalization starts{reason}: at the largest K, "
        f"{size(last.train_size)}, {end}."
    )


def _reason(capacity: Capacity | None) -> str:
    return f" ({capacity.note.rstrip('.')})" if capacity and capacity.note else ""


def _caution(run: Run, points: list[PointResult]) -> str:
    """The first thing a reader must not conclude, chosen by weight."""
    broken = [point for point in points if point in (*missed_copies(points), *accused_held_out(points))]
    if broken:
        return (
            f"Do not trust the classes at {in_sizes(broken)}: a control failed there, so the threshold "
            "either misses copies or calls unseen images memorized."
        )
    hidden = leak(run)
    if hidden is not None and hidden.null and hidden.null.share_closer_to_train:
        return (
            f"Generalized does not mean free of traces: at K = {size(hidden.train_size)}, where "
            f"{percent(share(hidden, 'generalized').value)} of the samples are called generalized, "
            f"{percent_interval(hidden.null.share_closer_to_train)} of all samples lie closer to the "
            "training set than to an equally large set of held-out images, where 50% would mean that "
            "nothing leaked."
        )
    if any(point.thresholds and not point.thresholds.identifiable.spurious for point in points):
        return (
            "The boundary between spurious and generalized is a convention here: the distances between "
            "samples that are not memorized show no gap that would fix δs."
        )
    return (
        "These shares hold for this sampler, this distance, and this number of samples; none of them is a "
        "property of the model alone."
    )

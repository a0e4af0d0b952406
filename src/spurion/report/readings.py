"""What is read off the points of a run, for sentences in several places to agree on."""

__all__ = [
    "accused_held_out",
    "classified",
    "failures",
    "in_sizes",
    "leak",
    "missed_copies",
    "peak_point",
    "share",
]

from collections.abc import Sequence

from spurion.report.numbers import listed, size
from spurion.report.run import Run
from spurion.statistics.intervals import Interval
from spurion.studies.results import PointResult

FOUND_COPIES, ACCUSED_HELD_OUT = 0.99, 0.05
"""Controls fail where fewer noisy copies are found, or certainly more held-out images called memorized."""

MOSTLY = 0.9
"""A training size with this share of generalized samples is called generalizing."""


def classified(run: Run) -> list[PointResult]:
    """Points whose samples have a class, by training size."""
    return [point.result for point in run.done if point.result.fractions]


def share(point: PointResult, name: str) -> Interval:
    """The fraction of one class at a point whose samples have one."""
    interval: Interval = getattr(point.fractions, name)
    return interval


def peak_point(points: Sequence[PointResult]) -> PointResult:
    """The point with the largest spurious share; the first of equals."""
    return max(points, key=lambda point: share(point, "spurious").value)


def leak(run: Run) -> PointResult | None:
    """The first generalizing training size whose samples still lie closer to the training set than chance."""
    for point in classified(run):
        closer = point.null.share_closer_to_train if point.null else None
        if share(point, "generalized").value >= MOSTLY and closer is not None and closer.low > 0.5:
            return point
    return None


def missed_copies(points: Sequence[PointResult]) -> list[PointResult]:
    """Points where some noisy copies of training images are not called memorized."""
    checked = [(point, point.controls.noisy_copies) for point in points if point.controls]
    return [point for point, found in checked if found is not None and found.value < FOUND_COPIES]


def accused_held_out(points: Sequence[PointResult]) -> list[PointResult]:
    """Points where too many held-out images are called memorized."""
    checked = [(point, point.controls.held_out) for point in points if point.controls]
    return [point for point, accused in checked if accused is not None and accused.low > ACCUSED_HELD_OUT]


def failures(run: Run) -> list[str]:
    """One sentence for each training size that failed, with its reason."""
    return [
        f"K = {size(point.train_size)} failed: {point.message.rstrip('.') or 'no reason given'}."
        for point in run.failed
    ]


def in_sizes(points: Sequence[PointResult]) -> str:
    """The training sizes of points, as a sentence names them: "K = 8 and 16"."""
    return f"K = {listed([size(point.train_size) for point in points])}"

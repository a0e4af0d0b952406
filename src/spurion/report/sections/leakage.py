"""The finer test against held-out images, and the controls."""

__all__ = ["controls", "null"]

from collections.abc import Iterator

from spurion.audits.results import NO_CLOSER
from spurion.phases.rule_words import promised
from spurion.report.blocks import Drawing, Section, Table, number_cell
from spurion.report.run import Run
from spurion.report.sections.false_calls import capacity_cell
from spurion.statistics.numbers import percent, size
from spurion.studies.capacities import LEAKS
from spurion.studies.checks.points import in_sizes, leak
from spurion.studies.results import StudyResult


def null(run: Run) -> Section | None:
    """Are samples closer to the training set than to images the model never saw?"""
    if run.study is None or not any(audit.null for audit in run.audits):
        return None
    paragraphs = [
        "A model can lean on its training images without copying any. The held-out null sees that: ask of "
        "each sample whether it is closer to the training set or to an equally large set of held-out "
        "images, which the model never saw. If training left no trace, the share A closer to the training "
        "set is 0.5, and the leak excess 2A − 1 is 0. C_T (Meehan and others) asks whether samples lie "
        "nearer to the training set than held-out images do: a rank test in standard deviations, far below 0 "
        "for copying. AuthPct is the percentage "
        "of authentic samples, those farther from their nearest training image than that image is from its "
        "own nearest neighbor; held-out images are not all authentic either, so their percentage stands "
        "beside it."
    ]
    k = leak(run.study)
    null = run.study.audits[k].null if k is not None else None
    if k is not None and null and null.share_closer_to_train:
        share = null.share_closer_to_train
        paragraphs.append(
            f"Here the null speaks where the classes are silent: at K = {size(k)}, nearly every sample is "
            f"of the class generalized, yet {percent(share.value)} lie closer to the training set."
        )
    caption = (
        "Share of samples closer to the training set, with 95% intervals (dashed: 0.5, no trace); C_T "
        "(dashed: 0, no trace); and AuthPct of the samples (dots) and of held-out images (dashed)."
    )
    drawing = Drawing(
        "null", caption, "Three panels over K: share closer to the training set, C_T, and AuthPct."
    )
    leaking = [audit.train_size for audit in run.audits if audit.still_leaking]
    if leaking:
        paragraphs.append(
            f"Still leaking: {in_sizes(leaking)}. What no other class holds there is called {NO_CLOSER}, not "
            "generalized."
        )
    return Section(
        "null",
        "Closer to the training set than chance?",
        tuple(paragraphs),
        (_excess(), drawing),
        tuple(_capacities(run.study)),
    )


def _excess() -> Drawing:
    caption = (
        "The leak excess 2A − 1, with A the share closer to the training set: 1 if every sample leaks, 0 if "
        "none does. Bars are 95% intervals. Where the curve falls to 0.9, to 0.5 and to 0 stand its "
        "capacities (diamonds) with their intervals; an arrow is an end beyond the studied sizes."
    )
    return Drawing("leak", caption, "A falling curve of the leak excess over K, with three levels marked.")


def _capacities(study: StudyResult) -> Iterator[Table]:
    """Where the leak excess falls to each level."""
    found = study.leak_capacities
    if found is not None:
        rows = tuple(
            (number_cell(level, promised), capacity_cell(getattr(found, name)))
            for name, level in LEAKS.items()
        )
        yield Table("Training sizes at which the leak excess falls to a level.", ("leak excess", "K"), rows)


def controls(run: Run) -> Section | None:
    """Images whose class is known."""
    checks = [point.audit.controls for point in run.done if point.audit.controls]
    if run.study is None or not checks:
        return None
    text = (
        "An instrument should be tested on what is known. Training images with a whisper of Gaussian noise "
        f"(standard deviation {checks[0].noise:g} in pixels of [−1, 1]) must be called memorized, a share of "
        "1. Held-out images, which the model never saw, must not be, a share near 0; where the training set "
        "is dense, some of them lie near a training image by nature."
    )
    caption = "Share of control images called memorized, with 95% intervals; dashed: what it must be."
    drawing = Drawing("controls", caption, "Two panels over K: noisy copies near 1, held-out images near 0.")
    return Section("controls", "Controls", (text,), (drawing,))

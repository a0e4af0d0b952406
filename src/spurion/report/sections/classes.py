"""How a sample gets its class, and how much hangs on the rule."""

__all__ = ["definitions", "histograms", "rules", "sensitivity"]

from collections.abc import Sequence
from typing import Any

from spurion.audits.results import AuditResult
from spurion.phases.classification import CLASSES
from spurion.report.blocks import Drawing, Section, Table, class_cell, class_titles, leaks_told, number_cell
from spurion.report.run import Run
from spurion.report.words import counted_among, rules_in_words, thresholds_in_words
from spurion.statistics.numbers import percent, size, value
from spurion.studies.checks.points import in_sizes


def histograms(run: Run) -> Section | None:
    """The two distances behind every class, with the thresholds."""
    if run.study is None or not any(point.samples for point in run.done):
        return None
    results = [point.audit for point in run.done]
    distance = results[0].distance
    paragraphs = [
        f"Two {distance.name} distances decide what a sample is: how far it is from the nearest training "
        "image (in the paper’s words, the olive histogram) and how far from the nearest other sample (the "
        "gray histogram). Copies pile up far to the left of everything else; the histograms describe that, "
        "and no gap in them decides anything. The thresholds δm and δs draw the line: "
        f"{thresholds_in_words(results)}.",
        *rules_in_words(results),
    ]
    loose = [p for p in results if p.thresholds and not p.thresholds.identifiable.spurious]
    if loose:
        where = (
            "At every K"
            if len(loose) == len(results) > 1
            else f"At {in_sizes(audit.train_size for audit in loose)}"
        )
        paragraphs.append(
            f"{where}, the samples that are not memorized have a gray histogram without two separate modes, "
            "so it does not identify δs: the value shown is the rule’s substitute, not something the data "
            "determine."
        )
    caption = (
        "Distances of samples to the training set (olive, filled) and to the nearest other sample (gray "
        "line). Solid line: δm. Dashed line: δs. Each panel is scaled to its own height; distances of "
        "exactly 0 stand in the leftmost bin."
    )
    drawing = Drawing(
        "histograms", caption, "Histograms of log distance, one panel for each K, with thresholds."
    )
    return Section("distances", "Distances and thresholds", tuple(paragraphs), (drawing,))


def definitions(run: Run) -> Section | None:
    """The rule that makes a class out of two distances (Pham et al., Eq. 9-11)."""
    if not run.done:
        return None
    values: dict[str, Any] = {
        "rules": (
            ("memorized", "d(x, S) ≤ δm"),
            ("spurious", "d(x, S) > δm and d(x, S′) ≤ δs"),
            ("generalized", "d(x, S) > δm and d(x, S′) > δs"),
        )
    }
    text = (
        "S is the training set, S′ the set of samples, d(x, S) the distance from a sample x to its nearest "
        "training image, and d(x, S′) the distance to its nearest other sample; a sample is never compared "
        "with itself. Each sample falls into exactly one class."
    )
    met = counted_among(run.audits)
    if met:
        text += (
            " With more samples than the thresholds hold for, repetitions are not those of all samples: the "
            f"spurious share is the one expected {met}, and a sample is called spurious if it is more likely "
            "than not met again among so many."
        )
    both = _duplicated_memorized([point.audit for point in run.done])
    paragraphs = [text]
    if both is not None:
        paragraphs.append(
            "The paper describes a memorized sample as one that has duplicates in both S and S′, while its "
            f"rule asks about S only. Here both hold for {percent(both)} of the memorized samples."
        )
    return Section(
        "classes",
        "Memorized, spurious, generalized",
        tuple(paragraphs),
        part="rules.html.j2",
        values=values,
    )


def rules(run: Run) -> Section | None:
    """The main rule beside the ratio rule and the held-out rule."""
    points = [p.audit for p in run.done if p.audit.ratio_fractions or p.audit.holdout_fractions]
    if run.study is None or not points:
        return None
    paragraphs = [
        "No threshold is sacred, so here is what two other rules say about the same samples. The ratio rule "
        "(the workshop version of the paper) calls a sample memorized when its nearest training image is "
        "much closer than the second nearest, whatever the distance itself. The held-out rule sets δm so "
        "that hardly any held-out image would be called memorized."
    ]
    known = [p.holdout_thresholds for p in points if p.holdout_thresholds]
    numbers = [t.memorized for t in known if t.memorized is not None]
    if numbers:
        low, high = value(min(numbers)), value(max(numbers))
        ends = low if low == high else f"{low} to {high}, depending on K"
        paragraphs.append(f"Under the held-out rule, δm = {ends}.")
    met = counted_among(points)
    told = f"Under the main rule, repetitions are counted {met}." if met else ""
    if told := f"{told}{leaks_told(points)}".strip():
        paragraphs.append(told)
    names = ("fractions", "ratio_fractions", "holdout_fractions")
    titles = class_titles(points).values()
    header = ("K", *(f"{rule}: {title}" for rule in ("main", "ratio", "held-out") for title in titles))
    rows = tuple(
        (
            number_cell(p.train_size, size),
            *(class_cell(p, getattr(p, field), name) for field in names for name in CLASSES),
        )
        for p in points
    )
    caption = "Class fractions under three rules. Bands are 95% intervals."
    drawing = Drawing("rules", caption, "Three panels of class fractions over K, one for each rule.")
    table = Table("Fractions under the three rules, with 95% intervals.", header, rows)
    return Section("rules", "The same samples under other rules", tuple(paragraphs), (drawing,), (table,))


def sensitivity(run: Run) -> Section | None:
    """Fractions as the thresholds are scaled."""
    if not any(point.audit.sensitivity for point in run.done):
        return None
    text = (
        "Both thresholds are multiplied by a common factor, and every sample is classified again. Where the "
        "bands run level, the classes hardly depend on the exact threshold."
    )
    caption = (
        "Stacked class fractions against the factor on both thresholds, for each K; the line marks the "
        "rule’s own thresholds."
    )
    drawing = Drawing("sensitivity", caption, "Stacked areas of the three classes over the threshold factor.")
    return Section("sensitivity", "What if the thresholds were different?", (text,), (drawing,))


def _duplicated_memorized(points: Sequence[AuditResult]) -> float | None:
    """Share of all memorized samples of a study that also have a duplicate among the samples."""
    known = [
        (point.fractions.memorized.value * point.sample_size, point.duplicated_memorized)
        for point in points
        if point.fractions and point.duplicated_memorized is not None
    ]
    total = sum(count for count, _ in known)
    return sum(count * share for count, share in known) / total if total else None

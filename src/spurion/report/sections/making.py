"""How a single audit was made: its geometry in one table, and its methods."""

__all__ = ["certain", "landscape", "methods"]

from collections.abc import Iterator

from spurion.audits.results import AuditResult
from spurion.data.transforms import TRANSFORMS
from spurion.geometry.groups.results import NEEDED, GroupReading
from spurion.report.blocks import Cell, Section, Table
from spurion.report.measures import needed
from spurion.report.run import Run
from spurion.report.words import counted_among, rules_in_words
from spurion.statistics.intervals import Interval
from spurion.statistics.numbers import absent, listed, percent, percent_interval, size, value


def landscape(run: Run) -> Section | None:
    """Medians of every measure at each group of points."""
    found = run.single.audit.geometry if run.single else None
    if found is None:
        return None
    groups = [name for name, group in found.groups.items() if group.measured]
    rows = tuple(
        (
            Cell(f"{measure.name} ({measure.unit})" if measure.unit else measure.name),
            *(_reading(measure.groups.get(name)) for name in groups),
        )
        for measure in found.measures
    )
    text = (
        "Around each point the model has a landscape: how much noise the point survives, how many "
        f"directions are soft, how deep it lies. Curvature is read at the noise {value(found.noise)}; a "
        f"point counts as recovered within {value(found.tolerance)}, the threshold of duplicates."
    )
    caption = "Medians with 95% intervals over points of each group; the number of points in brackets."
    few = [
        f"{name} ({size(group.available)})"
        for name, group in found.groups.items()
        if group.available and not group.measured
    ]
    if few:
        caption += f" Too few to be measured: {listed(few)}."
    header = ("measure", *(f"{name} ({size(found.groups[name].measured)})" for name in groups))
    table = Table(caption, header, rows)
    return Section("geometry", "The landscape around the samples", (text, *found.notes), tables=(table,))


def _reading(found: GroupReading | None) -> Cell:
    if found is None or found.value is None:
        return Cell(absent, needed(found.n, NEEDED) if found else "")
    low, high = (_text(end) for end in (found.low, found.high))
    return Cell(_text(found.value), f"{low} to {high}")


def _text(number: float | str | None) -> str:
    return number if isinstance(number, str) else value(number)


def methods(run: Run) -> Section | None:
    """What was computed, in words."""
    if run.single is None:
        return None
    audit = run.single.audit
    met = counted_among([audit])
    paragraphs = (
        "Nearest neighbors are exact: whatever proposes them, distances are computed by subtraction in "
        "double "
        "precision, so that equal images are at distance 0.",
        *rules_in_words([audit]),
        "A sample is memorized if a training image is within δm, else spurious if another sample is within "
        f"δs{f', counted {met}' if met else ''}, else generalized. "
        "Intervals are 95%: from held-out images and samples drawn anew where real images set the "
        "thresholds, else the bootstrap where a class has many samples and lacks many, and exact binomial "
        "ones where it does not, so that 0 of n has an upper end near 3/n. A verdict is decided on the "
        "interval, never on the bare share, and fewer than 30 samples never pass.",
        "Duplicates in the training set are found first: exposure counts them as one image, and rules that "
        "compare the nearest with the second nearest image look for the second outside of them.",
        *audit.notes,
    )
    return Section("methods", "Methods", paragraphs)


def certain(run: Run) -> Section | None:
    """How sure the answer is, and what does not follow from it."""
    if run.single is None:
        return None
    audit = run.single.audit
    values = {"certain": [*_certainty(audit), *audit.said("note")], "limits": audit.said("limit")}
    title = "How sure this is, and what it does not show"
    return Section("certainty", title, part="audit_limits.html.j2", values=values)


def _certainty(audit: AuditResult) -> list[str]:
    """How sure the answer is."""
    return [*_of_copies(audit), *_of_threshold(audit), *_of_controls(audit)]


def _of_copies(audit: AuditResult) -> Iterator[str]:
    if audit.fractions is not None:
        yield (
            f"The share called memorized lies between {_ends(audit.fractions.memorized)} with a confidence "
            "of 95%, for samples drawn as these were."
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
            "recognized as copies; it must be 100%."
        )
    if controls.transformed:
        shares = (f"{TRANSFORMS[name].words} {percent(s.value)}" for name, s in controls.transformed.items())
        yield f"Of transformed training images these are recognized as copies: {', '.join(shares)}."
    if controls.held_out is not None:
        yield (
            f"Of the held-out images, {percent_interval(controls.held_out)} would be called copies; it must "
            "be near 0%."
        )

"""What the number of samples does, and what the samples gather around."""

__all__ = ["census", "rarefaction"]

from spurion.audits.results import AuditResult
from spurion.phases.attractors import Census
from spurion.report.blocks import Drawing, Row, Section, Table, number_cell
from spurion.report.run import Run
from spurion.statistics.numbers import fraction, percent, size
from spurion.studies.checks.points import peak_point


def rarefaction(run: Run) -> Section | None:
    """The spurious share against the number of samples."""
    points = [p.audit for p in run.done if p.audit.rarefaction]
    if not points:
        return None
    differ = len({p.sample_size for p in points}) > 1
    paragraphs = [
        "A sample is spurious if another one is like it, so every further sample can only make more of them "
        "spurious. The rarefaction curve shows the share to be expected had fewer samples been drawn; it is "
        "exact, "
        "without resampling. " + _growth(points)
    ]
    if differ and run.common_size is not None:
        paragraphs.append(
            "The sample sizes of this study differ over K, which tilts the shares of all samples in favor of "
            f"the large ones. So spurious shares are those expected among {_met(run)}, drawn below with open "
            "markers."
        )
    elif run.common_size is not None:
        paragraphs.append(
            f"Everywhere else the spurious share is the one expected among {_met(run)}, so that training "
            "sizes can be compared with each other. Compare them with those of another study only at the "
            "same number."
        )
    caption = (
        "Expected spurious share against the number of samples, for each K. Dashed: the number m0 at which "
        "shares are compared."
    )
    drawing = Drawing(
        "rarefaction", caption, "Rising curves of the spurious share over the number of samples."
    )
    return Section("rarefaction", "What the number of samples does", tuple(paragraphs), (drawing,))


def _met(run: Run) -> str:
    return f"m0 = {size(run.common_size)} samples"


def _growth(points: list[AuditResult]) -> str:
    known = [point for point in points if point.fractions]
    if not known:
        return ""
    audits = {audit.train_size: audit for audit in known}
    peak = audits[peak_point(audits)]
    curve = peak.rarefaction
    if curve is None or len(curve.sample_sizes) < 2:
        return ""
    last = len(curve.sample_sizes) - 1
    tenth = min(range(last), key=lambda i: abs(curve.sample_sizes[i] * 10 - curve.sample_sizes[last]))
    return (
        f"At K = {size(peak.train_size)} it is {percent(curve.spurious[tenth])} among "
        f"{size(curve.sample_sizes[tenth])} samples and {percent(curve.spurious[last])} among "
        f"{size(curve.sample_sizes[last])}."
    )


def census(run: Run) -> Section | None:
    """The attractors: number, basin masses, and what is unseen."""
    if not any(p.audit.census for p in run.done):
        return None
    text = (
        "Samples that are near-duplicates of each other fell into the same attractor. Its basin mass is the "
        "share of samples that did. An attractor is memorized if at least half of its samples are, else "
        "spurious. The unseen mass is the chance that the next sample repeats none of those seen (Good and "
        "Turing’s estimate), and Chao1 is a lower bound of the number of states, seen or not. Strings of "
        "neighbors that drift from one image to another are no attractor; their share is the chained mass. "
        "The pair collision rate is the chance that two samples are near-duplicates; unlike the spurious "
        "share, it does not depend on how many were drawn."
    )
    header = (
        "K", "attractors", "memorized", "spurious", "largest basin", "unseen mass", "chained mass", "Chao1",
        "pair collision rate",
    )  # fmt: skip
    caption = (
        "Attractors found among the samples (a count of 0 has no place on a log axis), with one for each "
        "training image as a dotted line; basin masses by rank, for each K; and the unseen mass."
    )
    drawing = Drawing(
        "census", caption, "Numbers of attractors, their basin masses by rank, and the unseen mass."
    )
    table = Table(
        "The attractor census.",
        header,
        tuple(_row(p.audit, p.audit.census) for p in run.done if p.audit.census),
    )
    return Section("census", "The attractors", (text,), (drawing,), (table,))


def _row(point: AuditResult, found: Census) -> Row:
    return (
        number_cell(point.train_size, size),
        number_cell(found.attractors, size),
        number_cell(found.memorized, size),
        number_cell(found.spurious, size),
        number_cell(max(found.shares, default=None), fraction),
        number_cell(found.unseen_mass, fraction),
        number_cell(found.chained_mass, fraction),
        number_cell(found.chao1, size),
        number_cell(point.collision_rate, lambda rate: "–" if rate is None else f"{rate:.2g}"),
    )

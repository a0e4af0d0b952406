"""What other shares of false calls would give, and what stands beyond honest images."""

__all__ = ["alphas", "capacity_cell"]

from spurion.audits.results import AuditResult
from spurion.phases.classification import CLASSES
from spurion.phases.passage import Capacity
from spurion.phases.rule_words import promised
from spurion.report.blocks import (
    Cell,
    Drawing,
    Row,
    Section,
    Table,
    class_cell,
    class_titles,
    excess_cell,
    leaks_told,
    number_cell,
)
from spurion.report.run import Run
from spurion.report.words import counted_among
from spurion.statistics.numbers import absent, size, value
from spurion.studies.results import StudyResult


def alphas(run: Run) -> Section | None:
    """Capacities and shares at every alpha in place of one hidden choice."""
    if run.study is None:
        return _of_audit(run.audits[0])
    return _of_study(run, run.study)


def _told(points: tuple[AuditResult, ...]) -> str:
    met = counted_among(points)
    repeated = f" Repetitions are counted {met} throughout." if met else ""
    return (
        "The thresholds allow a share α of honest images to be called memorized, and no law says how large "
        f"it should be. So here is the answer at several.{repeated}{leaks_told(points)}"
    )


def _of_audit(audit: AuditResult) -> Section | None:
    tables = []
    if audit.by_alpha:
        header = ("α", "δm", "δs", *class_titles([audit]).values())
        rows: tuple[Row, ...] = tuple(
            (
                number_cell(at.alpha, promised),
                number_cell(at.memorized, value),
                number_cell(at.spurious, value),
                *(class_cell(audit, at.fractions, name) for name in CLASSES),
            )
            for at in audit.by_alpha
        )
        tables.append(Table("Shares of samples at each α, with 95% intervals.", header, rows))
    beyond = _beyond(audit)
    if beyond:
        header = ("reading", "value", "what it says")
        tables.append(Table("What the samples show beyond honest images.", header, beyond))
    if not tables:
        return None
    paragraphs = (_told((audit,)),) if audit.by_alpha else ()
    return Section("alphas", "Beyond honest images", paragraphs, tables=tuple(tables))


def _beyond(audit: AuditResult) -> tuple[Row, ...]:
    """The excess risk, and the number of listed copies."""
    rows: list[Row] = []
    if audit.excess is not None:
        words = "share of copies that the share called memorized shows beyond that of honest images"
        rows.append((Cell("excess risk"), excess_cell(audit.excess), Cell(words)))
    if audit.listed is not None:
        words = "samples listed as copies, of which at most 5% are none on average (Benjamini and Hochberg)"
        rows.append((Cell("listed"), number_cell(len(audit.listed), size), Cell(words)))
    return tuple(rows)


def _of_study(run: Run, study: StudyResult) -> Section | None:
    audits = [audit for audit in run.audits if audit.by_alpha]
    if not study.capacities_by_alpha and not audits:
        return None
    caption = (
        "Each row is a share α of honest images that may be called memorized; the shaded one is that of the "
        "main rule. Markers are capacities, bars their 95% intervals; an arrow is an end that lies beyond "
        "the studied sizes."
    )
    alternative = "Rows of three capacities with intervals over K, one row for each share of false calls."
    tables = []
    if study.capacities_by_alpha:
        names = ("memorization", "spurious", "generalization")
        rows = tuple(
            (
                number_cell(at.alpha, promised),
                *(capacity_cell(getattr(at.capacities, name)) for name in names),
            )
            for at in study.capacities_by_alpha
        )
        header = ("α", *(f"{name} capacity" for name in names))
        tables.append(Table("Capacities at each α, with 95% intervals.", header, rows))
    if audits:
        tables.append(_shares(audits))
    drawing = Drawing("capacities", caption, alternative)
    return Section(
        "alphas", "At other shares of false calls", (_told(run.audits),), (drawing,), tuple(tables)
    )


def _shares(audits: list[AuditResult]) -> Table:
    found = sorted({at.alpha for audit in audits for at in audit.by_alpha}, reverse=True)
    rows: list[Row] = []
    for audit in audits:
        by = {at.alpha: at.fractions for at in audit.by_alpha}
        cells = (class_cell(audit, by.get(alpha), name) for alpha in found for name in CLASSES)
        rows.append((number_cell(audit.train_size, size), *cells))
    titles = class_titles(audits).values()
    header = ("K", *(f"α = {promised(alpha)}: {title}" for alpha in found for title in titles))
    return Table("Shares of samples at each α, with 95% intervals.", header, tuple(rows))


def capacity_cell(capacity: Capacity) -> Cell:
    """A capacity with its interval below it; an end beyond the studied sizes is named as open."""
    low, high = capacity.low, capacity.high
    if capacity.value is None and low is None and high is None:
        return Cell("not found", capacity.note)
    ends = f"{'open' if low is None else size(low)}–{'open' if high is None else size(high)}"
    return Cell(absent if capacity.value is None else size(capacity.value), ends, capacity.value)

"""The tables of the page."""

__all__ = [
    "comparisons_table",
    "detectors_table",
    "geometry_table",
    "halves_table",
    "mitigation_table",
    "rises_table",
    "summaries_table",
]

from collections.abc import Sequence

from spurion.phases.classification import CLASSES
from spurion.prompts.page.stored import PromptsRun
from spurion.prompts.results import Summary
from spurion.report.blocks import Cell, Row, Table, interval_cell, number_cell
from spurion.statistics.intervals import Interval
from spurion.statistics.numbers import absent, decimals, fraction, p_value, size, value

_two, _three = decimals(2), decimals(3)


def detectors_table(run: PromptsRun) -> Table:
    """Every detector with what it costs, and how it tells memorized from generalized prompts."""
    header = ("detector", "unit", "memorized reads", "evaluations", "prompts", "AUC", "found at 1% false")
    rows: list[Row] = []
    for one in run.result.detectors:
        found = run.judged.get(one.name)
        rows.append(
            (
                Cell(one.name, value=None),
                Cell(one.unit),
                Cell("higher" if one.higher else "lower"),
                number_cell(one.evaluations, decimals(1)),
                number_cell(one.prompts, size),
                _area(None if found is None else found.auc),
                interval_cell(None if found is None else found.sensitivity),
            )
        )
    caption = (
        "Detectors, and how they tell memorized from generalized prompts, with 95% intervals for prompts in "
        "groups. Evaluations are passes of one item through the network that a detector needs by itself, for "
        "one seed; derivatives count once more, and the unconditional answer to the initial noise, which all "
        "prompts share, not at all."
    )
    return Table(caption, header, tuple(rows))


def comparisons_table(run: PromptsRun) -> Table | None:
    """The AUC of every detector for every pair of labels."""
    found = run.result.comparisons
    pairs = list(dict.fromkeys((one.higher, one.lower) for one in found))
    if len(pairs) < 2:
        return None
    by = {(one.detector, one.higher, one.lower): one.auc for one in found}
    names = [one.name for one in run.result.detectors]
    rows = tuple((Cell(name), *(_area(by.get((name, *pair))) for pair in pairs)) for name in names)
    header = ("detector", *(f"{higher} over {lower}" for higher, lower in pairs))
    return Table("AUC of every pair of labels: 1 apart as expected, 0.5 alike.", header, rows)


def halves_table(run: PromptsRun) -> Table | None:
    """Thresholds judged on the half that they were not fitted on."""
    if not run.result.halves:
        return None
    rows = tuple(
        (
            Cell(one.detector),
            Cell(f"{size(one.n[0])} and {size(one.n[1])}"),
            number_cell(one.threshold, value),
            interval_cell(one.found),
            interval_cell(one.false),
            _area(one.auc),
        )
        for one in run.result.halves
    )
    header = ("detector", "memorized and generalized", "threshold", "found", "false alarms", "AUC")
    caption = (
        "A threshold at 1% false alarms, and for all detectors together weights, fitted on one half of the "
        "groups and judged on the other, both ways. Values are oriented: higher for memorized."
    )
    return Table(caption, header, rows)


def summaries_table(run: PromptsRun, by: str) -> Table | None:
    """What the samples of each label or part are."""
    chosen = [one for one in run.result.summaries if one.by == by]
    if not chosen:
        return None
    header = (by, "prompts", "copies of own image", "copies of any", "come again", *CLASSES)
    return Table(
        "Shares of samples, and numbers of prompts by what most of their samples are.",
        header,
        tuple(map(_summary_row, chosen)),
    )


def _summary_row(one: Summary) -> Row:
    shares = tuple(number_cell(share, fraction) for share in (one.own, one.training, one.repeated))
    counts = tuple(
        number_cell(one.outcomes.get(name, 0) if one.outcomes else None, size)  # type: ignore[call-overload]
        for name in CLASSES
    )
    return (Cell(one.name), number_cell(one.prompts, size), *shares, *counts)


def rises_table(run: PromptsRun) -> Table | None:
    """How detectors rise with the number of copies."""
    if not run.result.rises:
        return None
    levels = sorted({level for one in run.result.rises for level in one.medians})
    rows = tuple(
        (
            Cell(one.detector),
            *(number_cell(one.medians.get(level), value) for level in levels),
            number_cell(one.trend.tau, _two),
            number_cell(one.trend.p_value, lambda p: absent if p is None else p_value(p)),
        )
        for one in run.result.rises
    )
    header = ("detector", *(_copies(level) for level in levels), "Kendall’s tau", "p-value")
    caption = (
        "Medians by the number of copies in the training set, and a one-sided rank test that detectors do "
        "not turn towards memorized with it."
    )
    return Table(caption, header, rows)


def geometry_table(run: PromptsRun) -> Table | None:
    """Medians of the curvature by label, and the order of the labels."""
    found = run.result.geometry
    if found is None:
        return None
    groups = [name for name in CLASSES if name in found.groups]
    rows: list[Row] = []
    for one in found.measures:
        cells = []
        for name in groups:
            reading = one.groups.get(name)
            number = reading.value if reading is not None and isinstance(reading.value, float) else None
            cells.append(number_cell(number, value))
        orders = {(order.higher, order.lower): order.auc for order in one.orders}
        pair = next(iter(orders.items()), None)
        told = Cell(absent) if pair is None else Cell(f"{pair[0][0]} over {pair[0][1]}")
        rows.append((Cell(one.name), *cells, told, _area(None if pair is None else pair[1])))
    header = ("measure", *groups, "expected", "AUC")
    caption = f"Medians at σ/α = {found.noise:.2g}, and the AUC of the first pair in the expected order."
    return Table(caption, header, tuple(rows))


def mitigation_table(run: PromptsRun) -> Table | None:
    """What mitigation does."""
    if not run.result.mitigation:
        return None
    rows = tuple(
        (
            Cell(one.name),
            number_cell(one.prompts, size),
            number_cell(one.samples, size),
            interval_cell(one.own),
            interval_cell(one.agreement),
            number_cell(one.evaluations, decimals(1)),
        )
        for one in run.result.mitigation
    )
    header = ("mitigation", "prompts", "samples", "copies of own image", "agree with prompt", "evaluations")
    caption = (
        "Samples of memorized prompts with and without mitigation; evaluations are those that it adds to a "
        "sample."
    )
    return Table(caption, header, rows)


def _area(interval: Interval | None) -> Cell:
    if interval is None:
        return Cell(absent)
    return Cell(_three(interval.value), f"{_three(interval.low)} to {_three(interval.high)}", interval.value)


def _copies(level: int) -> str:
    return "once" if level == 1 else f"{size(level)} copies"


def every(tables: Sequence[Table | None]) -> tuple[Table, ...]:
    """The tables that there are."""
    return tuple(table for table in tables if table is not None)

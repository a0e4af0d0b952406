"""Geometry in tables: one for each measure, and one of all orders."""

__all__ = ["measure_table", "needed", "order_table", "reading_cell", "reading_text"]

from collections.abc import Sequence

from spurion.geometry.groups.results import GROUPS, NEEDED, GroupReading, GroupSize, MeasureResult, Reading
from spurion.report.blocks import Cell, Row, Table, number_cell
from spurion.report.run import Run
from spurion.statistics.numbers import absent, decimals, listed, p_words, size, value
from spurion.studies.geometry.curves import Curve, is_number, left_out, title
from spurion.studies.geometry.order import tallies

PAIRS = (("memorized", "spurious"), ("spurious", "generalized"), ("memorized", "generalized"))


def reading_text(reading: Reading) -> str:
    """A reading to three significant digits, or the word that stands for it.

    Example:
        >>> reading_text(-0.05012), reading_text(7534.2), reading_text("never"), reading_text(None)
        ('−0.0501', '7,534', 'never', '–')
    """
    if isinstance(reading, str):
        return reading
    return decimals(0)(reading) if reading is not None and abs(reading) >= 1000 else value(reading)


def reading_cell(reading: GroupReading | None, group: GroupSize, least: int) -> Cell:
    """A median, below it the interval, the number of points, and every status that is no number.

    Where there is no median, how many points there are and how many are needed.

    Arguments:
        reading: The median; None where the group was not measured.
        group: How many points the group has.
        least: How many a class needs before it is measured.
    """
    if reading is None:
        return Cell(absent, needed(group.available, least) if group.available else "none")
    parts = [f"n = {size(sum(reading.statuses.values()))}"]
    others = [f"{size(n)} {status}" for status, n in reading.statuses.items() if status != "measured"]
    parts += [", ".join(others)] if others else []
    if reading.value is None:
        return Cell(absent, "\n".join([needed(reading.n, NEEDED), *parts[1:]]))
    ends = f"{reading_text(reading.low)} to {reading_text(reading.high)}"
    number = reading.value if is_number(reading.value) else None
    return Cell(reading_text(reading.value), "\n".join([ends, *parts]), number)


def needed(count: int, least: int) -> str:
    """Why there is no number.

    Example:
        >>> needed(3, 12)
        '3 of 12 needed'
    """
    return f"{size(count)} of {size(least)} needed"


def measure_table(curve: Curve, groups: dict[int, dict[str, GroupSize]], least: int) -> Table:
    """One measure at all training sizes: median of each group, effect size of each pair of classes.

    Arguments:
        curve: The measure.
        groups: The sizes of the groups at each training size.
        least: How many samples a class needs before it is measured.
    """
    names = [name for name in GROUPS if any(name in groups[k] for k, _ in curve.points)]
    compared = any(result.orders for _, result in curve.points)
    header = ("K", *names, *(("mem./spur.", "spur./gen.", "mem./gen.") if compared else ()))
    rows: list[Row] = []
    for k, result in curve.points:
        sizes = groups[k]
        cells = [
            reading_cell(result.groups.get(n), sizes.get(n, GroupSize(available=0, measured=0)), least)
            for n in names
        ]
        rows.append((number_cell(k, size), *cells, *(_pair_cells(result) if compared else ())))
    caption = (
        f"{title(curve.name).capitalize()} (unit: {curve.unit}; source: {curve.source}): medians with 95% "
        "intervals, number of points, and how many of them have no number."
    )
    if compared:
        caption += (
            " The last columns: AUC of the order that the paper expects, its 95% interval, one-sided p, and "
            "how many points had to be left out, being undecided or failed."
        )
    return Table(caption, header, tuple(rows))


def order_table(run: Run, measures: Sequence[str]) -> Table | None:
    """For each measure and pair of classes, where the expected order holds; None if nothing was compared."""
    found = tallies(run.geometries, measures)
    if not found:
        return None
    rows = []
    for tally in found:
        aucs = sorted(one.order.auc.value for one in tally.found)
        rows.append(
            (
                Cell(title(tally.measure)),
                Cell(" > ".join(tally.pair)),
                number_cell(len(tally.found), size),
                *(_sizes_cell(tally.sizes(verdict)) for verdict in ("holds", "open", "reversed")),
                Cell(f"{aucs[0]:.2f} to {aucs[-1]:.2f}"),
                number_cell(sum(one.left_out for one in tally.found), size),
            )
        )
    header = (
        "measure",
        "expected",
        "K compared",
        "holds at K",
        "open at K",
        "reversed at K",
        "AUC",
        "left out",
    )
    caption = (
        "Where the classes are ordered as the paper expects them. Never recovered counts as below, always "
        "as above every number; left out are points that are undecided or failed, at all these K together."
    )
    return Table(caption, header, tuple(rows))


def _sizes_cell(sizes: Sequence[int]) -> Cell:
    return Cell(listed([size(k) for k in sizes])) if sizes else Cell(absent)


def _pair_cells(result: MeasureResult) -> list[Cell]:
    found = {frozenset((order.higher, order.lower)): order for order in result.orders}
    cells = []
    for pair in PAIRS:
        order = found.get(frozenset(pair))
        if order is None:
            cells.append(Cell(absent))
            continue
        auc = order.auc
        missing = left_out(result, pair)
        parts = [f"{auc.low:.2f} to {auc.high:.2f}", p_words(order.p_value)]
        parts += [f"{size(missing)} left out"] if missing else []
        cells.append(Cell(f"{auc.value:.2f}", "\n".join(parts), auc.value))
    return cells

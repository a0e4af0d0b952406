"""The tables of the page: every cell, means over seeds, and onsets."""

__all__ = ["cells_table", "means_table", "onsets_table", "shares_table"]

from collections.abc import Sequence
from typing import Any

from spurion.grid.config import STEPS, label
from spurion.grid.onsets import LEVELS
from spurion.grid.results import CAPACITIES, CellResult, GridResult, Onset, Spread
from spurion.phases.classification import CLASSES
from spurion.phases.passage import Capacity
from spurion.report.blocks import Cell, Row, Table, interval_cell, number_cell
from spurion.statistics.numbers import absent, percent, size

NAMES = tuple(f"{name} capacity" for name in CAPACITIES)


def cells_table(grid: GridResult) -> Table:
    """The capacities of every study, with the intervals of its samples and images."""
    rows = tuple(
        (
            Cell(cell.folder.removeprefix("cells/")),
            *_values(cell.values),
            number_cell(cell.seed, size),
            *(_capacity_cell(cell, name) for name in CAPACITIES),
        )
        for cell in grid.cells
    )
    caption = (
        "Capacities in training images, with 95% intervals of the samples and images drawn; an end beyond "
        "the training sizes studied is open. Each study is a run folder of its own under cells/."
    )
    return Table(caption, ("study", *grid.config.over, "seed", *NAMES), rows)


def means_table(grid: GridResult) -> Table | None:
    """The means over seeds, with intervals between seeds."""
    if not grid.settings:
        return None
    rows: list[Row] = [
        (
            Cell(_name(setting.values)),
            *(_spread_cell(setting.capacities[name], len(grid.config.seeds)) for name in CAPACITIES),
        )
        for setting in grid.settings
    ]
    caption = (
        f"Geometric means of the capacities over {len(grid.config.seeds)} seeds, with 95% intervals between "
        "seeds."
    )
    return Table(caption, ("values", *NAMES), tuple(rows))


def shares_table(grid: GridResult) -> Table:
    """The shares at every training size: of every study, or means over seeds where there are several."""
    rows: list[Row] = []
    if grid.settings:
        of, found = f"Mean shares over {len(grid.config.seeds)} seeds, with 95% intervals between seeds.", [
            (_name(setting.values), setting.points) for setting in grid.settings
        ]  # fmt: skip
        for name, means in found:
            for mean in means:
                shares = (interval_cell(getattr(mean, one)) for one in CLASSES)
                rows.append(
                    (Cell(name), number_cell(mean.train_size, size), *shares, interval_cell(mean.near))
                )
    else:
        of = "Shares of the samples, with 95% intervals."
        for cell in grid.cells:
            for point in cell.points:
                shares = (interval_cell(getattr(point.fractions, one, None)) for one in CLASSES)
                head = Cell(_name(cell.values)), number_cell(point.train_size, size)
                rows.append((*head, *shares, interval_cell(point.near)))
    near = "As near: no farther from the training images than 95% of the held-out images are."
    return Table(f"{of} {near}", ("values", "K", *CLASSES, "as near"), tuple(rows))


def onsets_table(grid: GridResult) -> Table | None:
    """The first steps at which shares have reached their levels."""
    if not grid.onsets:
        return None
    rows: list[Row] = []
    for others in grid.others(STEPS):
        for k in grid.sizes:
            at = [one for one in grid.onsets if one.values == others and one.train_size == k]
            steps = (_onset_cell(at, what, level) for what, level in LEVELS)
            rows.append((Cell(_name(others)) if others else number_cell(k, size),
                         *((number_cell(k, size),) if others else ()), *steps))  # fmt: skip
    head = ("values", "K") if rows and len(rows[0]) > len(LEVELS) + 1 else ("K",)
    titles = tuple(
        f"{percent(level)} {'memorized' if what == 'memorized' else 'as near'}" for what, level in LEVELS
    )
    caption = (
        "The first step read at which so many samples are memorized, or lie no farther from the training "
        "images "
        "than 95% of the held-out images do, with the step read before it; the mean over seeds."
    )
    return Table(caption, (*head, *titles), tuple(rows))


def _onset_cell(found: Sequence[Onset], what: str, level: float) -> Cell:
    (onset,) = [one for one in found if (one.what, one.level, one.seed) == (what, level, None)]
    if onset.step is None:
        return Cell("not reached", f"by {size(onset.before)}")
    before = "the first read" if onset.before is None else f"not at {size(onset.before)}"
    return Cell(size(onset.step), before, onset.step)


def _values(values: dict[str, Any]) -> tuple[Cell, ...]:
    return tuple(Cell(label(value)) for value in values.values())


def _name(values: dict[str, Any]) -> str:
    return ", ".join(f"{field}={label(value)}" for field, value in values.items()) or "all seeds"


def _capacity_cell(cell: CellResult, name: str) -> Cell:
    if cell.capacities is None:
        return Cell(absent)
    capacity: Capacity = getattr(cell.capacities, name)
    ends = ("open" if end is None else size(end) for end in (capacity.low, capacity.high))
    return Cell(size(capacity.value), "–".join(ends), capacity.value)


def _spread_cell(spread: Spread, seeds: int) -> Cell:
    if spread.value is None:
        return Cell(absent, f"within the sizes studied in {spread.found} of {seeds} seeds")
    return Cell(size(spread.value), f"{size(spread.low)}–{size(spread.high)}", spread.value)

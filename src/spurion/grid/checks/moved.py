"""How the capacities move with the value of a field."""

__all__ = ["capacities"]

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from spurion.audits.claims import Claim
from spurion.grid.config import label
from spurion.grid.results import CAPACITIES, GridResult
from spurion.statistics.numbers import listed, size

MOST_TOLD = 4
"""Combinations of other values at which a field is told of; all are in the page."""


def capacities(grid: GridResult) -> Iterator[Claim]:
    """For every field and capacity: its values, whether they are in order, and in how many seeds."""
    for field, values in grid.config.over.items():
        if len(values) < 2:
            continue
        for others in grid.others(field)[:MOST_TOLD]:
            for name in CAPACITIES:
                yield _moves(grid, field, values, others, name)


def _moves(grid: GridResult, field: str, values: Sequence[Any], others: dict[str, Any], name: str) -> Claim:
    rows = {seed: _row(grid, field, values, others, name, seed) for seed in grid.config.seeds}
    means = [_mean(grid, {**others, field: value}, name) for value in values]
    numbers = {label(value): mean for value, mean in zip(values, means, strict=True) if mean is not None}
    where = f" with {_told(others)}" if others else ""
    known = [(label(value), size(mean)) for value, mean in zip(values, means, strict=True)]
    if any(mean is None for mean in means):
        found = listed([f"K = {mean} at {value}" for value, mean in known if mean != size(None)])
        rest = listed([value for value, mean in known if mean == size(None)])
        sentence = (
            f"Over {field}{where}, the {name} capacity lies within the training sizes studied for "
            f"{f'some values only: {found}; not at {rest}' if found else 'no value'}."
        )
        return Claim(kind="capacity_open", severity="answer", sentence=sentence, numbers=numbers)
    direction = _direction([mean for mean in means if mean is not None])
    agree = sum(None not in row and _direction(row) == direction for row in rows.values())
    course = f"K = {', '.join(mean for _, mean in known)} at {', '.join(value for value, _ in known)}"
    seeds = f", and so it does in {agree} of {len(rows)} seeds" if grid.several and agree else ""
    return Claim(
        kind="capacity_moves",
        severity="answer",
        sentence=f"Over {field}{where}, the {name} capacity {direction}: {course}{seeds}.",
        numbers=numbers,
    )


def _row(
    grid: GridResult, field: str, values: Sequence[Any], others: dict[str, Any], name: str, seed: int
) -> list[float | None]:
    cells = {label(cell.values[field]): cell for cell in grid.cells if cell.seed == seed and
             {**cell.values, field: None} == {**others, field: None}}  # fmt: skip
    found = [cells[label(value)].capacities for value in values]
    return [None if one is None else getattr(one, name).value for one in found]


def _mean(grid: GridResult, values: dict[str, Any], name: str) -> float | None:
    """The capacity at a combination: the mean over seeds, or that of the only one."""
    setting = grid.setting(values)
    if setting is not None:
        return setting.capacities[name].value
    (cell,) = grid.at(values)
    return None if cell.capacities is None else getattr(cell.capacities, name).value


def _direction(values: Sequence[float | None]) -> str:
    steps = [right > left for left, right in pairwise(v for v in values if v is not None) if right != left]
    if not steps:
        return "stays the same"
    return ("grows" if steps[0] else "falls") if len(set(steps)) == 1 else "goes up and down"


def _told(values: dict[str, Any]) -> str:
    return listed([f"{field} {label(value)}" for field, value in values.items()])

"""What the terminal shows of a grid."""

__all__ = ["tell_plan", "tell_result"]

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spurion.cli.errors import BAD_INPUT
from spurion.cli.show import duration, say, show_credits, show_json, show_source, show_table
from spurion.cli.study import capacity_cell, disk
from spurion.grid.config import label
from spurion.grid.results import CAPACITIES
from spurion.statistics.numbers import size

if TYPE_CHECKING:
    from spurion.grid.results import CellResult, GridResult, Spread
    from spurion.grid.study import GridPlan


def tell_plan(plan: "GridPlan", as_json: bool) -> None:
    """Print what a grid would do."""
    show_json(_plan_values(plan)) if as_json else _show_plan(plan)


def tell_result(result: "GridResult", page: Path, as_json: bool) -> None:
    """Print what a grid found.

    Raises:
        typer.Exit: If nothing is left of any cell.
    """
    show_json(result.to_json()) if as_json else _show(result, page)
    for sentence in result.said("warning"):
        say(sentence, err=True)
    if all(point.message for cell in result.cells for point in cell.points):
        raise typer.Exit(BAD_INPUT)


def _plan_values(plan: "GridPlan") -> dict[str, Any]:
    cells = [
        {
            "folder": cell.folder.as_posix(),
            "values": cell.values,
            "seed": cell.seed,
            "training_steps": steps,
            "points": [{"train_size": train, "sample_size": samples} for train, samples in own.points],
            "seconds": own.seconds,
            "bytes": own.bytes,
        }
        for (cell, own), steps in zip(plan.cells, plan.steps, strict=True)
    ]
    return {
        "config": plan.config.model_dump(mode="json"),
        "cells": cells,
        "seconds": plan.seconds,
        "bytes": plan.bytes,
        "notes": list(plan.notes),
    }


def _show_plan(plan: "GridPlan") -> None:
    import yaml

    values = plan.config.model_dump(mode="json")
    say(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None), nl=False)
    rows = [
        [
            *(label(value) for value in cell.values.values()),
            str(cell.seed),
            size(steps),
            str(len(own.points)),
            size(sum(samples for _, samples in own.points)),
            duration(own.seconds),
            disk(own.bytes),
        ]
        for (cell, own), steps in zip(plan.cells, plan.steps, strict=True)
    ]
    columns = (*plan.config.over, "seed", "training steps", "models", "samples", "time", "disk")
    show_table(columns, rows, numbers=columns)
    if any(
        steps < cell.config.training.steps for (cell, _), steps in zip(plan.cells, plan.steps, strict=True)
    ):
        say("Training steps that an earlier cell takes are not taken again.")
    say(f"{len(plan.cells)} studies; about {duration(plan.seconds)} and {disk(plan.bytes)} of disk.")
    for note in plan.notes:
        say(note)


def _show(result: "GridResult", page: Path) -> None:
    show_source("Training images", result.train)
    show_source("Held-out images", result.holdout)
    head = (*result.config.over, "seed")
    columns = (*head, *(f"{name} capacity" for name in CAPACITIES))
    show_table(columns, [_cell(cell) for cell in result.cells], numbers=columns)
    if result.settings:
        say(f"Means over {len(result.config.seeds)} seeds, with intervals between seeds:")
        rows = [
            [
                *(label(value) for value in setting.values.values()),
                *(_spread(setting.capacities[name]) for name in CAPACITIES),
            ]
            for setting in result.settings
        ]
        columns = (*result.config.over, *(f"{name} capacity" for name in CAPACITIES))
        show_table(columns, rows, numbers=columns)
    for sentence in result.said("answer"):
        say(sentence)
    for claim in result.claims:
        if claim.severity == "limit":
            say(f"Note: {claim.sentence}")
    show_credits(result.claims)
    say(f"Report: {page}")


def _cell(cell: "CellResult") -> list[str]:
    head = [*(label(value) for value in cell.values.values()), str(cell.seed)]
    if cell.capacities is None:
        return [*head, *("-" for _ in CAPACITIES)]
    return [*head, *(capacity_cell(getattr(cell.capacities, name)) for name in CAPACITIES)]


def _spread(spread: "Spread") -> str:
    if spread.value is None:
        return "-"
    return f"{size(spread.value)} ({size(spread.low)}–{size(spread.high)})"

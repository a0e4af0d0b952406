"""The sections of the page, in reading order."""

__all__ = ["sections_of"]

import yaml

from spurion.grid.config import STEPS
from spurion.grid.page.figures import ONSETS, TRAINING_TIME, figure_name
from spurion.grid.page.tables import cells_table, means_table, onsets_table, shares_table
from spurion.grid.results import GridResult
from spurion.report.blocks import Cell, Drawing, Section, Table
from spurion.report.sections.record import flat


def sections_of(grid: GridResult) -> list[Section]:
    """The sections of a grid."""
    found = [_training_time(grid), *_fields(grid), _seeds(grid), _numbers(grid), _limits(grid), _record(grid)]
    return [section for section in found if section is not None]


def _training_time(grid: GridResult) -> Section | None:
    if STEPS not in grid.config.over:
        return None
    drawings = (
        Drawing(
            TRAINING_TIME,
            "Shares of the samples over training-set size K and training steps, both equally spaced as they "
            "were "
            "studied. Lines: from here up at least half (solid) and a tenth (dashed) of the samples are "
            "memorized; dotted, nine in ten lie as near to the training images as held-out images.",
            "Maps of the three shares over K and training steps.",
        ),
        Drawing(
            ONSETS,
            "The first step read at which a share of the samples is memorized, or as near as held-out images "
            "are, against K. Bars reach down to the step read before, between which it set in; an arrow "
            "marks a share that is not reached by the last step.",
            "Steps of the onset of memorization against K.",
        ),
    )
    text = (
        "A model generalizes between the step at which its samples are like real images and the one at which "
        "it begins to copy; where the second comes later with more training images (Bonnaire et al., 2025), "
        "capacities grow with the training time and mean nothing without it."
    )
    tables = [table for table in (onsets_table(grid),) if table is not None]
    return Section("training-time", "Training time", (text,), drawings, tuple(tables))


def _fields(grid: GridResult) -> list[Section]:
    found = []
    for number, (field, values) in enumerate(grid.config.over.items(), 1):
        if len(values) < 2:
            continue
        bands = (
            "Shares: lines are means over seeds in front of their 95% intervals between seeds; dots are "
            "single studies with the intervals of their samples. Capacities: large marks are means with "
            "intervals between seeds, small ones single studies with theirs."
            if grid.several
            else "Bands and bars are 95% intervals of the samples and images drawn."
        )
        rest = (
            " Shares are shown with the first value of every other field, capacities with up to four "
            "combinations of them." if len(grid.config.over) > 1 else ""
        )  # fmt: skip
        drawing = Drawing(
            figure_name(field),
            f"Shares of the three classes against K, one line for each value of {field}, and the three "
            f"capacities against it, values equally spaced. {bands}{rest}",
            f"Shares and capacities by {field}.",
        )
        found.append(Section(f"field-{number}", f"Over {field}", (), (drawing,)))
    return found


def _seeds(grid: GridResult) -> Section | None:
    """Seeds alone: no field varies."""
    if any(len(values) > 1 for values in grid.config.over.values()):
        return None
    drawing = Drawing(
        figure_name(""),
        "Shares of the three classes against K: means over seeds in front of their 95% intervals between "
        "seeds, and single studies with the intervals of their samples. Beside them the three capacities.",
        "Shares and capacities over seeds.",
    )
    return Section("seeds", "Over seeds", (), (drawing,))


def _numbers(grid: GridResult) -> Section:
    tables = (means_table(grid), cells_table(grid), shares_table(grid))
    return Section("numbers", "Numbers", tables=tuple(table for table in tables if table is not None))


def _limits(grid: GridResult) -> Section:
    items = [
        {"title": claim.title, "sentence": claim.sentence}
        for claim in grid.claims
        if claim.severity == "limit"
    ]
    return Section(
        "limits", "What cannot be concluded, and why", part="limits.html.j2", values={"items": items}
    )


def _record(grid: GridResult) -> Section:
    rows = tuple((Cell(key), Cell(entry)) for key, entry in flat(grid.environment))
    text = (
        "The same configuration gives the same numbers. This page was built from stored results only; no "
        "model was run for it."
    )
    config = yaml.safe_dump(grid.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    table, values = Table("Environment.", ("item", "value"), rows), {"config": config}
    return Section("provenance", "Provenance", (text,), tables=(table,), part="config.html.j2", values=values)

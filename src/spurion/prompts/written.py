"""`prompts.csv`: one row for each prompt, what ranks first on top."""

__all__ = ["CSV_FILE", "write_prompts_csv"]

import csv
import io
from pathlib import Path

from spurion.core.files import write_text
from spurion.core.text import printable
from spurion.prompts.results import PromptReading, PromptsResult

CSV_FILE = "prompts.csv"

BEFORE = ("place", "prompt", "label", "group", "copies", "part")
AFTER = ("mean_rank", "fitted", "outcome", "own", "training", "repeated", "nearest", "cut")
"""Columns before and after those of the detectors."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_prompts_csv(path: Path, result: PromptsResult) -> None:
    """Write the readings; a value that does not exist is empty. Floats round-trip exactly.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.

    Raises:
        OSError: If the file cannot be written.
    """
    names = result.config.detectors
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    head = ("place", "prompt", "label", "group", "copies", "part")
    writer.writerow(
        (*head, *names, "mean_rank", "fitted", "outcome", "own", "training", "repeated", "nearest", "cut")
    )
    for place, one in enumerate(result.ranked, start=1):
        writer.writerow([place, *map(_cell, _row(one, names))])
    write_text(path, text.getvalue())


def _row(one: PromptReading, names: tuple[str, ...]) -> list[str | float | int | None]:
    values = [one.values.get(name) for name in names]
    known = one.answered
    answer: list[str | float | None] = [None] * 5
    if known is not None:
        answer = [known.outcome, known.own, known.training, known.repeated, known.nearest]
    return [
        one.prompt,
        one.label,
        one.group,
        one.copies,
        one.part,
        *values,
        one.rank,
        one.fitted,
        *answer,
        one.cut,
    ]


def _cell(value: str | float | int | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        shown = printable(value)
        return f"'{shown}" if shown.startswith(_FORMULA) else shown
    return repr(value)

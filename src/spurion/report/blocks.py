"""What a page is made of: sections of paragraphs, figures, tables, and parts with a template of their own."""

__all__ = [
    "Cell",
    "Drawing",
    "Fact",
    "Overview",
    "Row",
    "Section",
    "Table",
    "Tile",
    "class_cell",
    "class_titles",
    "excess_cell",
    "interval_cell",
    "leaks_told",
    "number_cell",
]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spurion.audits.results import NO_CLOSER, AuditResult
from spurion.phases.classification import CLASSES
from spurion.statistics.intervals import ClassFractions, Interval
from spurion.statistics.numbers import absent, decimals, fraction, span

LEAKS = "*"
"""Marks a share that would be generalized, where samples still leak."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: What is read.
        detail: Smaller, below it: an interval, say.
        value: The exact stored number behind the text, kept in the page; None if there is none.
        mix: Shares drawn as a stacked bar instead of text, by class.
        columns: How many columns it spans.
    """

    text: str
    detail: str = ""
    value: float | None = None
    mix: tuple[tuple[str, float, float], ...] = ()
    columns: int = 1


Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row heads it."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Drawing:
    """A figure by name, with its caption and a text for those who cannot see it."""

    name: str
    caption: str
    alternative: str


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        id: Anchor, unique on the page.
        title: Heading.
        paragraphs: Running text.
        drawings: Figures; one without data is left out.
        tables: Tables, after the figures.
        part: File name of a template for everything else; empty for none.
        values: What that template is given as `part`.
    """

    id: str
    title: str
    paragraphs: tuple[str, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
    part: str = ""
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fact:
    """One line of what was studied."""

    name: str
    text: str
    detail: str = ""


@dataclass(frozen=True)
class Tile:
    """One large number, its name, what it means, and its interval."""

    kind: str
    name: str
    text: str
    notes: tuple[str, ...]
    meaning: str
    value: float | None


@dataclass(frozen=True)
class Overview:
    """Everything above the first section."""

    facts: tuple[Fact, ...]
    answer: tuple[str, ...]
    warnings: tuple[str, ...]
    tiles: tuple[Tile, ...]
    definitions: tuple[tuple[str, str], ...]
    doubts: tuple[str, ...] = ()


def excess_cell(excess: Interval | None) -> Cell:
    """An excess risk, which may be negative, with its interval below it."""
    if excess is None:
        return Cell(absent)
    value, low, high = map(decimals(3), (excess.value, excess.low, excess.high))
    return Cell(value, f"{low} to {high}", excess.value)


def interval_cell(interval: Interval | None) -> Cell:
    """A fraction with its interval below it."""
    if interval is None:
        return Cell(absent)
    return Cell(fraction(interval.value), span(interval), interval.value)


def class_cell(audit: AuditResult, fractions: ClassFractions | None, name: str) -> Cell:
    """The fraction of a class with its interval; marked where what would be generalized still leaks.

    Arguments:
        audit: Whose samples these are.
        fractions: Their fractions; None if there are none.
        name: The class.
    """
    cell = interval_cell(getattr(fractions, name, None))
    marked = audit.class_names[name] != name and cell.value is not None
    return replace(cell, text=f"{cell.text}{LEAKS}") if marked else cell


def class_titles(audits: Sequence[AuditResult]) -> dict[str, str]:
    """What columns of class shares are called, where some of the audits still leak."""
    found = dict(zip(CLASSES, CLASSES, strict=True))
    for audit in audits:
        found |= {
            name: f"{name}, or {called}{LEAKS}"
            for name, called in audit.class_names.items()
            if called != name
        }
    return found


def leaks_told(audits: Sequence[AuditResult]) -> str:
    """What the mark says, for a caption; empty where nothing leaks."""
    if not any(audit.still_leaking for audit in audits):
        return ""
    return f" {LEAKS} Still leaking: {NO_CLOSER}, and not called generalized."


def number_cell(number: float | None, text: Callable[[float | None], str]) -> Cell:
    """A number written by one of the functions of `spurion.statistics.numbers`."""
    return Cell(text(number), value=number)

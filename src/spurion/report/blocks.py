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
    "interval_cell",
    "number_cell",
]

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from spurion.statistics.intervals import Interval
from spurion.statistics.numbers import absent, fraction, span


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


def interval_cell(interval: Interval | None) -> Cell:
    """A fraction with its interval below it."""
    if interval is None:
        return Cell(absent)
    return Cell(fraction(interval.value), span(interval), interval.value)


def number_cell(number: float | None, text: Callable[[float | None], str]) -> Cell:
    """A number written by one of the functions of `spurion.statistics.numbers`."""
    return Cell(text(number), value=number)

"""What the terminal shows: progress on standard error, results on standard output.

Texts are printed as they are: nothing that a user named is ever read as markup.
"""

__all__ = [
    "CLASSES",
    "duration",
    "percent",
    "progress_shown",
    "say",
    "show_claims",
    "show_classes",
    "show_clipped",
    "show_credits",
    "show_inputs",
    "show_json",
    "show_source",
    "show_table",
    "show_warnings",
    "source_values",
    "thresholds_line",
]

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from spurion.core.progress import Progress
from spurion.core.text import printable

if TYPE_CHECKING:
    from spurion.audits.claims import Claim
    from spurion.audits.findings import SourceInfo
    from spurion.audits.results import AuditResult, Inputs
    from spurion.data import ImageSet
    from spurion.phases.rules import ThresholdInfo
    from spurion.statistics.intervals import Interval

CLASSES = ("memorized", "spurious", "generalized")

WORDS = {"answer": "", "doubt": "Doubt: ", "warning": "Warning: "}
"""What a claim begins with."""

SHARE = "share in % (95 % interval)"

PATIENCE = 10.0
"""Seconds between two plain lines of one stage."""


@contextmanager
def progress_shown() -> Iterator[Progress]:
    """Show progress on standard error: bars on a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _PlainLines()
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=True) as progress:
        yield _Bars(progress)


class _Bars:
    """One bar for each name; it leaves when its stage is done and returns with the next."""

    def __init__(self, progress: Bars) -> None:
        self.progress = progress
        self.rows: dict[str, tuple[str, TaskID]] = {}

    def __call__(self, name: str, stage: str, done: int, total: int) -> None:
        over = 0 < total <= done
        if name in self.rows and (over or self.rows[name][0] != stage):
            self.progress.remove_task(self.rows.pop(name)[1])
        if over:
            return
        if name not in self.rows:
            self.rows[name] = (stage, self.progress.add_task(_title(name, stage), total=total or None))
        self.progress.update(self.rows[name][1], completed=done)


class _PlainLines:
    """A line when a stage begins and another every ten seconds."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[str, float]] = {}

    def __call__(self, name: str, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        current, since = self.last.get(name, ("", 0.0))
        if stage == current and now - since < PATIENCE:
            return
        self.last[name] = (stage, now)
        share = f" {100 * done // total} %" if stage == current and total else ""
        print(_title(name, stage) + share, file=sys.stderr, flush=True)  # noqa: T201


def _title(name: str, stage: str) -> str:
    return printable(f"{name}: {stage}" if name else stage)


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text, in which no name of a file or set can steer the terminal.

    Arguments:
        text: The text; what cannot be printed becomes U+FFFD, but for ends of lines.
        err: Whether it goes to standard error.
        nl: Whether the line ends with it.
    """
    typer.echo(printable(text, keep="\n"), err=err, nl=nl)


def show_json(value: Any) -> None:
    """Print a result as JSON and nothing else; what cannot be printed is escaped as JSON has it."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False).encode(errors="replace").decode()
    say("\n".join(line if line.isprintable() else _escaped(line) for line in text.split("\n")))


def _escaped(line: str) -> str:
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[str] = ()) -> None:
    """Print rows of texts under column titles; the columns named in `numbers` are flush right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(Text(column), justify="right" if column in numbers else "left")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console(highlight=False).print(table)


def percent(interval: "Interval") -> str:
    """A fraction and its interval, in percent, without the sign."""
    return f"{100 * interval.value:.1f} ({100 * interval.low:.1f}–{100 * interval.high:.1f})"


def duration(seconds: float) -> str:
    """A rough time in words."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 86400:.0f} days"


def thresholds_line(thresholds: "ThresholdInfo") -> str:
    """Both thresholds, the rule that made them, and what they hang on."""
    from spurion.phases.rule_words import among

    memorized, spurious = (
        "not identifiable" if value is None else f"{value:.4g}"
        for value in (thresholds.memorized, thresholds.spurious)
    )
    met, fit = among(thresholds), thresholds.null
    parts = [f"Thresholds by the rule {thresholds.rule}: memorized {memorized}, spurious {spurious}"]
    if met:
        parts.append(f", repetitions {met}")
    if fit is not None:
        whose = "held-out images" if fit.held_out else "training images among themselves"
        dimension = "" if fit.dimension is None else f", dimension {fit.dimension:.2g}"
        parts.append(f" ({fit.images:,} {whose}{dimension})")
    return "".join(parts) + "."


def show_classes(result: "AuditResult") -> None:
    """Print the thresholds, and how many samples are of each class; nothing of what is not known."""
    from spurion.phases.rule_words import promised

    if result.thresholds is not None:
        say(thresholds_line(result.thresholds))
    if result.fractions is not None and result.counts is not None:
        shares = [percent(getattr(result.fractions, name)) for name in CLASSES]
        names = [result.class_names[name] for name in CLASSES]
        rows = [list(row) for row in zip(names, map(str, result.counts), shares, strict=True)]
        show_table(("class", "samples", SHARE), rows, numbers=("samples", SHARE))
    if result.by_alpha:
        rows = [
            [promised(at.alpha), *(percent(getattr(at.fractions, name)) for name in CLASSES)]
            for at in result.by_alpha
        ]
        columns = ("false calls", *(f"{result.class_names[name]} %" for name in CLASSES))
        show_table(columns, rows, numbers=columns)


def show_claims(result: "AuditResult") -> None:
    """Print what is said of the samples: answers, doubts, warnings, notes, and what not to conclude."""
    verdict = result.verdict.reason if result.verdict else ""
    for claim in result.claims:
        if claim.severity in ("answer", "doubt", "warning") and claim.sentence not in verdict:
            say(f"{WORDS[claim.severity]}{claim.sentence}")
    geometry = result.geometry.notes if result.geometry else ()
    notes = (*(result.thresholds.notes if result.thresholds else ()), *result.notes, *geometry)
    for note in (*notes, *result.said("note")):
        say(f"Note: {note}")
    say(result.said("limit")[0])
    show_credits(result.claims)


def show_credits(claims: "Iterable[Claim]") -> None:
    """Print whose images these are."""
    from spurion.audits.claims import sentences

    for sentence in sentences(claims, "credit"):
        say(sentence)


def show_clipped(*sets: "ImageSet | None") -> None:
    """Say on standard error which sets were clipped to their range."""
    for images in sets:
        if images is not None and images.clipped:
            some = f"{images.clipped:,} of the {len(images):,} images of {images.name}"
            say(f"Note: {some} reached beyond their range and were clipped.", err=True)


def show_warnings(sentences: list[str]) -> None:
    """Say on standard error what is doubtful about the sets."""
    for sentence in sentences:
        say(f"Warning: {sentence}", err=True)


def source_values(images: "ImageSet") -> dict[str, Any]:
    """What a result says about a set of images; see `SourceInfo`."""
    from spurion.audits.findings import SourceInfo

    return SourceInfo.of(images).model_dump(mode="json")


def show_source(role: str, images: "ImageSet | SourceInfo | None", *, warned: bool = False) -> None:
    """Print what `SourceInfo.told` says of a set; nothing of one that was not given."""
    from spurion.audits.findings import SourceInfo
    from spurion.data import ImageSet

    if images is not None:
        source = SourceInfo.of(images) if isinstance(images, ImageSet) else images
        say("\n  ".join(source.told(role, warned=warned)))


def show_inputs(inputs: "Inputs") -> None:
    """Print what there is to say of the sets of an audit."""
    for role, source in (
        ("Training images", inputs.train),
        ("Samples", inputs.samples),
        ("Held-out images", inputs.holdout),
    ):
        show_source(role, source, warned=True)

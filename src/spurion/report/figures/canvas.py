"""What all figures share: size, type, colors, and the axis of training sizes.

Colors are Okabe and Ito's, told apart by readers with any color vision; every class also has a marker of
its own. Figures come in two widths: `wide` for paper and desk, `narrow` for a phone, drawn anew rather
than shrunk. Nothing depends on the clock or on a user's matplotlib settings.
"""

__all__ = [
    "CLASS_COLORS",
    "CLASS_MARKERS",
    "GRAY",
    "INK",
    "MUTED",
    "OLIVE",
    "WIDEN",
    "Width",
    "draw_thresholds",
    "figure_style",
    "interval_bands",
    "interval_bars",
    "label_k_axis",
    "legend_above",
    "literal",
    "new_figure",
    "no_minor_ticks",
    "panels",
    "plain_log_axis",
    "share_axis",
    "size_colors",
    "width_of",
]

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil, log, log10
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from spurion.core.text import printable
from spurion.phases.rules import ThresholdInfo
from spurion.statistics.intervals import Interval

Width = Literal["wide", "narrow"]

INCHES: dict[str, float] = {"wide": 7.2, "narrow": 3.7}
INK, MUTED = "#22211f", "#6b675f"
CLASS_COLORS = {"memorized": "#0072B2", "spurious": "#D55E00", "generalized": "#009E73"}
CLASS_MARKERS = {"memorized": "o", "spurious": "D", "generalized": "s"}
OLIVE, GRAY = "#8a8a1f", "#7d7d7d"
DIGIT, LABEL_GAP = 0.068, 0.1
"""Width of a digit in a tick label, and least room between two labels, in inches."""

LONGEST = 80
"""Characters of the longest stored text in a figure."""

WIDEN = 1.3
"""How far the K axis reaches beyond the smallest and the largest size, as a factor."""

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.facecolor": "none",
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 8,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#8a857b",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e9e5dc",
    "grid.linewidth": 0.6,
    "xtick.color": "#8a857b",
    "ytick.color": "#8a857b",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "spurion",
    "savefig.dpi": 200,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw and save with Spurion's settings and no others; they are put back at the end."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def width_of(width: Width) -> float:
    """Width of a figure in inches."""
    return INCHES[width]


def new_figure(width: Width, height: float) -> Figure:
    """An empty figure of one of the two widths.

    Arguments:
        width: "wide" or "narrow".
        height: Height in inches.
    """
    return Figure(figsize=(width_of(width), height), layout="constrained")


def panels(
    count: int, width: Width, *, across: int, height: float, share: bool = True
) -> tuple[Figure, list[Axes]]:
    """Small multiples in reading order; places left over at the end stay blank.

    Arguments:
        count: Number of panels, at least 1.
        width: "wide" or "narrow".
        across: Panels beside each other in the wide form; the narrow one has half as many.
        height: Height of one panel in inches.
        share: Whether all panels have the same x axis.
    """
    columns = min(count, across if width == "wide" else ceil(across / 2))
    rows = ceil(count / columns)
    figure = new_figure(width, rows * height + 0.55)
    grid = figure.subplots(rows, columns, sharex=share, squeeze=False).ravel()
    for extra in grid[count:]:
        extra.remove()
    for ax in grid[max(0, count - columns) : count] if share else ():
        ax.tick_params(labelbottom=True)
    return figure, list(grid[:count])


def label_k_axis(ax: Axes, sizes: Sequence[int], inches: float, label: bool = True) -> None:
    """Make x the training size K on a log scale, with ticks at the sizes studied.

    Arguments:
        ax: The axes.
        sizes: Training sizes, ascending.
        inches: Width of the axes, which decides how many ticks carry a number.
        label: Whether to name the axis.
    """
    ax.set_xscale("log")
    ax.set_xlim(sizes[0] / WIDEN, sizes[-1] * WIDEN)
    ax.xaxis.set_major_locator(FixedLocator(_spread(sizes, inches)))
    ax.xaxis.set_minor_locator(FixedLocator([float(size) for size in sizes]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda k, _: f"{k:,.0f}"))
    ax.xaxis.set_minor_formatter(FuncFormatter(lambda k, _: ""))
    if label:
        ax.set_xlabel("training-set size K (images)")


def _spread(sizes: Sequence[int], inches: float) -> list[float]:
    """Sizes far enough apart to be labeled: the last, and from the first on all that keep their distance."""
    scale = inches / log(sizes[-1] * WIDEN / (sizes[0] / WIDEN))
    kept: list[int] = []
    for size in sizes[:-1]:
        if all(scale * abs(log(size / other)) >= _room(size, other) for other in (*kept[-1:], sizes[-1])):
            kept.append(size)
    return [float(size) for size in (*kept, sizes[-1])]


def _room(first: int, second: int) -> float:
    """Distance in inches that the labels of two sizes need from center to center."""
    return LABEL_GAP + DIGIT * (len(f"{first:,}") + len(f"{second:,}")) / 2


def share_axis(ax: Axes, label: str = "share of samples") -> None:
    """Make y a share from 0 to 1."""
    ax.set_ylim(-0.03, 1.03)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    ax.set_ylabel(label)


def interval_bars(ax: Axes, sizes: Sequence[float], intervals: Sequence[Interval], **look: Any) -> None:
    """Points with their 95 % intervals, joined by a thin line."""
    values = np.array([interval.value for interval in intervals])
    ends = np.array([[i.value - i.low for i in intervals], [i.high - i.value for i in intervals]])
    ax.errorbar(
        sizes,
        values,
        yerr=np.maximum(ends, 0),
        linewidth=1.2,
        elinewidth=1,
        capsize=1.5,
        clip_on=False,
        **look,
    )


def interval_bands(
    ax: Axes,
    sizes: Sequence[int],
    intervals: Sequence[Interval],
    name: str,
    *,
    look: str,
    color: str,
    alpha: float,
) -> None:
    """Values joined by a line, in front of a band that is their 95 % intervals.

    Arguments:
        ax: The axes.
        sizes: Where the values stand.
        intervals: The values and their ends.
        name: What the legend calls them.
        look: Marker and line, as matplotlib's format.
        color: The color of both.
        alpha: How opaque the band is.
    """
    low, high = [interval.low for interval in intervals], [interval.high for interval in intervals]
    ax.fill_between(sizes, low, high, color=color, alpha=alpha, linewidth=0, label=f"_{name} interval")
    values = [interval.value for interval in intervals]
    ax.plot(sizes, values, look, color=color, label=name, clip_on=False, zorder=3)


def draw_thresholds(ax: Axes, thresholds: ThresholdInfo | None) -> None:
    """Both thresholds as lines across an axis of distances, as far as they are known."""
    if thresholds and thresholds.memorized is not None:
        ax.axvline(thresholds.memorized, color=CLASS_COLORS["memorized"], linewidth=1.1, label=r"$\delta_m$")
    if thresholds and thresholds.spurious is not None:
        ax.axvline(
            thresholds.spurious,
            color=CLASS_COLORS["spurious"],
            linewidth=1.3,
            linestyle=(0, (3, 2)),
            label=r"$\delta_s$",
        )


def size_colors(count: int) -> list[tuple[float, ...]]:
    """One color for each training size, from dark (few images) to light (many)."""
    colormap = matplotlib.colormaps["viridis"]
    return [colormap(float(place)) for place in np.linspace(0, 0.92, count)]


def legend_above(figure: Figure, ax: Axes, columns: int) -> None:
    """The legend of one panel, for the whole figure, above it."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=columns, borderaxespad=0, columnspacing=1.4
    )


def literal(text: str) -> str:
    r"""A stored text for a figure: one short line in which nothing is mathematics.

    Example:
        >>> literal("l2 $x^$")
        'l2 \\$x^\\$'
    """
    short = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return printable(short).replace("$", r"\$")


def plain_log_axis(axis: Axis) -> None:
    """Label a log axis with plain numbers at 1, 2, and 5 of each decade, as far as there is room."""
    low, high = axis.get_view_interval()
    subs = (1.0, 2.0, 5.0) if log10(high / low) < 2.5 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_formatter(NullFormatter())


def _plain(number: float, _: int | None) -> str:
    if number >= 1e6:
        return f"{number / 1e6:,.0f}M"
    return f"{number:,.0f}" if number >= 1 else f"{number:.4g}"


def no_minor_ticks(ax: Axes) -> None:
    """Take the minor ticks off the x axis."""
    ax.xaxis.set_minor_locator(NullLocator())

"""Capacities at several shares of false calls, side by side in place of one hidden choice."""

__all__ = ["draw_capacities", "plot_reach"]

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spurion.phases.passage import Capacity
from spurion.phases.rule_words import promised
from spurion.report.figures.canvas import (
    CLASS_COLORS,
    CLASS_MARKERS,
    INK,
    MUTED,
    WIDEN,
    Width,
    label_k_axis,
    new_figure,
    width_of,
)
from spurion.report.run import Run
from spurion.statistics.numbers import size
from spurion.studies.results import CapacitiesAt

KINDS = {"memorization": "memorized", "spurious": "spurious", "generalization": "generalized"}
"""The class that each capacity speaks of."""

APART = {"memorization": 0.2, "spurious": 0.0, "generalization": -0.2}
"""Where the capacities of one row stand, so that their intervals do not hide each other."""


def draw_capacities(run: Run, width: Width) -> Figure | None:
    """A row for each share alpha of false calls; in it the three capacities with their intervals, over K.

    An open end of an interval runs to the edge of the axis and ends in an arrow. The row of the main rule is
    shaded.
    """
    study = run.study
    if study is None or not study.capacities_by_alpha:
        return None
    sizes = sorted(point.train_size for point in study.points)
    rows = study.capacities_by_alpha
    figure = new_figure(width, 0.9 + 0.55 * len(rows))
    ax = figure.subplots()
    label_k_axis(ax, sizes, width_of(width) - 0.9)
    main = {audit.thresholds.alpha for audit in run.audits if audit.thresholds}
    for height, row in zip(range(len(rows) - 1, -1, -1), rows, strict=True):
        if row.alpha in main:
            ax.axhspan(height - 0.5, height + 0.5, color=INK, alpha=0.06, linewidth=0, label="_main rule")
        _plot_row(ax, row, height, sizes)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_yticks(range(len(rows)), [promised(row.alpha) for row in reversed(rows)])
    ax.set_ylabel("false calls α")
    ax.grid(axis="y", visible=False)
    handles = [
        Line2D([], [], marker=CLASS_MARKERS[kind], color=CLASS_COLORS[kind], linewidth=3, alpha=0.8)
        for kind in KINDS.values()
    ]
    names = [f"{name} capacity" if width == "wide" else name for name in KINDS]
    figure.legend(handles, names, loc="outside upper left", ncols=3, borderaxespad=0, columnspacing=1.2)
    return figure


def _plot_row(ax: Axes, row: CapacitiesAt, height: float, sizes: Sequence[int]) -> None:
    for name, kind in KINDS.items():
        capacity: Capacity = getattr(row.capacities, name)
        place, label = height + APART[name], f"{name} at {row.alpha:g}"
        plot_reach(ax, capacity, place, sizes, color=CLASS_COLORS[kind], label=label)
        if capacity.value is None:
            continue
        ax.plot(
            [capacity.value],
            [place],
            CLASS_MARKERS[kind],
            color=CLASS_COLORS[kind],
            markersize=5,
            label=label,
        )
        ax.annotate(
            size(capacity.value),
            (capacity.value, place),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=6.5,
            color=MUTED,
        )


def plot_reach(
    ax: Axes, capacity: Capacity, height: float, sizes: Sequence[int], *, color: str, label: str
) -> None:
    """The interval of a capacity as a thick bar; an open end runs to the edge and ends in an arrow.

    Arguments:
        ax: The axes, over K.
        capacity: The capacity; one of which nothing is known is not drawn.
        height: Where the bar stands.
        sizes: The training sizes, ascending.
        color: Its color.
        label: What the bar is called, in the figure's code.
    """
    low, high = capacity.low, capacity.high
    if low is None and high is None and capacity.value is None:
        return
    edges = sizes[0] / WIDEN, sizes[-1] * WIDEN
    ends = [edges[0] if low is None else low, edges[1] if high is None else high]
    ax.plot(
        ends,
        [height] * 2,
        color=color,
        linewidth=4,
        alpha=0.45,
        solid_capstyle="butt",
        label=f"_{label} interval",
    )
    for end, edge, arrow in ((low, edges[0], "<"), (high, edges[1], ">")):
        if end is None:
            ax.plot([edge], [height], arrow, color=color, markersize=6, clip_on=False, label=f"_{label} open")

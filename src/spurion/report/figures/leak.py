"""The leak excess: how much nearer samples are to the training set than chance has it."""

__all__ = ["draw_leak"]

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spurion.phases.passage import Capacity
from spurion.report.figures.canvas import (
    INK,
    MUTED,
    Width,
    interval_bars,
    label_k_axis,
    new_figure,
    width_of,
)
from spurion.report.figures.capacities import plot_reach
from spurion.report.figures.null import PURPLE
from spurion.report.run import Run
from spurion.statistics.intervals import Interval
from spurion.statistics.numbers import percent, size
from spurion.studies.capacities import LEAKS

CAPACITY = "#3f3f3f"
"""Color of the capacities, in front of the curve."""


def draw_leak(run: Run, width: Width) -> Figure | None:
    """2A - 1 over K with intervals; where it falls to 90 %, to half and to nothing, each with its interval.

    An open end of an interval runs to the edge of the axis and ends in an arrow.
    """
    if run.study is None:
        return None
    shares = [(a.train_size, a.null.share_closer_to_train) for a in run.audits if a.null is not None]
    known = [(k, share) for k, share in shares if share is not None]
    if not known:
        return None
    sizes = sorted(point.train_size for point in run.study.points)
    figure = new_figure(width, 2.8)
    ax = figure.subplots()
    label_k_axis(ax, sizes, width_of(width) - 0.6)
    capacities = run.study.leak_capacities
    for name, level in LEAKS.items():
        ax.axhline(level, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), label=f"_level {level:g}")
        if capacities is not None:
            _plot_capacity(ax, getattr(capacities, name), level, sizes)
    excess = [
        Interval(value=2 * share.value - 1, low=2 * share.low - 1, high=2 * share.high - 1)
        for _, share in known
    ]
    interval_bars(ax, [k for k, _ in known], excess, fmt="o-", color=PURPLE, label="leak excess")
    ax.set_ylim(min(-0.08, *(one.low for one in excess)) - 0.02, 1.08)
    ax.set_yticks([0, 0.5, 0.9], ["0", "0.5", "0.9"])
    ax.set_ylabel("leak excess 2A − 1")
    return figure


def _plot_capacity(ax: Axes, capacity: Capacity, level: float, sizes: list[int]) -> None:
    label = f"capacity at {level:g}"
    plot_reach(ax, capacity, level, sizes, color=CAPACITY, label=label)
    if capacity.value is not None:
        ax.plot([capacity.value], [level], "D", color=CAPACITY, markersize=5, label=label, zorder=4)
    where = "not reached" if capacity.value is None else f"K = {size(capacity.value)}"
    ax.annotate(
        f"falls to {percent(level)}: {where}",
        (0.01, level),
        xycoords=("axes fraction", "data"),
        xytext=(0, -3),
        textcoords="offset points",
        va="top",
        fontsize=7,
        color=MUTED,
    )

"""The attractor census: how many there are, how large their basins, how much is unseen."""

__all__ = ["draw_census", "thin_ranks"]

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spurion.audits.results import AuditResult
from spurion.report.figures.canvas import (
    CLASS_COLORS,
    CLASS_MARKERS,
    MUTED,
    Width,
    label_k_axis,
    new_figure,
    plain_log_axis,
    share_axis,
    size_colors,
    width_of,
)
from spurion.report.run import Run
from spurion.statistics.numbers import size

HEADROOM = 12.0
"""Room above the counts for the legend, as a factor."""


def draw_census(run: Run, width: Width) -> Figure | None:
    """Attractors against K, basin masses by rank, and the unseen mass against K."""
    points = [p.audit for p in run.done if p.audit.census]
    if not points:
        return None
    figure = new_figure(width, 2.8 if width == "wide" else 7.2)
    axes = figure.subplots(1, 3) if width == "wide" else figure.subplots(3, 1)
    inches = width_of(width) / 3 - 0.6 if width == "wide" else width_of(width) - 0.7
    sizes = [point.train_size for point in points]
    _plot_counts(axes[0], points)
    _plot_masses(axes[1], points)
    unseen = [point.census.unseen_mass for point in points if point.census]
    axes[2].plot(sizes, unseen, "o-", color=MUTED, label="unseen mass", clip_on=False)
    axes[2].set_title("unseen mass")
    share_axis(axes[2], "share of further samples")
    for ax in (axes[0], axes[2]):
        label_k_axis(ax, sizes, inches)
    handles, labels = axes[1].get_legend_handles_labels()
    if handles:
        figure.legend(
            [*handles],
            [f"K = {labels[0]}", *labels[1:]],
            loc="outside lower left",
            ncols=12 if width == "wide" else 5,
            fontsize=7,
            handlelength=1,
            handletextpad=0.4,
            columnspacing=1.1,
        )
    return figure


def _plot_counts(ax: Axes, points: list[AuditResult]) -> None:
    pairs = [(p.train_size, p.census) for p in points if p.census]
    sizes = [k for k, _ in pairs]
    ax.plot(sizes, sizes, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)), label="one for each image")
    for name in ("memorized", "spurious"):
        counts = np.array([float(getattr(census, name)) for _, census in pairs])
        counts[counts == 0] = np.nan
        ax.plot(sizes, counts, CLASS_MARKERS[name] + "-", color=CLASS_COLORS[name], label=name)
    estimates = [(k, census.chao1) for k, census in pairs if census.chao1]
    if estimates:
        ax.plot(
            *zip(*estimates, strict=True), "^--", color=MUTED, linewidth=1, markersize=3.5, label="all, Chao1"
        )
    ax.set_yscale("log")
    ax.set_ylim(0.7, HEADROOM * max(ax.get_ylim()[1], 10))
    plain_log_axis(ax.yaxis)
    ax.set_ylabel("number of attractors")
    ax.set_title("attractors")
    ax.legend(fontsize=6.5, loc="upper left", labelspacing=0.2, borderaxespad=0.1)


def _plot_masses(ax: Axes, points: list[AuditResult]) -> None:
    shown = [(p.train_size, p.census.shares) for p in points if p.census and p.census.shares]
    for (k, shares), color in zip(shown, size_colors(len(shown)), strict=True):
        rank, mass = thin_ranks(shares)
        ax.plot(rank, mass, color=color, linewidth=1.2, label=size(k))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("rank of the attractor")
    ax.set_ylabel("basin mass (share of samples)")
    ax.set_title("basin masses")
    plain_log_axis(ax.xaxis)
    plain_log_axis(ax.yaxis)


def thin_ranks(shares: Sequence[float]) -> tuple[Int[np.ndarray, " r"], Float[np.ndarray, " r"]]:
    """Ranks and masses, largest first, without the inner points of runs of equal masses: the same line.

    Example:
        >>> thin_ranks([0.1, 0.5, 0.1, 0.1])[0].tolist()
        [1, 2, 4]
    """
    mass = np.sort(np.array(shares, dtype=np.float64))[::-1]
    inner = np.zeros(len(mass), dtype=bool)
    inner[1:-1] = (mass[1:-1] == mass[:-2]) & (mass[1:-1] == mass[2:])
    return np.flatnonzero(~inner) + 1, mass[~inner]

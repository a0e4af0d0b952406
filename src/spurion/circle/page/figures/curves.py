"""Curves over random sets: the three phases against K, and the number of minima against beta."""

__all__ = ["draw_minima", "draw_phases"]

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spurion.circle.page.stored import CircleRun
from spurion.circle.page.words import KIND_COLORS, KIND_MARKERS, KINDS, beta_text
from spurion.circle.results import Branches, PhasePoint
from spurion.circle.ring import ring_memory_capacity, ring_minima
from spurion.report.figures.canvas import (
    INK,
    MUTED,
    Width,
    interval_bands,
    interval_bars,
    label_k_axis,
    legend_above,
    new_figure,
    panels,
    plain_log_axis,
    share_axis,
    size_colors,
    width_of,
)


def draw_phases(run: CircleRun, width: Width) -> Figure | None:
    """Basin mass of memories, spurious states and the continuum against K, a panel for each temperature."""
    points = run.study.phases
    betas = sorted({point.beta for point in points})
    if not points or len({point.count for point in points}) < 2:
        return None
    figure, axes = panels(len(betas), width, across=2, height=2.1, share=False)
    inches = width_of(width) / (2 if width == "wide" and len(betas) > 1 else 1) - 0.6
    for ax, beta in zip(axes, betas, strict=True):
        row = [point for point in points if point.beta == beta]
        _plot_masses(ax, row)
        law = ring_memory_capacity(beta)
        ax.axvline(law, color=KIND_COLORS["memory"], linewidth=0.9, linestyle=(0, (1, 2)), label="_law")
        ax.set_title(f"β = {beta_text(beta)}")
        share_axis(ax, "share of the density")
        label_k_axis(ax, [point.count for point in row], inches, label=False)
        ax.set_xlabel("number K of patterns")
    legend_above(figure, axes[0], 3)
    return figure


def _plot_masses(ax: Axes, points: Sequence[PhasePoint]) -> None:
    counts = [point.count for point in points]
    for kind in KINDS:
        intervals = [getattr(point, kind) for point in points]
        look = KIND_MARKERS[kind] + "-"
        interval_bands(ax, counts, intervals, kind, look=look, color=KIND_COLORS[kind], alpha=0.18)


def draw_minima(run: CircleRun, width: Width) -> Figure | None:
    """Number of minima against beta: of the study's own sets, and of random ones with the law for many."""
    if not run.study.branches and not run.study.sweep:
        return None
    parts = [part for part in (run.study.branches, run.study.sweep) if part]
    if width == "wide":
        figure = new_figure(width, 2.9)
        axes = list(figure.subplots(1, len(parts), squeeze=False)[0])
    else:
        figure, axes = panels(len(parts), width, across=1, height=2.4, share=False)
    for ax in axes:
        ax.set_xscale("log")
        ax.set_xlabel("inverse temperature β")
        ax.set_ylabel("number of minima")
    places = iter(axes)
    if run.study.branches:
        _plot_branches(next(places), run.study.branches)
    if run.study.sweep:
        _plot_sweep(next(places), run)
    for ax in axes:
        plain_log_axis(ax.xaxis)
    return figure


def _plot_branches(ax: Axes, sets: Sequence[Branches]) -> None:
    for branches, color in zip(sets, size_colors(len(sets)), strict=True):
        betas, numbers = _staircase(branches)
        ax.step(betas, numbers, where="post", color=color, label=f"K = {branches.count}")
        ax.plot(branches.betas, branches.minima, ".", color=color, markersize=3)
    ax.set_ylim(0, None)
    ax.set_title("the study’s own sets")
    ax.legend(loc="upper left")


def _staircase(branches: Branches) -> tuple[list[float], list[int]]:
    """Where the number of minima steps up: at every merge point, as far as these account for it."""
    lowest, highest = branches.betas[-1], branches.betas[0]
    merges = sorted(merge.beta for merge in branches.merges)
    start = branches.minima[-1]
    if start + len(merges) != branches.minima[0]:
        return list(branches.betas[::-1]), list(branches.minima[::-1])
    return [lowest, *merges, highest], [*range(start, start + len(merges) + 1), start + len(merges)]


def _plot_saturation(ax: Axes, points: Sequence[PhasePoint]) -> None:
    """The number of minima of the largest random sets."""
    largest = max((point.count for point in points), default=0)
    shown = sorted((point for point in points if point.count == largest), key=lambda point: point.beta)
    if shown:
        interval_bars(
            ax,
            [point.beta for point in shown],
            [point.minima for point in shown],
            fmt="s-",
            color=KIND_COLORS["continuum"],
            label=f"K = {largest:,}: minima",
            markersize=3,
        )


def _plot_sweep(ax: Axes, run: CircleRun) -> None:
    for count in sorted({point.count for point in run.study.sweep}):
        points = [point for point in run.study.sweep if point.count == count]
        betas: list[float] = [point.beta for point in points]
        label = f"K = {count}: "
        interval_bars(
            ax, betas, [p.minima for p in points], fmt="o-", color=INK, label=label + "minima", markersize=3
        )
        interval_bars(
            ax,
            betas,
            [p.memories for p in points],
            fmt="o-",
            color=KIND_COLORS["memory"],
            label=label + "memories",
            markersize=3,
        )
    _plot_saturation(ax, run.study.phases)
    top = ax.get_ylim()[1]
    low, high = min(p.beta for p in run.study.sweep) / 2, 2 * max(p.beta for p in run.study.sweep)
    betas_law = np.geomspace(low, high, 100)
    ax.plot(
        betas_law,
        [ring_minima(beta) for beta in betas_law],
        linestyle=(0, (1, 2)),
        color=MUTED,
        label="many patterns: 1.7 √β",
    )
    ax.set_xlim(low, high)
    ax.set_ylim(0, max(top, 1))
    ax.set_title("random sets")
    ax.legend(loc="center right")

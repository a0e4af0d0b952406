"""Learned energies beside the exact one, point against point, and the samples."""

__all__ = ["draw_agreement", "draw_samples", "draw_trained"]

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spurion.circle.page.figures.landscapes import draw_plane, kind_handles, mark_minima, mark_patterns
from spurion.circle.page.stored import CircleRun, Grids
from spurion.circle.page.words import count_text
from spurion.report.figures.canvas import INK, MUTED, Width, new_figure, panels, width_of

LEARNED: dict[str, Any] = {"marker": "X", "color": "#CC79A7", "markersize": 6, "markeredgecolor": "white"}
"""Minima of a learned energy, in a color that stands for no class."""


def draw_trained(run: CircleRun, width: Width) -> Figure | None:
    """The exact energy on top, below it what each network learned; a column for each K."""
    if not run.trained:
        return None
    counts, networks = _axes_of(run.trained)
    rows = len(networks) + 1
    side = width_of(width) / max(len(counts), 2)
    figure = new_figure(width, rows * side + 0.5)
    axes = figure.subplots(rows, len(counts), squeeze=False)
    known = {(grids.result.count, grids.result.network): grids for grids in run.trained}
    for column, count in enumerate(counts):
        exact = next(grids for grids in run.trained if grids.result.count == count)
        _draw_exact(axes[0, column], run, exact)
        axes[0, column].set_title(f"K = {count_text(count)}")
        for row, network in enumerate(networks, start=1):
            _draw_learned(axes[row, column], run, known.get((count, network)))
    for row, label in enumerate(("exact", *networks)):
        axes[row, 0].set_ylabel(label, fontweight="bold")
    learned = Line2D([], [], linestyle="none", label="learned minimum", **LEARNED)
    figure.legend(
        handles=[*kind_handles(), learned],
        loc="outside upper left",
        ncols=5 if width == "wide" else 2,
        borderaxespad=0,
        columnspacing=1.4,
    )
    return figure


def draw_agreement(run: CircleRun, width: Width) -> Figure | None:
    """Learned against exact energy, above the lowest exact value, at every point of the grid."""
    if not run.trained:
        return None
    counts, networks = _axes_of(run.trained)
    figure, axes = panels(len(counts), width, across=len(counts), height=2.3, share=False)
    for ax, count in zip(axes, counts, strict=True):
        here = [grids for grids in run.trained if grids.result.count == count]
        floor = min(float(grids.patterns.min()) for grids in here)
        top = max(float(grids.patterns.max()) for grids in here) - floor
        ax.plot([0, top], [0, top], color=MUTED, linewidth=0.8, label="_equal")
        for grids in here:
            look = _NETWORK_LOOKS[networks.index(grids.result.network) % len(_NETWORK_LOOKS)]
            exact, learned = grids.patterns.ravel() - floor, grids.learned.ravel() - floor
            ax.plot(exact, learned, linestyle="none", label=grids.result.network, rasterized=True, **look)
        ax.set_title(f"K = {count_text(count)}")
        ax.set_xlabel("exact energy")
    axes[0].set_ylabel("learned energy")
    axes[0].legend(loc="upper left")
    return figure


_NETWORK_LOOKS: tuple[dict[str, Any], ...] = (
    {"marker": "o", "color": "#56B4E9", "markersize": 2.2},
    {"marker": "^", "color": "#CC79A7", "markersize": 2.2},
    {"marker": "s", "color": "#E69F00", "markersize": 2.2},
)


def draw_samples(run: CircleRun, width: Width) -> Figure | None:
    """Samples of each network with the centers of their clusters, as large as the clusters."""
    if not run.trained:
        return None
    counts, networks = _axes_of(run.trained)
    side = width_of(width) / max(len(counts), 2)
    figure = new_figure(width, len(networks) * side + 0.3)
    axes = figure.subplots(len(networks), len(counts), squeeze=False)
    known = {(grids.result.count, grids.result.network): grids for grids in run.trained}
    for row, network in enumerate(networks):
        for column, count in enumerate(counts):
            _draw_sample_panel(axes[row, column], run, known.get((count, network)))
            if row == 0:
                axes[0, column].set_title(f"K = {count_text(count)}")
        axes[row, 0].set_ylabel(network, fontweight="bold")
    return figure


def _axes_of(trained: Sequence[Grids]) -> tuple[list[int], list[str]]:
    counts = sorted({grids.result.count for grids in trained})
    return counts, list(dict.fromkeys(grids.result.network for grids in reversed(trained)))


def _draw_exact(ax: Axes, run: CircleRun, grids: Grids) -> None:
    draw_plane(ax, grids.patterns, grids.extent)
    if grids.result.exact is not None:
        mark_minima(ax, grids.result.exact)
    _mark_own_patterns(ax, run, grids.result.count)


def _draw_learned(ax: Axes, run: CircleRun, grids: Grids | None) -> None:
    if grids is None:
        _failed(ax)
        return
    draw_plane(ax, grids.learned, grids.extent)
    minima = grids.result.minima
    ax.plot([m.x for m in minima], [m.y for m in minima], linestyle="none", zorder=6, **LEARNED)
    _mark_own_patterns(ax, run, grids.result.count)


def _draw_sample_panel(ax: Axes, run: CircleRun, grids: Grids | None) -> None:
    if grids is None:
        _failed(ax)
        return
    ax.plot(*grids.samples.T, ".", color="#a49d8d", markersize=1.2, zorder=2, rasterized=True)
    clusters = grids.result.clusters
    sizes = np.array([cluster.size for cluster in clusters]) / len(grids.samples)
    ax.scatter(
        [cluster.x for cluster in clusters],
        [cluster.y for cluster in clusters],
        s=10 + 120 * sizes,
        facecolors="none",
        edgecolors="#CC79A7",
        linewidths=1.2,
        zorder=4,
    )
    _mark_own_patterns(ax, run, grids.result.count)
    reach = max(1.25, float(np.quantile(np.abs(grids.samples), 0.995)) * 1.1)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
    for spine in ax.spines.values():
        spine.set_visible(False)


def _mark_own_patterns(ax: Axes, run: CircleRun, count: int) -> None:
    degrees = run.study.patterns.get(count)
    if degrees is not None:
        mark_patterns(ax, degrees)


def _failed(ax: Axes) -> None:
    ax.set_axis_off()
    ax.text(0.5, 0.5, "failed", color=INK, ha="center", va="center", transform=ax.transAxes)

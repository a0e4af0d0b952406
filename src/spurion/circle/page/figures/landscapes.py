"""Exact energy landscapes: contours, score arrows, patterns and minima (Pham et al., 2025, Fig. 3)."""

__all__ = ["draw_landscapes", "draw_plane", "kind_handles", "mark_minima", "mark_patterns", "spread"]

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from scipy.ndimage import zoom

from spurion.circle.page.stored import CircleRun, Landscape
from spurion.circle.page.words import KIND_COLORS, KIND_MARKERS, KINDS, beta_text, time_text
from spurion.circle.results import State
from spurion.report.figures.canvas import INK, Width, new_figure, width_of

COLUMNS = 4
ROWS = 4
ARROWS = 11
FEW = 100
"""Sets of at most so many patterns have their patterns drawn."""

TERRAIN = LinearSegmentedColormap.from_list("terrain", ["#fffdf7", "#e4dfd2", "#b9b2a2", "#6f6a60"])
"""From low energy (light) to high (dark): gray, so that the colors of the classes stay readable."""

FINE = 180
"""Pixels along a side of a map: smooth in print, small in the page."""

LEVELS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2)
"""Energies of the contour lines."""

TOP = 1.3
"""Energy, above the lowest, from which on everything is as dark."""


def draw_landscapes(run: CircleRun, width: Width) -> Figure | None:
    """Energies of several sets, one below the other, at several temperatures, side by side."""
    if not run.landscapes:
        return None
    shown = _rows(run)
    columns = spread(len(shown[0].states), COLUMNS)
    if width == "narrow":
        columns = columns[1:3] if len(columns) == COLUMNS else columns[:2]
    side = width_of(width) / len(columns)
    figure = new_figure(width, len(shown) * side + 0.5)
    axes = figure.subplots(len(shown), len(columns), squeeze=False)
    for row, landscape in zip(axes, shown, strict=True):
        for ax, column in zip(row, columns, strict=True):
            _draw_exact(ax, landscape, column, run)
        row[0].set_ylabel(landscape.name, fontweight="bold")
    for ax, column in zip(axes[0], columns, strict=True):
        beta = shown[0].states[column].beta
        ax.set_title(f"β = {beta_text(beta)}, t = {time_text(beta)}")
    figure.legend(
        handles=kind_handles(),
        loc="outside upper left",
        ncols=4 if width == "wide" else 2,
        borderaxespad=0,
        columnspacing=1.4,
    )
    return figure


def _rows(run: CircleRun) -> list[Landscape]:
    """The sets that networks are trained on, as in the paper's figure, and infinity; else an even choice."""
    trained = run.study.config.trained.counts
    chosen = [landscape for landscape in run.landscapes if landscape.count in (*trained, None)]
    if not 2 <= len(chosen) <= ROWS:
        chosen = [run.landscapes[i] for i in spread(len(run.landscapes), ROWS)]
    return chosen


def draw_plane(ax: Axes, energy: Float[np.ndarray, "n n"], extent: float) -> None:
    """One landscape, from its lowest value up."""
    side = np.linspace(-extent, extent, len(energy))
    above = np.clip(energy - np.nanmin(energy), 0, TOP)
    reach = extent * len(energy) / (len(energy) - 1)  # pixels are centered on the points of the grid
    ends = (-reach, reach, -reach, reach)
    fine = zoom(above, FINE / len(energy), order=1, grid_mode=True, mode="nearest")
    ax.imshow(fine, cmap=TERRAIN, vmin=0, vmax=TOP, extent=ends, origin="lower", interpolation="none")
    ax.contour(side, side, above, levels=LEVELS, colors="#ffffff", linewidths=0.4, zorder=1)
    ax.set_xlim(-extent, extent)
    ax.set_ylim(-extent, extent)
    ax.set_aspect("equal")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def mark_minima(ax: Axes, state: State) -> None:
    """The minima of one landscape, by class; a ring for infinitely many patterns."""
    if state.ring is not None:
        color = KIND_COLORS["continuum"]
        if state.ring > 0:
            ax.add_patch(Circle((0, 0), state.ring, fill=False, color=color, linewidth=1.6, zorder=4))
        else:
            ax.plot([0], [0], KIND_MARKERS["spurious"], color=KIND_COLORS["spurious"], markersize=5, zorder=4)
        return
    for kind in KINDS:
        points = [(m.x, m.y) for m in state.minima if m.kind == kind]
        ax.plot(
            [x for x, _ in points],
            [y for _, y in points],
            KIND_MARKERS[kind],
            color=KIND_COLORS[kind],
            markersize=5 if len(state.minima) < 20 else 3.2,
            markeredgecolor="white",
            markeredgewidth=0.6,
            zorder=4,
        )


def kind_handles() -> list[Line2D]:
    """Legend of the classes of minima, and of the patterns."""
    look: dict[str, Any] = {
        "linestyle": "none",
        "markersize": 5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.6,
    }
    kinds = [
        Line2D([], [], marker=KIND_MARKERS[kind], color=KIND_COLORS[kind], label=kind, **look)
        for kind in KINDS
    ]
    return [*kinds, Line2D([], [], linestyle="none", marker=".", color=INK, markersize=4, label="pattern")]


def mark_patterns(ax: Axes, degrees: Sequence[float]) -> None:
    """The patterns themselves, as small dots: on top of the minima, or below where they are many."""
    angles = np.radians(degrees)
    few = len(degrees) <= 20
    ax.plot(
        np.cos(angles), np.sin(angles), ".", color=INK, markersize=2.5 if few else 2, zorder=5 if few else 3
    )


def spread(count: int, most: int) -> list[int]:
    """Indices of at most `most` of `count` items, evenly spread, both ends included.

    Example:
        >>> spread(9, 4), spread(2, 4)
        ([0, 3, 5, 8], [0, 1])
    """
    if count <= most:
        return list(range(count))
    return [round(place) for place in np.linspace(0, count - 1, most)]


def _draw_exact(ax: Axes, landscape: Landscape, column: int, run: CircleRun) -> None:
    state = landscape.states[column]
    draw_plane(ax, landscape.energy[column], landscape.extent)
    _draw_arrows(ax, landscape.score[column], landscape.extent)
    degrees = run.study.patterns.get(landscape.count) if landscape.count else None
    if degrees is not None and len(degrees) <= FEW:
        mark_patterns(ax, degrees)
    mark_minima(ax, state)


def _draw_arrows(ax: Axes, score: Float[np.ndarray, "n n 2"], extent: float) -> None:
    """Directions of the score on a coarse grid, longer where it is stronger."""
    places = spread(len(score), ARROWS)
    side = np.linspace(-extent, extent, len(score))[places]
    arrows = score[np.ix_(places, places)]
    length = np.linalg.norm(arrows, axis=2, keepdims=True)
    scaled = arrows / np.maximum(length, 1e-12) * np.sqrt(length / max(float(length.max()), 1e-12))
    ax.quiver(
        side, side, scaled[..., 0], scaled[..., 1],
        color="#4a463f", alpha=0.75, pivot="mid", scale=ARROWS * 1.15, width=0.006, zorder=2,
    )  # fmt: skip

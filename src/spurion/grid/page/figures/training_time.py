"""The phase diagram over training-set size and training steps, and the onset of memorization."""

__all__ = ["draw_onsets", "draw_training_time"]

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from spurion.grid.config import STEPS, label
from spurion.grid.results import GridResult, Onset
from spurion.phases.classification import CLASSES
from spurion.report.figures.canvas import (
    CLASS_COLORS,
    INK,
    MUTED,
    Width,
    label_k_axis,
    literal,
    new_figure,
    plain_log_axis,
    width_of,
)
from spurion.statistics.numbers import percent, size

LOOKS = {("memorized", 0.5): "-", ("memorized", 0.1): "--", ("near", 0.9): ":"}
"""Lines of the onsets."""

MARKERS = {("memorized", 0.5): "o", ("memorized", 0.1): "^", ("near", 0.9): "s"}


def draw_training_time(grid: GridResult, width: Width) -> Figure | None:
    """Maps of the three shares over K and steps, with lines where memorization and quality set in.

    Other fields are at their first value; shares are means over seeds.
    """
    steps, sizes = grid.config.over.get(STEPS, ()), grid.sizes
    if not steps or not sizes:
        return None
    wide = width == "wide"
    figure = new_figure(width, 3.1 if wide else 7.2)
    panels = figure.subplots(1, 3, sharey=True) if wide else figure.subplots(3, 1, sharex=True)
    for ax, name in zip(panels, CLASSES, strict=True):
        white_to = LinearSegmentedColormap.from_list(name, ["#ffffff", CLASS_COLORS[name]])
        image = ax.pcolormesh(_shares(grid, name), cmap=white_to, vmin=0, vmax=1, edgecolors="#e9e5dc",
                              linewidth=0.4)  # fmt: skip
        for (what, level), line in LOOKS.items():
            if (what == "memorized") == (name == "memorized") and not (what == "near" and name == "spurious"):
                _plot_border(ax, _main(grid, what, level), steps, line)
        ax.set_title(name)
        ax.grid(visible=False)
        shown = range(0, len(sizes), 1 + len(sizes) // 9)
        ax.set_xticks([place + 0.5 for place in shown], [size(sizes[place]) for place in shown], rotation=60)
        ax.set_yticks(np.arange(len(steps)) + 0.5, [size(step) for step in steps])
        bar = figure.colorbar(image, ax=ax, shrink=0.8, ticks=[0, 0.5, 1], pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=6.5)
    for ax in panels if wide else panels[-1:]:
        ax.set_xlabel("training-set size K")
    for ax in panels[:1] if wide else panels:
        ax.set_ylabel("training steps")
    return figure


def draw_onsets(grid: GridResult, width: Width) -> Figure | None:
    """The first step at which each share has reached its level, against K, with the step read before."""
    steps, sizes = grid.config.over.get(STEPS, ()), grid.sizes
    if not steps or not sizes or not grid.onsets:
        return None
    figure = new_figure(width, 3.0 if width == "wide" else 3.6)
    ax = figure.subplots()
    for number, ((what, level), line) in enumerate(LOOKS.items()):
        color = CLASS_COLORS["memorized"] if what == "memorized" else CLASS_COLORS["generalized"]
        look = {"color": color, "linestyle": line, "marker": MARKERS[what, level]}
        told = f"{percent(level)} {'memorized' if what == 'memorized' else 'as near as held-out images'}"
        _plot_onsets(ax, _main(grid, what, level), steps, 1 + 0.05 * (number - 1), look, told)
        for onset in _of_seeds(grid, what, level):
            if onset.step is not None:
                place = onset.train_size * (1 + 0.05 * (number - 1))
                ax.plot([place], [onset.step], ".", color=MUTED, markersize=3, label="_seed", zorder=4)
    label_k_axis(ax, sizes, width_of(width) - 0.7)
    ax.set_yscale("log")
    ax.set_ylim(steps[0] / 1.6, steps[-1] * 1.6)
    plain_log_axis(ax.yaxis)
    ax.set_yticks([float(step) for step in steps], [size(step) for step in steps])
    ax.set_ylabel("first step read")
    figure.legend(loc="outside upper left", ncols=3 if width == "wide" else 1, borderaxespad=0)
    return figure


def _shares(grid: GridResult, name: str) -> Float64[np.ndarray, "steps sizes"]:
    """Mean shares over seeds; NaN where one is not known."""
    others = grid.others(STEPS)[0]
    found = np.full((len(grid.config.over[STEPS]), len(grid.sizes)), np.nan)
    for row, step in enumerate(grid.config.over[STEPS]):
        cells = grid.at({field: {**others, STEPS: step}[field] for field in grid.config.over})
        for column, k in enumerate(grid.sizes):
            points = [cell.point(k) for cell in cells]
            shares = [getattr(p.fractions, name).value for p in points if p is not None and p.fractions]
            if shares and len(shares) == len(cells):
                found[row, column] = sum(shares) / len(shares)
    return found


def _main(grid: GridResult, what: str, level: float) -> list[Onset]:
    return [one for one in _at_first(grid, what, level) if one.seed is None]


def _of_seeds(grid: GridResult, what: str, level: float) -> list[Onset]:
    return [one for one in _at_first(grid, what, level) if one.seed is not None]


def _at_first(grid: GridResult, what: str, level: float) -> list[Onset]:
    """The onsets of a share with the first values of the other fields, by K."""
    others = grid.others(STEPS)[0]
    return [one for one in grid.onsets if (one.what, one.level, one.values) == (what, level, others)]


def _plot_border(ax: Axes, found: Sequence[Onset], steps: Sequence[int], line: str) -> None:
    """The lower edge of the rows from which on a level is reached; at the top where it is not."""
    heights = [float(len(steps)) if one.step is None else float(steps.index(one.step)) for one in found]
    edges = np.repeat(np.arange(len(found) + 1), 2)[1:-1]
    if any(one.step is not None for one in found):
        ax.plot(edges, np.repeat(heights, 2), line, color=INK, linewidth=1.3, label=f"_onset {label(line)}",
                clip_on=False)  # fmt: skip


def _plot_onsets(
    ax: Axes, found: Sequence[Onset], steps: Sequence[int], aside: float, look: dict[str, Any], told: str
) -> None:
    known = [one for one in found if one.step is not None]
    if known:
        places = [one.train_size * aside for one in known]
        ax.plot(
            places,
            [float(one.step or 0) for one in known],
            **look,
            markersize=4.5,
            linewidth=1.2,
            label=literal(told),
        )
    for one in found:
        place = one.train_size * aside
        if one.step is None:
            ax.plot(
                [place], [steps[-1] * 1.45], "^", color=look["color"], markersize=4, alpha=0.5, label="_no"
            )
        else:
            below = steps[0] / 1.6 if one.before is None else one.before
            ax.plot([place, place], [below, one.step], color=look["color"], linewidth=2.5, alpha=0.3,
                    label="_read before")  # fmt: skip

"""One field: the three shares against K for each of its values, and the capacities against it."""

__all__ = ["draw_field"]

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from spurion.grid.config import label
from spurion.grid.results import CAPACITIES, CellResult, GridResult
from spurion.phases.passage import Capacity
from spurion.report.figures.canvas import (
    CLASS_COLORS,
    CLASS_MARKERS,
    MUTED,
    WIDEN,
    Width,
    interval_bands,
    label_k_axis,
    literal,
    new_figure,
    plain_log_axis,
    share_axis,
    size_colors,
    width_of,
)
from spurion.statistics.intervals import Interval

MOST_LINES = 4
"""Combinations of other values whose capacities are drawn."""

LINES = ("-", "--", ":", "-.")
ASIDE = 0.12
"""How far single studies stand beside their mean, and from each other in all, in steps of the values."""


def draw_field(grid: GridResult, width: Width, *, field: str) -> Figure | None:
    """Shares above and capacities below, or beside in the narrow form, one column or row for each class.

    Arguments:
        grid: The grid.
        width: "wide" or "narrow".
        field: The field; empty for seeds alone, where no field varies.
    """
    if not grid.sizes:
        return None
    values: Sequence[Any] = grid.config.over[field] if field else ("",)
    wide = width == "wide"
    figure = new_figure(width, 4.6 if wide else 6.4)
    panels = figure.subplots(2, 3) if wide else figure.subplots(3, 2).T
    inches = width_of(width) / (3 if wide else 2) - 0.5
    for column, (name, kind) in enumerate(CAPACITIES.items()):
        upper, lower = panels[0][column], panels[1][column]
        _plot_shares(grid, upper, field, values, kind)
        share_axis(upper, "share of samples" if column == 0 or not wide else "")
        upper.set_title(kind)
        label_k_axis(upper, grid.sizes, inches, label=wide or column == 2)
        _plot_capacities(grid, lower, field, values, name)
        lower.set_title(f"{name} capacity" if wide else "capacity")
        lower.set_ylabel("K (images)" if column == 0 or not wide else "")
        if wide or column == 2:
            lower.set_xlabel(literal(field) if field else "all seeds")
    handles, names = panels[0][0].get_legend_handles_labels()
    if field:
        figure.legend(
            handles,
            names,
            title=literal(field),
            loc="outside upper left",
            ncols=min(len(names), 8 if wide else 4),
            fontsize=7.5,
            title_fontsize=7.5,
            alignment="left",
            borderaxespad=0,
        )
    return figure


def _plot_shares(grid: GridResult, ax: Axes, field: str, values: Sequence[Any], kind: str) -> None:
    others = grid.others(field)[0] if field else {}
    colors = [to_hex((color[0], color[1], color[2])) for color in size_colors(len(values))]
    for value, color in zip(values, colors, strict=True):
        combination = _combination(grid, others, field, value)
        setting, name = grid.setting(combination), literal(label(value)) if field else "mean"
        if setting is not None:
            sizes = [point.train_size for point in setting.points]
            means = [getattr(point, kind) for point in setting.points]
            interval_bands(ax, sizes, means, name, look="-", color=color, alpha=0.18)
        for cell in grid.at(combination):
            known = [(p.train_size, getattr(p.fractions, kind)) for p in cell.points if p.fractions]
            if setting is None:
                sizes, shares = [k for k, _ in known], [share for _, share in known]
                interval_bands(
                    ax, sizes, shares, name, look=f"{CLASS_MARKERS[kind]}-", color=color, alpha=0.18
                )
            else:
                _plot_study(ax, known, color)


def _plot_study(ax: Axes, known: Sequence[tuple[int, Interval]], color: str) -> None:
    """The shares of one study among several seeds."""
    if not known:
        return
    values = np.array([share.value for _, share in known])
    ends = np.array([[share.low, share.high] for _, share in known])
    reach = np.abs(ends - values[:, None]).T
    ax.errorbar(
        [k for k, _ in known],
        values,
        yerr=reach,
        fmt=".",
        markersize=2.5,
        elinewidth=0.5,
        alpha=0.6,
        color=color,
        label="_study",
    )


def _plot_capacities(grid: GridResult, ax: Axes, field: str, values: Sequence[Any], name: str) -> None:
    kind = CAPACITIES[name]
    color, marker = CLASS_COLORS[kind], CLASS_MARKERS[kind]
    low, high = grid.sizes[0] / WIDEN, grid.sizes[-1] * WIDEN
    rest = (grid.others(field) if field else ({},))[:MOST_LINES]
    for others, line in zip(rest, LINES, strict=False):
        places, means = [], []
        for place, value in enumerate(values):
            combination = _combination(grid, others, field, value)
            mean = _plot_mean(grid, ax, combination, name, place, color=color)
            cells = grid.at(combination)
            for number, cell in enumerate(cells):
                aside = (
                    ASIDE * (1 + number / max(1, len(cells) - 1)) if mean is not None or grid.several else 0
                )
                _plot_cell(ax, cell, name, place + aside, (low, high), small=grid.several)
            if mean is None and len(cells) == 1 and cells[0].capacities is not None:
                mean = getattr(cells[0].capacities, name).value
            if mean is not None:
                places.append(place)
                means.append(mean)
        told = ", ".join(f"{key}={label(value)}" for key, value in others.items())
        ax.plot(
            places, means, marker + line, color=color, markersize=5, label=literal(told or name), zorder=4
        )
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    plain_log_axis(ax.yaxis)
    ax.set_xlim(-0.5, len(values) - 0.5)
    shown = [literal(label(value))[:12] for value in values] if field else [""]
    tilted = max(map(len, shown)) * len(shown) > 24
    ax.set_xticks(range(len(values)), shown, rotation=40 if tilted else 0, ha="right" if tilted else "center")
    ax.grid(axis="x", visible=False)


def _plot_mean(
    grid: GridResult, ax: Axes, combination: dict[str, Any], name: str, place: float, *, color: str
) -> float | None:
    """The mean over seeds with its interval; its value, None where there is none."""
    setting = grid.setting(combination)
    spread = None if setting is None else setting.capacities[name]
    if spread is None or spread.value is None or spread.low is None or spread.high is None:
        return None
    ax.plot([place, place], [spread.low, spread.high], color=color, linewidth=3.5, alpha=0.35,
            solid_capstyle="butt", label="_between seeds")  # fmt: skip
    return spread.value


def _plot_cell(
    ax: Axes, cell: CellResult, name: str, place: float, edges: tuple[float, float], *, small: bool
) -> None:
    """One study: its capacity and interval; an open end runs to the edge and ends in an arrow."""
    if cell.capacities is None:
        return
    capacity: Capacity = getattr(cell.capacities, name)
    if capacity.value is None and capacity.low is None and capacity.high is None:
        return
    look: dict[str, Any] = {"color": MUTED if small else CLASS_COLORS[CAPACITIES[name]], "label": "_study"}
    ends = [edges[0] if capacity.low is None else capacity.low,
            edges[1] if capacity.high is None else capacity.high]  # fmt: skip
    ax.plot([place, place], ends, linewidth=0.9, **look)
    if small and capacity.value is not None:
        ax.plot([place], [capacity.value], ".", markersize=3.5, **look)
    for end, edge, arrow in ((capacity.low, edges[0], "v"), (capacity.high, edges[1], "^")):
        if end is None:
            ax.plot([place], [edge], arrow, markersize=4, clip_on=False, **look)


def _combination(grid: GridResult, others: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """A combination with its fields in the order of the grid."""
    found = {**others, field: value} if field else dict(others)
    if not field:
        return grid.config.combinations[0]
    return {name: found[name] for name in grid.config.over}

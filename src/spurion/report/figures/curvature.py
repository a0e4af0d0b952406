"""Curvature: the scan that chose the noise, spectra by class and training size, soft directions against K."""

__all__ = ["draw_directions", "draw_scan", "draw_spectra"]

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spurion.geometry.groups.results import GROUPS, GeometryResult, ScanResult
from spurion.report.figures.canvas import (
    INK,
    MUTED,
    Width,
    new_figure,
    panels,
    plain_log_axis,
    size_colors,
)
from spurion.report.figures.readings import Strips, over_sizes, plot_medians
from spurion.report.run import Run
from spurion.statistics.numbers import size, value
from spurion.studies.geometry.curves import Curve, curve, is_number, measured

PURPLE, TEAL = "#6a3d7c", "#56B4E9"
DIRECTIONS = ("soft-directions", "intrinsic-dimension")
SHOWN = (*GROUPS[:4],)
"""Groups whose spectra are drawn: held-out images lie off what was learned and would set the scale."""


def draw_scan(run: Run, width: Width) -> Figure | None:
    """Separation, soft directions, and dimension of training points over the noise; the chosen one marked."""
    scan = run.curvature
    if scan is None:
        return None
    wide = width == "wide"
    figure = new_figure(width, 2.5 if wide else 4.4)
    first, second = figure.subplots(1 if wide else 2, 2 if wide else 1, squeeze=False).ravel()
    _mean(first, scan, "separation", "o-", PURPLE)
    first.set_ylabel("separation (0 to 0.25)")
    first.set_title("soft from stiff")
    first.set_ylim(bottom=0)
    _mean(second, scan, "soft_directions", "o-", INK)
    _mean(second, scan, "intrinsic_dimension", "^--", MUTED)
    second.set_ylabel("directions, dimensions")
    second.set_title("what is read at that noise")
    second.legend(fontsize=7)
    for ax in (first, second):
        _mark_choice(ax, scan, written=ax is first)
    return figure


def draw_spectra(run: Run, width: Width) -> Figure | None:
    """Median stiffness by rank, with its interval, for each class and training images; a curve for each K."""
    found = measured(run.compared)
    names = [name for name in SHOWN if any(geometry.spectra.get(name) for _, geometry in found)]
    if not names:
        return None
    figure, axes = panels(len(names), width, across=4, height=2.1)
    colors = dict(zip([k for k, _ in found], size_colors(len(found)), strict=True))
    for ax, name in zip(axes, names, strict=True):
        for k, geometry in found:
            ranks = geometry.spectra.get(name)
            if ranks:
                places = np.linspace(1, geometry.dim, len(ranks))
                ax.plot(places, ranks, color=colors[k], linewidth=1, label=size(k))
                if below := geometry.spectra_low.get(name):
                    above = geometry.spectra_high[name]
                    ax.fill_between(places, below, above, color=colors[k], alpha=0.25, linewidth=0)
        for level in (0, 1):
            ax.axhline(level, color="#c9c3b6", linewidth=0.7, zorder=1, label=f"_{level}")
        ax.set_title(name if name != "training" else "training images", fontsize=8)
    low, high = _span(found, names)
    for ax in axes:
        ax.set_ylim(low, high)
    figure.supxlabel("rank of the direction, softest first", fontsize=8, color=INK)
    figure.supylabel("stiffness (0 soft, 1 stiff)", fontsize=8, color=INK)
    _legend_of_sizes(figure, axes, width)
    return figure


def draw_directions(run: Run, width: Width) -> Figure | None:
    """Medians of the number of soft directions and of the dimension against K, with intervals."""
    curves = [found for found in (curve(run.compared, name) for name in DIRECTIONS) if found]
    if not curves:
        return None
    return over_sizes(curves, width, _plot_directions, wide=2.9, narrow=2.4)


def _plot_directions(ax: Axes, found: Curve) -> None:
    plot_medians(ax, found, _without_held_out(found))


def _without_held_out(found: Curve) -> Strips:
    """An axis for all groups but the held-out images, whose dimension may exceed every other by far."""
    readings = [reading for name in SHOWN for _, reading in found.group(name)]
    return Strips.around([end for r in readings for end in (r.value, r.low, r.high)] or [0.0])


def _mark_choice(ax: Axes, scan: ScanResult, *, written: bool) -> None:
    ax.axvline(scan.chosen_noise, color=INK, linewidth=1.1, linestyle=(0, (4, 2)), label="_chosen")
    ax.set_xscale("log")
    plain_log_axis(ax.xaxis)
    ax.set_xlabel(r"noise $\sigma_t / \alpha_t$")
    if written:
        ax.annotate(
            f"read at {value(scan.chosen_noise)}",
            (scan.chosen_noise, 0),
            xycoords=("data", "axes fraction"),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=7.5,
            color=MUTED,
        )


def _mean(ax: Axes, scan: ScanResult, field: str, line: str, color: str) -> None:
    """One field of the scan over the noise, with its interval as a band where that is stored."""
    name, stored = field.replace("_", " "), scan.model_dump()
    ax.plot(scan.noise, _column(stored[field]), line, color=color, label=name)
    if stored[f"{field}_low"]:
        ends = _column(stored[f"{field}_low"]), _column(stored[f"{field}_high"])
        ax.fill_between(scan.noise, *ends, color=color, alpha=0.25, linewidth=0, label=f"_{name} interval")


def _column(numbers: Sequence[float | None]) -> list[float]:
    return [number if number is not None else np.nan for number in numbers]


def _span(found: Sequence[tuple[int, GeometryResult]], names: Sequence[str]) -> tuple[float, float]:
    """Limits of stiffness: all of what is drawn, and 0 and 1 in any case."""
    values = [number for _, geometry in found for name in names for number in geometry.spectra.get(name, ())]
    known = [number for number in values if is_number(number)]
    return min(-0.05, *known) - 0.03, max(1.05, *known) + 0.03


def _legend_of_sizes(figure: Figure, axes: Sequence[Axes], width: Width) -> None:
    entries = {}
    for ax in axes:
        entries.update(dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True)))
    order = sorted(entries, key=lambda text: int(text.replace(",", "")))
    figure.legend(
        [entries[text] for text in order],
        order,
        title="K",
        loc="outside upper left",
        ncols=12 if width == "wide" else 6,
        fontsize=7,
        title_fontsize=7.5,
        columnspacing=1,
        handlelength=1.3,
    )

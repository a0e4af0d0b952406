"""How much noise the states of each class survive, and the volume of their basins (Pham et al., Fig. 4B)."""

__all__ = ["draw_basins"]

from statistics import median

from matplotlib.figure import Figure

from spurion.report.figures.canvas import (
    Width,
    label_k_axis,
    legend_above,
    new_figure,
    width_of,
)
from spurion.report.figures.readings import REFERENCES, Strips, mark_level, plot_classes, plot_references
from spurion.report.geometry.view import Curve, curve, measured, title, trivial_noise
from spurion.report.run import Run

PANELS = {"critical-noise": True, "log-volume": False}
"""The measures drawn, and whether on a log scale."""


def draw_basins(run: Run, width: Width) -> Figure | None:
    """Medians of critical noise and log-volume against K, with intervals; "never" and "always" in strips."""
    curves = [found for found in (curve(run, name) for name in PANELS) if found]
    if not curves:
        return None
    wide = width == "wide"
    figure = new_figure(width, 3.2 if wide else 2.7 * len(curves) + 0.4)
    grid = figure.subplots(1 if wide else len(curves), len(curves) if wide else 1, squeeze=False).ravel()
    everything = sorted({k for found in curves for k, _ in found.points})
    for ax, found in zip(grid, curves, strict=True):
        level = _trivial(run) if found.name == "critical-noise" else None
        strips = _strips(found, level)
        plot_references(ax, {name: found.group(name) for name in REFERENCES}, strips)
        plot_classes(ax, found, strips)
        strips.apply(ax)
        if level is not None:
            mark_level(ax, level, "within the tolerance as it is")
        ax.set_ylabel(found.unit.replace("sigma_t", r"$\sigma_t$"))
        ax.set_title(title(found.name))
        label_k_axis(ax, everything, width_of(width) / (len(curves) if wide else 1) - 0.6)
    legend_above(figure, max(grid, key=lambda ax: len(ax.get_legend_handles_labels()[1])), 5 if wide else 3)
    return figure


def _strips(found: Curve, level: float | None) -> Strips:
    names = dict.fromkeys(name for _, result in found.points for name in result.groups)
    readings = [reading for name in names for _, reading in found.group(name)]
    ends = [end for reading in readings for end in (reading.value, reading.low, reading.high)]
    return Strips.around([*ends, level], log=PANELS[found.name])


def _trivial(run: Run) -> float | None:
    """The noise below which nothing needs to be denoised, where the distance lets one say so."""
    levels = [
        trivial_noise(point.result.geometry)
        for point in run.done
        if point.result.geometry and point.result.distance.name == "l2"
    ]
    known = [level for level in levels if level is not None]
    return median(known) if known and len(measured(run)) == len(known) else None

"""How much noise the states of each class survive, and the volume of their basins (Pham et al., Fig. 4B)."""

__all__ = ["draw_basins"]

from functools import partial
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spurion.report.figures.canvas import Width
from spurion.report.figures.readings import Strips, mark_level, over_sizes, plot_medians
from spurion.report.run import Run
from spurion.studies.geometry.curves import Curve, curve, measured, trivial_noise

PANELS = {"critical-noise": True, "log-volume": False}
"""The measures drawn, and whether on a log scale."""


def draw_basins(run: Run, width: Width) -> Figure | None:
    """Medians of critical noise and log-volume against K, with intervals; "never" and "always" in strips."""
    curves = [found for found in (curve(run.compared, name) for name in PANELS) if found]
    if not curves:
        return None
    return over_sizes(curves, width, partial(_plot, _trivial(run)), wide=3.2, narrow=2.7)


def _plot(level: float | None, ax: Axes, found: Curve) -> None:
    shown = level if found.name == "critical-noise" else None
    plot_medians(ax, found, _strips(found, shown))
    if shown is not None:
        mark_level(ax, shown, "tolerance")


def _strips(found: Curve, level: float | None) -> Strips:
    names = dict.fromkeys(name for _, result in found.points for name in result.groups)
    readings = [reading for name in names for _, reading in found.group(name)]
    ends = [end for reading in readings for end in (reading.value, reading.low, reading.high)]
    return Strips.around([*ends, level], log=PANELS[found.name])


def _trivial(run: Run) -> float | None:
    """The noise below which nothing needs to be denoised, where the distance lets one say so."""
    levels = [
        trivial_noise(point.audit.geometry)
        for point in run.done
        if point.audit.geometry and point.audit.distance.name == "l2"
    ]
    known = [level for level in levels if level is not None]
    return median(known) if known and len(measured(run.compared)) == len(known) else None

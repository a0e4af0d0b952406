"""How much noise the states of each class survive, and the volume of their basins (Pham et al., Fig. 4B)."""

__all__ = ["draw_basins"]

from functools import partial
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spurion.geometry.critical import CriticalNoise
from spurion.report.figures.canvas import Width
from spurion.report.figures.readings import mark_level, over_sizes, plot_medians, strips
from spurion.report.run import Run
from spurion.studies.geometry.curves import Curve, drawn, trivial_noise


def draw_basins(run: Run, width: Width) -> Figure | None:
    """Medians of critical noise and log-volume against K, with intervals; "never" and "always" in strips."""
    curves = drawn(run.geometries, "basins")
    if not curves:
        return None
    return over_sizes(curves, width, partial(_plot, _trivial(run)), wide=3.2, narrow=2.7)


def _plot(level: float | None, ax: Axes, found: Curve) -> None:
    shown = level if found.unit == CriticalNoise.unit else None
    plot_medians(ax, found, strips(found, shown))
    if shown is not None:
        mark_level(ax, shown, "tolerance")


def _trivial(run: Run) -> float | None:
    """The noise below which nothing needs to be denoised, where the distance lets one say so."""
    levels = [
        trivial_noise(point.audit.geometry)
        for point in run.done
        if point.audit.geometry and point.audit.distance.name == "l2"
    ]
    known = [level for level in levels if level is not None]
    return median(known) if known and len(run.geometries) == len(known) else None

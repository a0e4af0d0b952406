"""Measures that belong to no other figure, against training-set size."""

__all__ = ["draw_others"]

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spurion.report.figures.canvas import Width
from spurion.report.figures.readings import over_sizes, plot_medians, strips
from spurion.report.run import Run
from spurion.studies.geometry.curves import Curve, drawn


def draw_others(run: Run, width: Width) -> Figure | None:
    """Medians against K, with intervals; "never" and "always" in strips."""
    curves = drawn(run.geometries, "others")
    return over_sizes(curves, width, _plot, wide=2.9, narrow=2.4) if curves else None


def _plot(ax: Axes, found: Curve) -> None:
    plot_medians(ax, found, strips(found))

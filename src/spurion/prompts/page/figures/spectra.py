"""Spectra of the score Jacobian by label: the paper's Fig. 5B."""

__all__ = ["draw_spectra"]

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spurion.geometry.groups.results import GeometryResult
from spurion.phases.classification import CLASSES
from spurion.prompts.page.stored import PromptsRun
from spurion.report.figures.canvas import CLASS_COLORS, Width, new_figure

LEFT_OUT = 50
"""The largest singular values that the paper leaves out of its figure."""

MANY = 1000
"""Coordinates from which they are left out here too."""


def draw_spectra(run: PromptsRun, width: Width) -> Figure | None:
    """Stiffness by rank, and singular values where there are any."""
    geometry, singular = run.result.geometry, run.result.singular
    if geometry is None or not any(geometry.spectra.values()):
        return None
    both, wide = bool(singular), width == "wide"
    rows, columns = (1, 2) if both and wide else (2, 1) if both else (1, 1)
    figure = new_figure(width, 2.9 * rows + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    _stiffness(axes[0], geometry)
    if both:
        _singular(axes[1], singular, geometry.dim)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3)
    return figure


def _stiffness(ax: Axes, geometry: GeometryResult) -> None:
    for name in CLASSES:
        medians = geometry.spectra.get(name)
        if not medians:
            continue
        place = np.linspace(0, 1, len(medians))
        ax.plot(place, medians, color=CLASS_COLORS[name], label=name)
        low, high = geometry.spectra_low.get(name), geometry.spectra_high.get(name)
        if low and high:
            ax.fill_between(place, low, high, color=CLASS_COLORS[name], alpha=0.18, linewidth=0)
    ax.set_xlabel("share of directions, softest first")
    ax.set_ylabel("stiffness")
    ax.set_title("stiffness of all directions")


def _singular(ax: Axes, singular: dict[str, tuple[float, ...]], dim: int) -> None:
    first = LEFT_OUT if dim >= MANY else 0
    for name in CLASSES:
        if values := singular.get(name):
            ax.plot(range(first + 1, len(values) + 1), values[first:], color=CLASS_COLORS[name], label=name)
    ax.set_xlabel(f"rank{f', the first {first} left out' if first else ''}")
    ax.set_ylabel("singular value")
    ax.set_title("Algorithm 3")

"""The figures of a study of the circle, by name; a new one is one function and one line."""

__all__ = ["CIRCLE_FIGURES"]

from collections.abc import Callable

from matplotlib.figure import Figure

from spurion.circle.page.figures.curves import draw_minima, draw_phases
from spurion.circle.page.figures.landscapes import draw_landscapes
from spurion.circle.page.figures.trained import draw_agreement, draw_samples, draw_trained
from spurion.circle.page.stored import CircleRun
from spurion.report.figures.canvas import Width

CIRCLE_FIGURES: dict[str, Callable[[CircleRun, Width], Figure | None]] = {
    "landscapes": draw_landscapes,
    "phases": draw_phases,
    "minima": draw_minima,
    "trained": draw_trained,
    "agreement": draw_agreement,
    "samples": draw_samples,
}

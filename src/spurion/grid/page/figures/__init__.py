"""The figures of a grid: one for each field, and two for the training time."""

__all__ = ["ONSETS", "TRAINING_TIME", "figure_name", "figures_of"]

import re
from collections.abc import Callable
from functools import partial

from matplotlib.figure import Figure

from spurion.grid.config import STEPS
from spurion.grid.page.figures.field import draw_field
from spurion.grid.page.figures.training_time import draw_onsets, draw_training_time
from spurion.grid.results import GridResult
from spurion.report.figures.canvas import Width

TRAINING_TIME, ONSETS = "training_time", "onsets"


def figure_name(field: str) -> str:
    """The name of the figure of a field, or of the seeds alone.

    Example:
        >>> figure_name("denoiser.width"), figure_name("")
        ('over_denoiser_width', 'over_seeds')
    """
    return f"over_{re.sub(r'[^A-Za-z0-9]+', '_', field) or 'seeds'}"


def figures_of(grid: GridResult) -> dict[str, Callable[[GridResult, Width], Figure | None]]:
    """How to draw every figure of a grid, by name."""
    fields = [field for field, values in grid.config.over.items() if len(values) > 1]
    drawn: dict[str, Callable[[GridResult, Width], Figure | None]] = {
        figure_name(field): partial(draw_field, field=field) for field in fields
    }
    if not fields:
        drawn[figure_name("")] = partial(draw_field, field="")
    if STEPS in grid.config.over:
        drawn |= {TRAINING_TIME: draw_training_time, ONSETS: draw_onsets}
    return drawn

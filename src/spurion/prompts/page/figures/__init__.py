"""The figures of an examination of prompts, by name; a new one is one function and one line."""

__all__ = ["PROMPT_FIGURES"]

from collections.abc import Callable

from matplotlib.figure import Figure

from spurion.prompts.page.figures.readings import draw_copies, draw_readings, draw_roc
from spurion.prompts.page.figures.spectra import draw_spectra
from spurion.prompts.page.stored import PromptsRun
from spurion.report.figures.canvas import Width

PROMPT_FIGURES: dict[str, Callable[[PromptsRun, Width], Figure | None]] = {
    "roc": draw_roc,
    "readings": draw_readings,
    "copies": draw_copies,
    "spectra": draw_spectra,
}

"""The page of a study of the circle."""

__all__ = ["circle_page", "render_circle"]

from importlib.resources import files
from pathlib import Path

from spurion.circle.page.figures import CIRCLE_FIGURES
from spurion.circle.page.overview import circle_overview
from spurion.circle.page.sections import CIRCLE_SECTIONS
from spurion.circle.page.stored import CircleRun, read_circle
from spurion.report.figures import Plate, draw_figures
from spurion.report.html import Page, render_page

SUBTITLE = (
    "Patterns on a circle: the energy in which memories, spurious states and the continuum can all be "
    "written down, and what networks learn of it."
)
SYMBOLS = {
    "memory": "memorized",
    "memories": "memorized",
    "spurious": "spurious",
    "continuum": "generalized",
}
"""CSS classes of the words that have a color."""


def circle_page(folder: Path) -> str:
    """Draw the figures of a run folder and make its page."""
    run = read_circle(folder)
    return render_circle(run, draw_figures(run, folder / "figures", CIRCLE_FIGURES))


def render_circle(run: CircleRun, plates: dict[str, Plate]) -> str:
    """Make the page of a run with its figures."""
    return render_page(
        Page(
            name=run.study.name,
            subtitle=SUBTITLE,
            overview=circle_overview(run),
            sections=[section for section in (make(run) for make in CIRCLE_SECTIONS) if section is not None],
            plates=plates,
            own_style=files("spurion.circle.page").joinpath("page.css").read_text(encoding="utf-8"),
            script="",
            symbols=SYMBOLS,
        )
    )

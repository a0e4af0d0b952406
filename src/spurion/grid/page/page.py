"""The page itself."""

__all__ = ["grid_page", "read_grid", "render_grid"]

from pathlib import Path

from spurion.core.store import Store
from spurion.grid.page.figures import figures_of
from spurion.grid.page.overview import grid_overview
from spurion.grid.page.sections import sections_of
from spurion.grid.results import GridResult
from spurion.report.figures import Plate, draw_figures
from spurion.report.html import Page, render_page
from spurion.report.run import REMEDY
from spurion.report.stored import read_stored

SUBTITLE = (
    "How the passage from memorization to generalization moves: one study for every value and every seed."
)


def read_grid(folder: Path) -> GridResult:
    """Read the result of a grid from its run folder.

    Raises:
        ValueError: If it is missing or damaged; the sentence names it.
    """
    grid = read_stored(GridResult, folder / "study.json", "a run")
    Store(folder, "study").check(REMEDY)
    return grid


def grid_page(folder: Path) -> str:
    """Draw the figures of a run folder and make its page.

    Raises:
        ValueError: If its result is missing or damaged; the sentence names it.
        OSError: If the folder cannot be written.
    """
    grid = read_grid(folder)
    return render_grid(grid, draw_figures(grid, folder / "figures", figures_of(grid)))


def render_grid(grid: GridResult, plates: dict[str, Plate]) -> str:
    """Make the page of a grid with its figures."""
    return render_page(
        Page(
            name=grid.name,
            subtitle=SUBTITLE,
            overview=grid_overview(grid),
            sections=sections_of(grid),
            plates=plates,
            script="",
        )
    )

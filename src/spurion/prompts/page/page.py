"""The page itself."""

__all__ = ["prompts_page"]

from importlib.resources import files
from pathlib import Path

from spurion.prompts.page.figures import PROMPT_FIGURES
from spurion.prompts.page.overview import prompts_overview
from spurion.prompts.page.sections import PROMPT_SECTIONS
from spurion.prompts.page.stored import PromptsRun, read_prompts
from spurion.report.figures import Plate, draw_figures
from spurion.report.html import Page, render_page

SUBTITLE = "Which prompts a text-to-image model knows by heart, and what tells so without its training set."


def prompts_page(folder: Path) -> str:
    """Draw the figures of a folder and make its page.

    Raises:
        ValueError: If a file is missing or damaged; the sentence names it.
        OSError: If the folder cannot be written.
    """
    run = read_prompts(folder)
    return render_prompts(run, draw_figures(run, folder / "figures", PROMPT_FIGURES))


def render_prompts(run: PromptsRun, plates: dict[str, Plate]) -> str:
    """Make the page of a run with its figures."""
    result = run.result
    return render_page(
        Page(
            name=result.name if result.kind == "study" else f"Prompts of {result.model}",
            subtitle=SUBTITLE,
            overview=prompts_overview(run),
            sections=[section for section in (make(run) for make in PROMPT_SECTIONS) if section is not None],
            plates=plates,
            own_style=files("spurion.prompts.page").joinpath("page.css").read_text(encoding="utf-8"),
            script="",
            kind=result.kind,
        )
    )

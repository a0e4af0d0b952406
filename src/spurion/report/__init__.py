"""Figures and one self-contained HTML page from the stored results of a run; no model is touched."""

__all__ = ["write_report"]

from pathlib import Path

from spurion.core.files import write_text
from spurion.report.figures import draw_figures
from spurion.report.html import render
from spurion.report.run import read_run


def write_report(folder: Path | str) -> Path:
    """Rebuild the figures and the page of a run folder.

    The same folder gives the same bytes, whenever it is built.

    Arguments:
        folder: A run folder: `study.json`, and under `points/` for each done point `samples.csv`,
            `gallery.npz`, and, for a trained model, `training.jsonl`. Gets `figures/*.png`, `figures/*.pdf`,
            and `report.html`.

    Returns:
        The path of `report.html`.

    Raises:
        ValueError: If a file is missing or damaged; the sentence names it.
        OSError: If the folder cannot be written.
    """
    folder = Path(folder)
    run = read_run(folder)
    plates = draw_figures(run, folder / "figures")
    page = folder / "report.html"
    write_text(page, render(run, plates))
    return page

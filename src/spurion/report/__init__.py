"""Figures and one self-contained HTML page from the stored results of a run; no model is touched."""

__all__ = ["write_report"]

from pathlib import Path

from spurion.core.arguments import PATH, check_arguments
from spurion.core.files import read_json, write_text
from spurion.report.audit.page import audit_page
from spurion.report.circle.page import circle_page
from spurion.report.figures import FIGURES, draw_figures
from spurion.report.html import render
from spurion.report.run import read_run


def write_report(folder: Path | str) -> Path:
    """Rebuild the figures and the page of a run folder or of an audit.

    The same folder gives the same bytes, whenever it is built.

    Arguments:
        folder: The folder of an audit: `audit.json`, and unless it is redacted `samples.csv` and
            `gallery.npz`. Or a run folder: `study.json`, and for a study of images under `points/` for each
            done point `samples.csv`, `gallery.npz`, and, for a trained model, `training.jsonl`; for the
            circle `landscapes/` and `trained/`. Gets `figures/*.png`, `figures/*.pdf`, and `report.html`.

    Returns:
        The path of `report.html`.

    Raises:
        ValueError: If a file is missing or damaged; the sentence names it.
        OSError: If the folder cannot be written.
    """
    check_arguments(locals(), {"folder": PATH})
    folder = Path(folder)
    if (folder / "audit.json").is_file():
        text = audit_page(folder)
    elif _is_circle(folder):
        text = circle_page(folder)
    else:
        run = read_run(folder)
        text = render(run, draw_figures(run, folder / "figures", FIGURES))
    page = folder / "report.html"
    write_text(page, text)
    return page


def _is_circle(folder: Path) -> bool:
    """Whether a run folder, if there is one, is that of a study of the circle."""
    path = folder / "study.json"
    values = read_json(path) if path.is_file() else None
    return isinstance(values, dict) and str(values.get("schema", "")).startswith("spurion.circle/")

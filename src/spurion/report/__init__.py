"""Figures and one self-contained HTML page from the stored results of a run; no model is touched."""

__all__ = ["write_report"]

from pathlib import Path

from spurion.core.arguments import PATH, check_arguments
from spurion.core.files import write_text
from spurion.report.figures import FIGURES, draw_figures
from spurion.report.figures.canvas import Width
from spurion.report.html import render, sections_of
from spurion.report.run import Run, read_run
from spurion.studies.kinds import STORED, kind_stored


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
    _check_folder(folder)
    kind = None if (folder / "audit.json").is_file() else kind_stored(folder)
    if kind is not None:
        text = kind.page(folder)
    else:
        run = read_run(folder)
        placed = {drawing.name for section in sections_of(run) for drawing in section.drawings}
        drawn = {name: draw if name in placed else _nothing for name, draw in FIGURES.items()}
        text = render(run, draw_figures(run, folder / "figures", drawn))
    page = folder / "report.html"
    write_text(page, text)
    return page


def _nothing(run: Run, width: Width) -> None:
    """Draw no figure where no section has a place for it."""


def _check_folder(folder: Path) -> None:
    if not folder.exists():
        raise ValueError(f"There is no file or folder {folder}.")
    if not folder.is_dir():
        raise ValueError(f"`folder` must be the folder of a study or of an audit; {folder} is a file.")
    if not any((folder / name).exists() for name in ("audit.json", *STORED)):
        if (folder / "config.yaml").exists():
            raise ValueError(f"The study in {folder} is not finished; the same study again goes on with it.")
        raise ValueError(
            f"`folder` must be that of a study or of an audit; {folder} has no study.json and no audit.json."
        )

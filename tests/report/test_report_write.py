"""Files of a report: there, whole, the same every time."""

import pytest

from report.synthetic import Recipe, write_run
from spurion.report import figures, write_report
from spurion.report.figures import FIGURES, draw_figures
from spurion.report.html import render
from spurion.report.run import read_run

LIMIT = 5_000_000
OF_A_STUDY = [name for name in FIGURES if name != "distances"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A run folder with its report."""
    folder = tmp_path_factory.mktemp("written")
    write_run(folder, Recipe(sizes=(16, 128), samples=200, gallery=6, geometry=True))
    assert write_report(folder) == folder / "report.html"
    return folder


def test_every_figure_is_there_as_png_and_pdf(written):
    made = {path.name: path.read_bytes() for path in (written / "figures").iterdir()}
    assert set(made) == {f"{name}.{kind}" for name in OF_A_STUDY for kind in ("png", "pdf")}
    for name, content in made.items():
        if name.endswith("png"):
            assert content.startswith(b"\x89PNG")
            assert int.from_bytes(content[16:20], "big") == 1440
        else:
            assert content.startswith(b"%PDF")
            assert b"CreationDate" not in content


def test_the_page_holds_the_figures_and_stays_small(written):
    page = (written / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/svg+xml;base64,") == 2 * len(OF_A_STUDY)
    assert len(page) < 0.55 * LIMIT


def test_the_same_run_gives_the_same_bytes(written, tmp_path, monkeypatch):
    """Every way of drawing once more: lines, images, and panels with mathematics."""
    run = read_run(written)
    some = {name: FIGURES[name] for name in ("transition", "examples", "histograms")}
    monkeypatch.setattr(figures, "FIGURES", some)
    plates = draw_figures(run, tmp_path, FIGURES)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (written / "figures" / path.name).read_bytes(), path.name
    page = (written / "report.html").read_text(encoding="utf-8")
    for plate in plates.values():
        assert plate.wide.uri in page
        assert plate.narrow.uri in page
    assert render(run, plates) == render(run, plates)


def test_old_figures_without_data_go(tmp_path):
    write_run(tmp_path, Recipe(sizes=(2,), samples=30, failed=(2,), changes={"capacities": None}))
    (tmp_path / "figures").mkdir()
    for name in ("transition.png", "transition.pdf", "mine.png"):
        (tmp_path / "figures" / name).write_bytes(b"old")
    write_report(tmp_path)
    kept = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert kept == ["mine.png", "training.pdf", "training.png"]


def test_a_damaged_run_leaves_the_old_report(tmp_path):
    write_run(tmp_path, Recipe(sizes=(16,), samples=30))
    (tmp_path / "report.html").write_text("old")
    (tmp_path / "points/000016/samples.csv").unlink()
    with pytest.raises(ValueError, match=r"samples\.csv"):
        write_report(tmp_path)
    assert (tmp_path / "report.html").read_text() == "old"
    assert not (tmp_path / "figures").exists()

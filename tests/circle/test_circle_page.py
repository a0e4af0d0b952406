"""The page of the circle: whole, equal to the stored numbers, and in need of nothing else."""

import base64
import hashlib
import json
import re
import shutil

import numpy as np
import pytest

import spurion
from circle_study import SMALL
from report.test_report_page import Reader
from spurion.circle.page.answer import answer
from spurion.circle.page.figures import CIRCLE_FIGURES
from spurion.circle.page.figures.curves import _staircase
from spurion.circle.page.figures.landscapes import spread
from spurion.circle.page.page import render_circle
from spurion.circle.page.stored import read_circle
from spurion.circle.results import Branches, MergePoint
from spurion.report import write_report
from spurion.report.figures import Picture, Plate, draw_figures
from spurion.report.figures.canvas import figure_style

SECTION_IDS = [
    "studied", "answer", "landscapes", "minima", "phases", "numbers", "trained", "samples", "limits",
    "provenance",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("circle")
    spurion.study("circle", out=path, overrides=SMALL, workers=1)
    return path


@pytest.fixture(scope="module")
def circle(folder):
    return read_circle(folder)


@pytest.fixture(scope="module")
def circle_html(circle):
    dot = Picture("data:image/svg+xml;base64,PHN2Zy8+", 96, 48)
    return render_circle(circle, dict.fromkeys(CIRCLE_FIGURES, Plate(dot, dot)))


def changed(circle, **values):
    """The run with other stored values."""
    study = circle.study.model_copy(update=values)
    return type(circle)(study, circle.landscapes, circle.trained)


def test_all_sections_and_figures_are_there(circle_html):
    reader = Reader(circle_html)
    assert [values["id"] for tag, values in reader.tags if tag == "section"] == SECTION_IDS
    pictures = [values for tag, values in reader.tags if tag == "img"]
    assert len(pictures) == len(CIRCLE_FIGURES)
    assert all(picture["alt"] for picture in pictures)


def test_nothing_comes_from_elsewhere_and_no_script_runs(circle_html):
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', circle_html)[1]
    style = re.search(r"<style>(.*?)</style>", circle_html, re.DOTALL)[1]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy
    assert ".definitions .continuum" in style
    assert "default-src 'none'" in policy.replace("&#39;", "'")
    reader = Reader(circle_html)
    assert not [v for tag, v in reader.tags for name in v if name.startswith("on") or name == "style"]
    assert not re.search(r'(?:src|href|srcset)="(?!data:|#)', circle_html)
    assert re.findall(r"<script>(.*?)</script>", circle_html, re.DOTALL) in ([], [""])


def test_tables_equal_the_stored_numbers(circle, circle_html):
    tables = Reader(circle_html).tables
    minima = [m for state in circle.study.table for m in state.minima]
    rows = [row for row in tables["minima"] if row[0] is not None]
    assert [row[6] for row in rows] == pytest.approx([m.energy for m in minima])
    assert [row[8] for row in rows] == [m.barrier for m in minima]
    phases = [row for row in tables["phases"] if row[0] is not None]
    assert [row[2:5] for row in phases] == [
        [p.memory.value, p.spurious.value, p.continuum.value] for p in circle.study.phases
    ]
    network = circle.study.trained[0]
    row = next(row for row in tables["trained"] if row[0] == 2)
    assert row[7] == network.comparisons[0].correlation
    assert row[11] == network.comparisons[1].hausdorff
    clusters = [row for row in tables["samples"] if row[0] is not None]
    assert sum(row[2] for row in clusters) == 30


def test_classes_have_their_colors(circle_html):
    assert '<b class="memorized">memories</b>' in circle_html
    assert '<b class="generalized">continuum</b>' in circle_html


def test_the_answer_is_made_from_the_numbers(circle):
    sentences = answer(circle)
    assert sentences[0] == (
        "With the exact energy at t = 0.15, 2 patterns make 2 minima, all of them memories and 9 patterns "
        "make 3 minima, none of them a memory."
    )
    last = circle.study.phases[-1].continuum
    assert f"at β = 5: memories hold {round(100 * circle.study.phases[0].memory.value)}%" in sentences[1]
    assert last.value <= 1
    assert "1.54 √β says 4.87" in sentences[2]
    found = circle.study.trained[0].comparisons[0]
    assert f"by at least {found.correlation:.3f}" in sentences[3]
    assert "for the paper network at K = 2." in sentences[3]
    assert "zero noise" in sentences[-1]


def test_an_answer_without_data_says_only_what_holds(circle):
    bare = changed(circle, table=(), phases=(), laws=(), sweep=(), branches=(), trained=())
    bare = type(circle)(bare.study, (), ())
    assert len(answer(bare)) == 1
    page = render_circle(bare, {})
    ids = [values["id"] for tag, values in Reader(page).tags if tag == "section"]
    assert ids == ["studied", "answer", "limits", "provenance"]
    for draw in CIRCLE_FIGURES.values():
        assert draw(bare, "wide") is None


def test_single_minima_are_worded(circle):
    one = circle.study.table[0].model_copy(update={"count": 1, "minima": circle.study.table[0].minima[:1]})
    assert "1 pattern make one minimum" not in answer(changed(circle, table=(one,)))[0]
    assert "1 pattern makes one minimum, a memory" in answer(changed(circle, table=(one,)))[0]
    spurious = one.minima[0].model_copy(update={"kind": "spurious"})
    merged = one.model_copy(update={"count": 2, "minima": (spurious,)})
    assert "2 patterns make one minimum, no memory" in answer(changed(circle, table=(merged,)))[0]
    mixed = one.model_copy(update={"count": 2, "minima": (spurious, one.minima[0])})
    assert "2 patterns make 2 minima, 1 of them memories" in answer(changed(circle, table=(mixed,)))[0]


def test_a_failed_network_is_named(circle):
    failed = circle.study.trained[0].model_copy(update={"status": "failed", "message": "boom <b>"})
    run = changed(circle, trained=(failed,), notes=("K = 2, paper failed: boom <b>",))
    page = render_circle(type(circle)(run.study, run.landscapes, ()), {})
    assert "failed: boom &lt;b&gt;" in page
    assert "boom <b>" not in page


def test_figures_show_the_numbers(circle):
    with figure_style():
        phases = CIRCLE_FIGURES["phases"](circle, "wide")
        lines = {line.get_label(): line for line in phases.axes[0].lines}
        for kind in ("memory", "spurious", "continuum"):
            drawn = [getattr(point, kind).value for point in circle.study.phases]
            assert lines[kind].get_ydata().tolist() == drawn
        assert lines["_law"].get_xdata()[0] == pytest.approx(np.pi * np.log(2) * np.sqrt(5 / 2))
        agreement = CIRCLE_FIGURES["agreement"](circle, "narrow").axes[0]
        learned = next(line for line in agreement.lines if line.get_label() == "paper")
        grids = circle.trained[0]
        assert learned.get_ydata() == pytest.approx(grids.learned.ravel() - grids.patterns.min())


def test_steps_are_at_the_merge_points():
    merges = (MergePoint(beta=5.0, x=0, y=0), MergePoint(beta=2.0, x=0, y=0))
    whole = Branches(count=3, betas=(10.0, 3.0, 1.0), minima=(3, 2, 1), merges=merges)
    assert _staircase(whole) == ([1.0, 2.0, 5.0, 10.0], [1, 2, 3, 3])
    partly = whole.model_copy(update={"merges": merges[:1]})
    assert _staircase(partly) == ([1.0, 3.0, 10.0], [1, 2, 3])
    assert spread(7, 3) == [0, 3, 6]


def test_the_report_is_written_by_the_same_door_and_has_the_same_bytes_again(circle, folder, tmp_path):
    page = write_report(folder).read_text(encoding="utf-8")
    assert "Patterns on a circle" in page
    plates = draw_figures(circle, tmp_path, CIRCLE_FIGURES)
    assert list(plates) == list(CIRCLE_FIGURES)
    figures = {f"{name}.{kind}" for name in CIRCLE_FIGURES for kind in ("png", "pdf")}
    for place in (folder / "figures", tmp_path):
        assert {path.name for path in place.iterdir()} == figures
    assert all((tmp_path / n).read_bytes() == (folder / "figures" / n).read_bytes() for n in figures)
    assert render_circle(circle, plates) == page


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("landscapes/9.npz", None, r"There is no file .*9\.npz"),
        ("landscapes/9.npz", b"x", r"9\.npz is damaged"),
        ("trained/000002-paper/grid.npz", None, r"There is no file .*grid\.npz"),
        ("study.json", b'{"schema": "spurion.circle/1"}', "the field `name` is missing"),
    ],
)
def test_missing_and_damaged_files_are_named(folder, tmp_path, name, content, message):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        write_report(copy)


def test_arrays_of_a_wrong_shape_and_missing_states_are_named(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    np.savez(copy / "landscapes" / "9.npz", energy=np.zeros((1, 9, 9)), score=np.zeros((1, 9, 9, 2)))
    with pytest.raises(ValueError, match=r"9\.npz is damaged \(`energy` must have the shape \(2, 9, 9\)\)"):
        read_circle(copy)
    shutil.copy(folder / "landscapes" / "9.npz", copy / "landscapes" / "9.npz")
    values = json.loads((copy / "study.json").read_text())
    values["landscapes"].pop()
    (copy / "study.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match="has 1 landscapes for K = None"):
        read_circle(copy)

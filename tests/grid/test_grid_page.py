"""The page of a grid: whole, equal to the stored numbers, and in need of nothing else."""

import base64
import hashlib
import html
import json
import re

import numpy as np
import pytest

from grid.grid_study import lasting, planted, widening
from report.test_report_page import Reader
from spurion.audits.findings import SourceInfo
from spurion.core.files import write_json
from spurion.data import open_images
from spurion.grid.checks import checked
from spurion.grid.page.figures import figures_of
from spurion.grid.page.figures.field import draw_field
from spurion.grid.page.figures.training_time import draw_onsets, draw_training_time
from spurion.grid.page.overview import grid_overview
from spurion.grid.page.page import render_grid
from spurion.grid.page.sections import sections_of
from spurion.report import write_report
from spurion.report.figures import Picture, Plate
from spurion.report.figures.canvas import figure_style

STEPS = {"training.iterations": (200, 400, 800, 1600)}


@pytest.fixture(scope="module")
def timed():
    """A grid over steps and one more field, with two seeds."""
    return planted(
        {**STEPS, "thresholds": ("null:0.01", "fixed:1,1")},
        (0, 1),
        lasting,
        near=lambda values, seed, k: 0.93,
    )


@pytest.fixture(scope="module")
def widths():
    return planted({"denoiser.width": (32, 64, 128)}, (0, 1, 2), widening, sizes=(2, 8, 32, 64, 128, 512))


def page_of(grid):
    dot = Picture("data:image/svg+xml;base64,PHN2Zy8+", 96, 48)
    return render_grid(grid, dict.fromkeys(figures_of(grid), Plate(dot, dot)))


def test_all_sections_and_figures_are_there(timed):
    reader = Reader(page_of(timed))
    assert [values["id"] for tag, values in reader.tags if tag == "section"] == [
        "studied", "answer", "training-time", "field-1", "field-2", "numbers", "limits", "provenance",
    ]  # fmt: skip
    pictures = [values for tag, values in reader.tags if tag == "img"]
    assert len(pictures) == len(figures_of(timed)) == 4
    assert all(picture["alt"] for picture in pictures)
    placed = [drawing.name for section in sections_of(timed) for drawing in section.drawings]
    assert sorted(placed) == sorted(figures_of(timed))


def test_facts_name_nothing_that_varied(timed):
    names = [fact.name for fact in grid_overview(timed).facts]
    assert "Rule of thresholds" not in names
    assert {"Distance", "Sampler", "Samples for each K"} < set(names)


def test_a_grid_names_whose_images_it_stands_on(widths):
    made = checked(widths.model_copy(update={"train": SourceInfo.of(open_images("digits"))}))
    (sentence,) = made.said("credit")
    assert "CC BY 4.0" in sentence
    assert sentence in html.unescape(page_of(made))


def test_seeds_alone_have_a_figure():
    grid = planted({}, (0, 1), lambda values, seed, k: (1.0, 0.0) if k < 20 else (0.0, 0.1))
    assert list(figures_of(grid)) == ["over_seeds"]
    assert "Over seeds" in page_of(grid)
    with figure_style():
        assert draw_field(grid, "narrow", field="") is not None


def test_nothing_comes_from_elsewhere_and_no_script_runs(widths):
    html = page_of(widths)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1]
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy
    assert not re.search(r'(?:src|href|srcset)="(?!data:|#)', html)
    assert re.findall(r"<script>(.*?)</script>", html, re.DOTALL) in ([], [""])


def test_tables_equal_the_stored_numbers(widths):
    html = page_of(widths)
    stored = [float(value) for value in re.findall(r'data-value="([^"]+)"', html)]
    capacities = [
        getattr(cell.capacities, name).value
        for cell in widths.cells
        for name in ("memorization", "spurious", "generalization")
    ]
    means = [spread.value for setting in widths.settings for spread in setting.capacities.values()]
    shares = [
        getattr(point, name).value
        for setting in widths.settings
        for point in setting.points
        for name in ("memorized", "spurious", "generalized")
    ]
    for value in (*capacities, *means, *shares):
        assert value is None or any(value == pytest.approx(found) for found in stored)
    assert all(claim.sentence.split(",")[0] in html for claim in widths.claims if claim.severity == "answer")


def test_onsets_stand_in_their_table(timed):
    html = page_of(timed)
    assert '50% <b class="memorized">memorized</b>' in html
    assert "not reached" in html
    assert "<small>not at 400</small>" in html


def test_the_map_shows_the_mean_shares(timed):
    with figure_style():
        figure = draw_training_time(timed, "wide")
    memorized = figure.axes[0].collections[0].get_array().reshape(4, 4)
    expected = [[lasting({"training.iterations": step}, 0, k)[0] for k in timed.sizes] for step in
                STEPS["training.iterations"]]  # fmt: skip
    assert np.asarray(memorized) == pytest.approx(np.array(expected))
    lines = {line.get_linestyle(): line.get_ydata().tolist() for line in figure.axes[0].lines}
    # K = 2, 16, 64, 256: half at 200, 1,600 and never; a tenth at 200, 800 and never
    assert lines["-"] == [0, 0, 3, 3, 4, 4, 4, 4]
    assert lines["--"] == [0, 0, 2, 2, 4, 4, 4, 4]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["200", "400", "800", "1,600"]


def test_onsets_are_drawn_where_they_are(timed):
    with figure_style():
        figure = draw_onsets(timed, "narrow")
    curves = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert list(curves["50% memorized"]) == [200, 1600]
    assert list(curves["10% memorized"]) == [200, 800]


def test_capacities_are_drawn_with_both_intervals(widths):
    with figure_style():
        figure = draw_field(widths, "wide", field="denoiser.width")
    ax = figure.axes[3]
    drawn = {line.get_label(): line for line in ax.lines}
    means = [setting.capacities["memorization"] for setting in widths.settings]
    assert list(drawn["memorization"].get_ydata()) == pytest.approx([mean.value for mean in means])
    between = [line.get_ydata().tolist() for line in ax.lines if line.get_label() == "_between seeds"]
    assert between == [pytest.approx([mean.low, mean.high]) for mean in means]
    single = [line for line in ax.lines if line.get_label() == "_study" and line.get_linestyle() == "-"]
    assert len(single) >= 9


def test_an_open_capacity_ends_in_an_arrow():
    grid = planted({"denoiser.width": (32, 64)}, (0,), lambda v, s, k: (1.0, 0.0), sizes=(2, 8, 32))
    with figure_style():
        figure = draw_field(grid, "wide", field="denoiser.width")
    assert [line.get_marker() for line in figure.axes[3].lines].count("^") == 2


def test_names_of_a_user_are_never_markup():
    grid = planted(
        {"thresholds": ("null:0.01", "null:0.02")}, (0,), lambda v, s, k: None, message="<script>x"
    )
    html = page_of(grid)
    assert "<script>x" not in html
    assert "&lt;script&gt;x" in html


def test_the_report_of_a_folder_comes_from_its_result(widths, tmp_path):
    write_json(tmp_path / "study.json", widths.to_json())
    first = write_report(tmp_path).read_bytes()
    assert (tmp_path / "figures" / "over_denoiser_width.pdf").exists()
    assert write_report(tmp_path).read_bytes() == first


def test_a_damaged_result_is_one_sentence(widths, tmp_path):
    values = widths.to_json()
    write_json(tmp_path / "study.json", values | {"cells": values["cells"][1:]})
    with pytest.raises(ValueError, match="`cells` must hold every combination of values and seeds once"):
        write_report(tmp_path)
    write_json(
        tmp_path / "study.json", json.loads(json.dumps(values).replace("spurion.grid/1", "spurion.grid/2"))
    )
    with pytest.raises(ValueError, match="newer version of Spurion"):
        write_report(tmp_path)

"""A measure that is registered by one line, outside of the package, is everywhere that measures are."""

import csv
import json

import pytest
import torch

from cli.command_line import refused, run, write_images
from planted import planted
from small_geometry import FEW
from spurion import audit
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.folder import save_denoiser
from spurion.diffusion.schedule import DDPMSchedule
from spurion.geometry import MEASURES, STATUSES, Measure, Measured
from spurion.report.figures import draw_figures
from spurion.report.figures.others import draw_others
from spurion.report.html import render
from spurion.report.run import read_run
from spurion.studies import study
from spurion.studies.geometry import sweep

TINY = (
    "train_sizes=[12]",
    "denoiser.width=8",
    "denoiser.blocks=1",
    "training.iterations=10",
    "training.warmup=1",
    "training.batch_size=8",
    "sampler.steps=4",
    "sample_size=24",
    "thresholds=fixed:0.36,0.36",
    "gallery=2",
    *FEW,
)
"""A network: the energies of an exact denoiser take a minute."""

SENTENCE = "Nothing, from the mean of an image alone"


class Brightness(Measure):
    """The mean of a point, which is known."""

    name = "mean-brightness"
    unit = "half the gray range"
    source = "the mean"
    descending = True
    unsupported = ((SENTENCE, "It says nothing of the model."),)

    def __call__(self, denoiser, x, *, generator):
        """The mean."""
        return Measured(x.flatten(1).double().mean(dim=1), torch.zeros(len(x), dtype=torch.int64))

    def caution(self, found, dim):
        """How many coordinates were averaged."""
        return f"Means over {dim} coordinates."


@pytest.fixture
def mine(monkeypatch):
    monkeypatch.setitem(MEASURES, "mean-brightness", Brightness())
    return "mean-brightness"


@pytest.fixture
def place(tmp_path):
    """A model of five images, and its images."""
    train = planted(2, train=5).train
    save_denoiser(ExactDenoiser(train, DDPMSchedule(50)), tmp_path / "model")
    write_images(tmp_path / "train.npz", train)
    return tmp_path, train


def test_the_verb_has_it(mine, place):
    folder, train = place
    arguments = ("geometry", folder / "model", folder / "train.npz", "--measures")
    found = json.loads(run(*arguments, mine, "--json").stdout)
    points = found["measures"][mine]["points"]
    assert [point["value"] for point in points] == pytest.approx(train.flatten(1).mean(1).tolist(), abs=0.01)
    assert found["measures"][mine]["unit"] == "half the gray range"
    assert f"Means over {train[0].numel()} coordinates." in found["notes"]
    assert mine in run(*arguments, f"{mine},mean-curvature").stdout
    assert mine in refused(*arguments, "nothing")  # among the names there are


def test_an_audit_has_it(mine, place):
    folder, train = place
    found = audit(
        train, train.repeat(4, 1, 1, 1), model=folder / "model", geometry=6, thresholds="fixed:0.5,0.5"
    )
    assert mine in {one.name for one in found.geometry.measures}


def test_a_study_and_its_report_have_it(tmp_path, monkeypatch):
    crews, real = [], sweep.run_tasks
    monkeypatch.setattr(sweep, "run_tasks", lambda *a, **k: crews.append(k["workers"]) or real(*a, **k))
    (point,) = study("digits", out=tmp_path, overrides=list(TINY), workers=2).points
    monkeypatch.setitem(MEASURES, mine := Brightness.name, Brightness())
    (again,) = study("digits", out=tmp_path, overrides=list(TINY), workers=2).points
    assert crews == [1, 2, 1, 1]  # of scans and measures: other processes do not know of it
    assert again.audit.geometry.measures[:-1] == point.audit.geometry.measures
    point = again
    result = {one.name: one for one in point.audit.geometry.measures}[mine]
    assert (result.unit, result.source) == ("half the gray range", "the mean")
    assert result.groups["training"].statuses == {STATUSES[0]: 8}
    rows = list(csv.DictReader((tmp_path / "points" / "000012" / "geometry.csv").open()))
    values = [float(row["value"]) for row in rows if (row["measure"], row["group"]) == (mine, "training")]
    assert result.groups["training"].value == pytest.approx(sum(sorted(values)[3:5]) / 2)
    page = render(read_run(tmp_path), {})
    assert 'id="others"' in page
    assert "Mean brightness (unit: half the gray range; source: the mean)" in page
    assert SENTENCE in page
    plates = draw_figures(read_run(tmp_path), tmp_path / "figures", {"others": draw_others})
    assert set(plates) == {"others"}
    monkeypatch.delitem(MEASURES, mine)  # a report of it by who does not know it
    assert "Mean brightness (unit:" in render(read_run(tmp_path), {})

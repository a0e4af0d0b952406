"""The geometry of a study against closed forms, stage by stage, and that one failure stays one."""

import csv
import json
import math
from dataclasses import replace

import pytest
import torch
from scipy.stats import beta, norm

from small_geometry import FEW
from spurion.audits.ground import Ground
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.schedule import DDPMSchedule
from spurion.geometry.basin import BasinConfig
from spurion.geometry.groups.choice import Group
from spurion.geometry.groups.config import GeometryConfig
from spurion.geometry.groups.measuring import measure, usual_measures
from spurion.geometry.measures import MEASURES
from spurion.geometry.stiffness import FULL_DIM
from spurion.neighbors.distances import L2
from spurion.phases.rules import ThresholdInfo
from spurion.report.html import render
from spurion.report.run import read_run
from spurion.studies import study
from spurion.studies.geometry import point as geometry_of_a_point
from spurion.studies.geometry.point import GeometryTask, geometry_point
from spurion.studies.point import PointTask
from spurion.studies.recipes import named_config

D, APART = 16, 0.8
SCHEDULE = DDPMSchedule()


DRAWS, NEEDED, POINTS = 40, 36, 48


@pytest.fixture(scope="module")
def pair():
    """Geometry at two patterns, each of them many times with a difference that changes only the noise."""
    half = torch.zeros(D, dtype=torch.float64)
    half[0] = APART / 2
    patterns = torch.stack([half, -half])
    model = ExactDenoiser(patterns, SCHEDULE)
    noise = APART / 1.7
    shift = 1e-7 * torch.arange(POINTS, dtype=torch.float64).unsqueeze(1)
    points = patterns[torch.arange(POINTS) % 2] + shift
    config = GeometryConfig(
        basins=BasinConfig(draws=DRAWS, share=NEEDED / DRAWS, levels=200), cut=0.6, energy_points=8, probes=8
    )
    setting = config.setting(
        model, SCHEDULE.nearest(noise), tolerance=APART / 4, distance=L2(), references=patterns[:1], seed=0
    )
    seen = []
    group = Group("memorized", POINTS, torch.arange(POINTS), points)
    empty = Group("spurious", 1, torch.arange(0), points[:0])
    names = usual_measures(D, basins=True)
    found = measure(
        model, [group, empty], names, setting, progress=lambda done, total: seen.append((done, total))
    )
    return setting, found, seen


def ratio(t):
    t = torch.tensor(t)
    return float(SCHEDULE.sigma(t) / SCHEDULE.alpha(t))


def test_every_measure_is_there_and_empty_groups_are_not(pair):
    _, found, seen = pair
    assert set(found.values) == {
        "critical-noise", "log-volume", "soft-directions", "intrinsic-dimension", "mean-curvature",
        "log-determinant", "relative-energy", "log-density",
    }  # fmt: skip
    assert all(list(groups) == ["memorized"] for groups in found.values.values())
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert found.points["critical-noise"]["memorized"].tolist() == list(range(POINTS))
    assert len(found.points["log-density"]["memorized"]) == 8


def test_critical_noise_follows_the_law_of_two_patterns(pair):
    # A draw is lost at s > d / 2z, z its noise towards the other pattern; the point, with the draw of rank
    # NEEDED from below, whose z is normal at a Beta-distributed share (d / 2.563 for infinitely many draws).
    _, found, _ = pair
    sigma = found.values["critical-noise"]["memorized"].values
    s = (sigma / (1 - sigma.square()).sqrt()).median()
    share = beta(NEEDED, DRAWS - NEEDED + 1)
    expected = APART / (2 * norm.ppf(share.median()))
    low, high = (APART / (2 * norm.ppf(share.ppf(q))) for q in (0.84, 0.16))
    error = 1.25 * (high - low) / 2 / math.sqrt(POINTS)  # of a median
    rung = 0.03  # of a ladder of 200 levels at this noise, relative
    assert abs(float(s) - expected) < 4 * error + rung * expected
    assert abs(expected - APART / 2.563) / expected < 0.1


def test_curvature_is_that_of_two_patterns(pair):
    setting, found, _ = pair
    s = ratio(setting.time)
    weight = 1 / (1 + math.exp(APART**2 / (2 * s**2)))
    along = 1 - APART**2 / s**2 * weight * (1 - weight)
    assert 0.5 < along < 0.6
    assert (found.values["soft-directions"]["memorized"].values == 1).all()
    ranks = found.ranks["memorized"]
    assert torch.allclose(ranks[:, 0], torch.tensor(along, dtype=ranks.dtype), atol=1e-5)
    assert torch.allclose(ranks[:, 1:], torch.ones_like(ranks[:, 1:]), atol=1e-5)
    determinant = found.values["log-determinant"]["memorized"].values
    assert determinant.tolist() == pytest.approx([math.log(along)] * POINTS, abs=1e-4)
    assert float(found.asymmetry["memorized"].max()) < 1e-6


def test_log_density_is_that_of_the_mixture(pair):
    setting, found, _ = pair
    sigma, s = float(SCHEDULE.sigma(torch.tensor(setting.time))), ratio(setting.time)
    expected = (
        math.log(0.5)
        - D / 2 * math.log(2 * math.pi * sigma**2)
        + math.log1p(math.exp(-(APART**2) / (2 * s**2)))
    )
    values = found.values["log-density"]["memorized"].values
    # Hutchinson's error comes from the one soft direction alone and averages out; 50 Heun steps add less.
    assert float(values.mean()) == pytest.approx(expected, abs=0.2)


def test_relative_energy_of_equals_is_nothing(pair):
    _, found, _ = pair
    values = found.values["relative-energy"]["memorized"].values
    assert values.abs().max() < 1e-3  # both patterns lie equally deep


def test_without_a_tolerance_there_are_no_basins(pair):
    setting, _, _ = pair
    assert not {"critical-noise", "log-volume"} & set(usual_measures(D, basins=False))
    model = ExactDenoiser(torch.zeros(2, D), SCHEDULE)
    group = Group("training", 2, torch.arange(2), torch.zeros(2, D))
    found = measure(model, [group], ["critical-noise", "mean-curvature"], replace(setting, tolerance=None))
    assert set(found.values) == {"mean-curvature"}
    assert found.losses.sentences() == (
        "No critical-noise at training points: `tolerance` is needed for basins, got none.",
    )


def test_what_is_usual():
    assert set(usual_measures(D, basins=True)) == set(MEASURES) - {"recovery-area"}
    assert "log-determinant" in usual_measures(FULL_DIM, basins=True)
    assert "log-determinant" not in usual_measures(FULL_DIM + 1, basins=True)


TINY = (
    "train_sizes=[2, 12]",
    "denoiser={kind: exact}",
    "sampler.steps=20",
    "sample_size=24",
    "thresholds=fixed:0.36,0.36",
    "gallery=2",
    "training.device=cpu",
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return folder, study("digits", out=folder, overrides=[*TINY, *FEW], workers=1)


def task_of(folder, **changes):
    config = named_config("digits", [*TINY, *FEW])
    result = json.loads((folder / "study.json").read_text())
    thresholds = result["points"][1]["audit"]["thresholds"]
    point = PointTask(folder / "points" / "000012", config, 12)
    info = ThresholdInfo.model_validate({**thresholds, **changes})
    return GeometryTask(
        replace(point, ground=Ground(info, None)), config.geometry, result["curvature"]["chosen_time"]
    )


def test_a_study_has_the_geometry_of_every_size(tiny):
    folder, result = tiny
    assert result.curvature.train_size == 12
    for point in result.points:
        geometry = point.audit.geometry
        assert geometry.time == result.curvature.chosen_time
        assert geometry.tolerance == 0.36
        assert geometry.dim == 64
        assert geometry.groups["held-out"].measured == 8
        assert geometry.groups["memorized"].model_dump() == {"available": 24, "measured": 8}  # an exact model
        noise = {m.name: m for m in geometry.measures}["critical-noise"]
        assert noise.unit == "noise sigma_t"
        assert noise.groups["memorized"].n == 8
        assert point.seconds["geometry"] > 0
        rows = list(csv.DictReader((folder / "points" / f"{point.train_size:06d}" / "geometry.csv").open()))
        assert {row["group"] for row in rows} == {"memorized", "training", "held-out"}
    assert result.points[1].seconds["scan"] > 0
    assert not [note for point in result.points for note in point.audit.notes if "geometry" in note]


def test_the_page_of_a_study_has_its_geometry(tiny):
    folder, _ = tiny
    page = render(read_run(folder), {})
    assert 'id="basins"' in page
    assert 'id="energy"' in page


def test_a_study_without_geometry(tmp_path):
    result = study(
        "digits", out=tmp_path, overrides=[*TINY, "train_sizes=[2]", "geometry=null", "flow=null"], workers=1
    )
    assert result.curvature is None
    assert result.points[0].audit.geometry is None
    assert "geometry" not in result.points[0].seconds
    assert not (tmp_path / "points" / "000002" / "geometry.csv").exists()


def quiet(*_):
    """No progress."""


def test_a_point_is_not_measured_twice(tiny, monkeypatch):
    folder, result = tiny

    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr(geometry_of_a_point, "measure", never)
    assert geometry_point(task_of(folder), quiet) == result.points[1].audit.geometry


def test_other_thresholds_are_measured_again(tiny, monkeypatch):
    folder, _ = tiny
    seen = []
    real = geometry_of_a_point.measure
    monkeypatch.setattr(
        geometry_of_a_point, "measure", lambda *a, **k: seen.append(a[3].tolerance) or real(*a, **k)
    )
    stored = (folder / "points" / "000012" / "geometry.json").read_bytes()
    found = geometry_point(task_of(folder, spurious=0.2), quiet)
    assert (seen, found.tolerance) == ([0.2], 0.2)
    (folder / "points" / "000012" / "geometry.json").write_bytes(stored)


def test_a_model_that_fails_is_a_note_and_the_rest_stands(tmp_path, monkeypatch):
    real = geometry_of_a_point.measure

    def broken(denoiser, groups, *arguments, **options):
        if len(groups[3]) == 2:
            raise RuntimeError("the model is broken\nand more")
        return real(denoiser, groups, *arguments, **options)

    monkeypatch.setattr(geometry_of_a_point, "measure", broken)
    result = study("digits", out=tmp_path, overrides=[*TINY, *FEW], workers=1)
    assert result.points[0].audit.geometry is None
    assert result.points[0].audit.fractions is not None
    (note,) = [note for note in result.points[0].audit.notes if "geometry" in note]
    assert note.startswith("The geometry was not measured: ")
    assert "the model is broken" in note
    assert result.points[1].audit.geometry is not None


def test_a_scan_that_fails_leaves_the_study(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ValueError("no scan today")

    monkeypatch.setattr(geometry_of_a_point, "scan", broken)
    result = study("digits", out=tmp_path, overrides=[*TINY, *FEW, "train_sizes=[2]"], workers=1)
    assert result.curvature is None
    assert result.points[0].audit.geometry is None
    assert "no scan today" in result.points[0].audit.notes[-1]

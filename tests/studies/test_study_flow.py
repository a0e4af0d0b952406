import csv
import json

import pytest
import torch

import spurion
from spurion.diffusion import DDPMSchedule, save_denoiser
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.geometry.groups.flow import FlowRow, SampleFlow
from spurion.report.run import read_run
from spurion.studies import study
from spurion.studies.recall import recall_capacity
from spurion.studies.results import StudyResult

EXACT = (
    "train_sizes=[2, 8]",
    "denoiser={kind: exact}",
    "sampler.steps=60",
    "sample_size=50",
    "thresholds=fixed:0.36,0.36",
    "geometry=null",
    "gallery=2",
    "flow.samples=40",
    "flow.images=5",
    "flow.steps=20",
)


def rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exact")
    return folder, study("digits", out=folder, overrides=EXACT, workers=1)


def test_an_exact_model_recalls_and_attracts_everything(exact):
    _, result = exact
    assert set(result.flows) == {2, 8}
    for k, flow in result.flows.items():
        assert (flow.images, flow.recalled) == (min(k, 5), min(k, 5))
        assert (flow.total.training_image, flow.total.followed) == (40, 40)
        assert (flow.steps, flow.tolerance, flow.basins) == (20, 0.18, 0)
        assert flow.classes["memorized"].training_image == 40
    assert result.recall_capacity.value is None
    assert result.recall_capacity.bracket == (8, None)
    assert StudyResult.model_validate(result.to_json()) == result


def test_the_rows_say_which_samples_flow_into_a_training_image(exact):
    folder, result = exact
    for k in result.flows:
        found = rows(folder / "points" / f"{k:06d}" / "samples.csv")
        told = [row["flows_into_training"] for row in found]
        assert sorted(told) == [""] * 10 + ["true"] * 40
    assert len(read_run(folder).done[0].samples) == 50


def test_what_was_followed_is_not_followed_again(exact, monkeypatch):
    folder, result = exact
    monkeypatch.setattr("spurion.studies.flow.sample_flow", None)
    again = study("digits", out=folder, overrides=EXACT, workers=1)
    assert again.flows == result.flows
    (folder / "points" / "000002" / "point.json").unlink()
    assert study("digits", out=folder, overrides=EXACT, workers=1).flows == result.flows


def test_a_damaged_file_is_made_again(exact):
    folder, result = exact
    file = folder / "points" / "000008" / "flow.npz"
    file.write_bytes(b"no archive")
    assert study("digits", out=folder, overrides=EXACT, workers=1).flows == result.flows
    assert file.stat().st_size > 100


def test_a_point_of_a_former_version_gets_its_flow(exact, tmp_path):
    without = [*EXACT[:-3], "flow=null"]
    result = study("digits", out=tmp_path, overrides=without, workers=1)
    assert result.flows == {}
    assert result.recall_capacity is None
    point = tmp_path / "points" / "000008"
    assert "flows_into_training" not in rows(point / "samples.csv")[0]
    assert json.loads((point / "point.json").read_text())["audit"]["flow"] is None
    file = tmp_path / "config.yaml"  # a former version knew no such field, which now has a default
    file.write_text("".join(line for line in file.read_text().splitlines(True) if "flow" not in line))
    now = study("digits", out=tmp_path, overrides=EXACT[:-3], workers=1)
    assert set(now.flows) == {2, 8}
    assert rows(point / "samples.csv")[0]["flows_into_training"] == "true"


def test_without_a_threshold_a_note_says_why(tmp_path):
    overrides = (*EXACT[:4], "thresholds=holdout:0.00001", *EXACT[5:])
    result = study("digits", out=tmp_path, overrides=overrides, workers=1)
    for audit in result.audits.values():
        if audit.thresholds.memorized is None:
            assert audit.flow is None
            assert any("Where samples flow was not measured" in note for note in audit.notes)


def test_a_model_that_fails_is_noted_and_hurts_nothing(tmp_path, monkeypatch):
    def broken(*arguments, **named):
        raise ValueError("The model is lost.")

    monkeypatch.setattr("spurion.studies.flow.sample_flow", broken)
    result = study("digits", out=tmp_path, overrides=EXACT, workers=1)
    assert result.flows == {}
    assert all(audit.fractions is not None for audit in result.audits.values())
    note = "Where samples flow was not measured: The model is lost."
    assert all(note in audit.notes for audit in result.audits.values())


def test_an_audit_with_a_model_follows_its_samples(tmp_path, words_only):
    train = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    save_denoiser(ExactDenoiser(train, DDPMSchedule()), tmp_path / "model")
    samples = (train.repeat(2, 1, 1, 1) + 0.01).clamp(-1, 1)
    common = {"train": train, "samples": samples, "model": tmp_path / "model", "thresholds": "fixed:0.5,0.5"}
    found = spurion.audit(**common, geometry=6, out=tmp_path / "audit", device="cpu")
    assert found.flow.recall.value == 1.0
    assert found.flow.classes["memorized"] == FlowRow(
        training_image=12, shared_state=0, own_state=0, failed=0
    )
    assert {row["flows_into_training"] for row in rows(tmp_path / "audit" / "samples.csv")} == {"true"}
    assert len(read_run(tmp_path / "audit").done[0].samples) == 12
    del common["model"]
    assert spurion.audit(**common, device="cpu").flow is None


def flow(images, recalled):
    none = {"noise": 0.1, "time": 3, "steps": 9, "tolerance": 0.1, "classes": {}, "basins": 0, "chains": 0}
    return SampleFlow(images=images, recalled=recalled, recall=None, into_training=None, **none)


def test_recall_capacity_is_where_the_share_passes():
    found = recall_capacity({64: flow(100, 100), 256: flow(100, 80), 1024: flow(0, 0)}, seed=0)
    assert found.value == pytest.approx(128)  # halfway in log K
    assert found.bracket == (64, 256)
    assert found.low <= 128 <= found.high
    assert recall_capacity({}, seed=0) is None
    assert recall_capacity({4: flow(0, 0)}, seed=0) is None
    one = recall_capacity({1: flow(1, 1)}, seed=0)
    assert (one.value, one.bracket) == (None, (1, None))
    assert recall_capacity({2: flow(2, 0)}, seed=0).bracket == (None, 2)

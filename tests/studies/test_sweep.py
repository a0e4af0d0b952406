import csv
import json
import os
import subprocess
import sys
import time

import jsonschema
import numpy as np
import pytest

from small_geometry import FEW
from spurion.studies import plan, study
from spurion.studies.recipes import named_config
from spurion.studies.results import StudyResult, study_schema

SMALL = (
    "train_sizes=[2, 20]",
    "training.iterations=40",
    "training.warmup=4",
    "training.batch_size=16",
    "training.checkpoint_every=10",
    "training.log_every=10",
    "denoiser.width=16",
    "denoiser.blocks=1",
    "sampler.steps=8",
    "sampler.batch_size=16",
    "sample_size=40",
    "thresholds=fixed:1.5,1.5",
    "gallery=4",
    *FEW,
)
EXACT = (
    "train_sizes=[2, 8]",
    "denoiser={kind: exact}",
    "sampler.steps=60",
    "sample_size=50",
    "thresholds=fixed:0.36,0.36",
    *FEW,
)


def stored(folder):
    values = json.loads((folder / "study.json").read_text())
    for point in values["points"]:
        point.pop("seconds")
    return values


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    return folder, study("digits", out=folder, overrides=SMALL, workers=1)


def test_the_run_folder_is_complete(small):
    folder, result = small
    assert json.loads((folder / "study.json").read_text()) == result.to_json()
    assert named_config(folder / "config.yaml") == named_config("digits", SMALL)
    for size in (2, 20):
        point = folder / "points" / f"{size:06d}"
        assert (point / "model" / "model_index.json").exists()
        assert len((point / "training.jsonl").read_text().splitlines()) == 4
        rows = list(csv.DictReader((point / "samples.csv").open()))
        assert len(rows) == 40
        with np.load(point / "gallery.npz") as gallery:
            assert gallery["sample"].shape == gallery["train"].shape == gallery["other"].shape
            assert gallery["sample"].dtype == np.uint8


def test_fractions_agree_with_the_rows(small):
    folder, result = small
    for point in result.points:
        rows = list(csv.DictReader((folder / "points" / f"{point.train_size:06d}" / "samples.csv").open()))
        for name in ("memorized", "spurious", "generalized"):
            share = sum(row["label"] == name for row in rows) / len(rows)
            assert getattr(point.audit.fractions, name).value == pytest.approx(share)
        for row in rows:
            a, b = float(row["distance_train"]), float(row["distance_sample"])
            assert row["label"] == ("memorized" if a <= 1.5 else "spurious" if b <= 1.5 else "generalized")
            assert a <= float(row["distance_train_2"])
            assert 0 <= int(row["nearest_train"]) < point.train_size
            assert int(row["nearest_sample"]) != int(row["index"])


def test_the_schema_in_the_package_is_current_and_holds(small):
    folder, result = small
    schema = study_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads((folder / "study.json").read_text()), schema)
    from importlib.resources import files

    packaged = json.loads((files("spurion.studies") / "study.schema.json").read_text())
    assert packaged == schema
    assert StudyResult.model_validate(json.loads((folder / "study.json").read_text())) == result


def test_again_is_the_same_and_computes_nothing(small, monkeypatch):
    folder, result = small
    monkeypatch.setattr("spurion.studies.point._measure", None)
    monkeypatch.setattr("spurion.studies.concluding.conclude", None)
    assert study("digits", out=folder, overrides=SMALL) == result


def test_two_workers_give_the_same_numbers(small, tmp_path):
    folder, _ = small
    study("digits", out=tmp_path, overrides=SMALL, workers=2)
    assert stored(tmp_path) == stored(folder)


def test_the_exact_model_memorizes_everything(tmp_path):
    result = study("digits", out=tmp_path, overrides=(*EXACT, "geometry=null"), workers=1)
    for point in result.points:
        assert point.audit.fractions.memorized.value == 1
        assert point.audit.controls.noisy_copies.value == 1
        assert point.audit.null.share_closer_to_train.value == 1
    assert result.capacities.memorization.bracket[0] == 8


def test_one_training_image(tmp_path):
    result = study("digits", out=tmp_path, overrides=(*EXACT, "train_sizes=[1]"), workers=1)
    (point,) = result.points
    assert point.audit.fractions.memorized.value == 1
    assert point.audit.ratio_fractions is None


def test_a_diverging_point_fails_alone(tmp_path):
    overrides = (*SMALL, "train_sizes=[2, 8]", "training.learning_rate=1e30", "training.clip_norm=null")
    result = study("digits", out=tmp_path, overrides=overrides, workers=1)
    assert [point.audit for point in result.points] == [None, None]
    assert result.audits == {}
    assert "loss" in result.points[0].message
    assert result.capacities is None
    assert "K = 2 failed" in result.said("warning")[0]


def test_sample_sizes_that_differ_are_compared_at_the_common_one(tmp_path):
    overrides = (*SMALL, "train_sizes=[2, 400]", "sample_size=3x", "training.iterations=2", "sampler.steps=2")
    overrides = (*overrides, "geometry=null")
    result = study("digits", out=tmp_path, overrides=overrides, workers=1)
    assert [point.sample_size for point in result.points] == [1000, 1200]
    assert result.common_size == 1000
    assert any("Sample sizes differ" in note for note in result.said("limit"))
    for point in result.points:
        assert point.spurious_at_common_size == pytest.approx(point.audit.rarefaction.at(1000))
    assert result.points[0].spurious_at_common_size == pytest.approx(
        result.points[0].audit.fractions.spurious.value
    )


def test_a_full_disk_stops_the_study(tmp_path, monkeypatch):
    def full(*arguments, **named):
        raise OSError(28, "No space left on device", "samples.npz")

    monkeypatch.setattr("spurion.studies.point.sample_to_folder", full)
    overrides = (*SMALL, "geometry=null")
    with pytest.raises(OSError, match="No space left"):
        study("digits", out=tmp_path, overrides=overrides, workers=1)
    monkeypatch.undo()
    assert study("digits", out=tmp_path, overrides=overrides, workers=1).audits.keys() == {2, 20}


def test_sizes_beyond_the_data():
    with pytest.raises(ValueError, match="asks for 2000 training images, but digits has 1438"):
        study("digits", out="never-made", overrides=["train_sizes=[2000]"])
    assert not os.path.exists("never-made")


def test_the_plan_lists_every_point():
    made = plan("digits", overrides=[*SMALL, "train_sizes=[2, all]"])
    assert made.points == ((2, 40), (1438, 40))
    assert 0 < made.seconds < 600
    assert made.bytes > 2 * 40 * 64 * 4
    assert made.notes == ("Training images: 1,438 of digits.",)


KILLED = """
import json, sys
from spurion.studies import study
if __name__ == "__main__":
    study("digits", out=sys.argv[1], overrides=json.loads(sys.argv[2]), workers=2)
"""


@pytest.mark.slow
def test_killed_while_two_workers_train_it_ends_the_same(tmp_path):
    # `test_crash_points` kills at every stage; here there are workers, and the end is that of one process.
    overrides = [*SMALL, "train_sizes=[2, 8]", "training.iterations=1200", "geometry=null"]
    script = tmp_path / "run.py"
    script.write_text(KILLED)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    child = subprocess.Popen([sys.executable, str(script), str(broken), json.dumps(overrides)])
    deadline = time.monotonic() + 120
    while not list(broken.glob("points/*/state/state.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.02)
    child.kill()
    child.wait()
    assert not list(broken.rglob("samples.csv"))
    for folder in (whole, broken):
        study("digits", out=folder, overrides=overrides, workers=1)
    assert stored(whole) == stored(broken)
    weights = sorted(path.relative_to(whole) for path in whole.rglob("model/**/*.safetensors"))
    assert len(weights) == 2
    for path in weights:
        assert (whole / path).read_bytes() == (broken / path).read_bytes()

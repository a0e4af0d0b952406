"""Stored files of a study that rot: what is damaged is said and made again, and all numbers stay the same."""

import json
import re
import shutil

import pytest

from small_geometry import FEW
from spurion.core.store import Store
from spurion.core.tensors import load_tensors, save_tensors
from spurion.report.run import read_run
from spurion.studies import study

TINY = (
    "train_sizes=[2, 8]",
    "training.iterations=30",
    "training.warmup=4",
    "training.batch_size=8",
    "training.checkpoint_every=10",
    "training.log_every=10",
    "denoiser.width=8",
    "denoiser.blocks=1",
    "sampler.steps=4",
    "sampler.batch_size=16",
    "sample_size=24",
    "thresholds=fixed:1.5,1.5",
    "gallery=4",
    *FEW,
)
POINT = "points/000008/"
MODEL = POINT + "model/"
WEIGHTS = MODEL + "unet/diffusion_pytorch_model.safetensors"
FILES = (
    *(POINT + name for name in ("training.jsonl", "samples.npz", "measurement.safetensors", "samples.csv")),
    *(POINT + name for name in ("gallery.npz", "point.json", "scan.json", "geometry.json", "geometry.csv")),
    *(MODEL + name for name in ("model_index.json", "unet/config.json", "scheduler/scheduler_config.json")),
    WEIGHTS,
)


READ = ("samples.csv", "gallery.npz", "training.jsonl")
"""What a report reads of a point."""


def again(folder):
    return study("digits", out=folder, overrides=TINY, workers=1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    again(folder)
    return folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def contents(folder):
    """All results, without seconds; seals hold the checksum of a file with seconds."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_dir() or ".seals" in path.parts or path.name in (".lock", "seconds.json", "damage.log"):
            continue
        found[str(path.relative_to(folder))] = path.read_bytes()
        if path.name in ("study.json", "point.json"):
            values = json.loads(path.read_text())
            for point in (values, *values.get("points", ())):
                point.pop("seconds", None)
            found[str(path.relative_to(folder))] = values
    return found


def told(caplog):
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("name", "damage"),
    [*((name, "middle") for name in FILES), *((name, "gone") for name in (FILES[1], FILES[5], WEIGHTS))],
)
def test_what_is_damaged_is_said_and_made_again(whole, run, name, damage, caplog):
    path = run / name
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :])
    if damage == "gone":
        path.unlink()
    again(run)
    assert contents(run) == contents(whole)
    why = "gone" if damage == "gone" else "damaged (its checksum differs)"
    assert told(caplog) == [f"{path} is {why}; it is made again."]
    assert (run / "damage.log").read_text().endswith(f" {told(caplog)[0]}\n")
    caplog.clear()
    again(run)
    assert not told(caplog)


def test_results_of_other_fields_are_made_again(whole, run, caplog):
    """Its measurement lacks the searches and its results have other fields: both are made again, no more."""
    point = run / POINT
    tensors, facts = load_tensors(point / "measurement.safetensors")
    old = {name: value for name, value in tensors.items() if "." not in name}
    save_tensors(point / "measurement.safetensors", old, facts)
    measured, concluded = Store(point, "measure"), Store(point, "conclude")
    measured.put(point / "samples.npz", point / "measurement.safetensors", key=measured.key)
    (point / "point.json").write_text(json.dumps({"train_size": 2, "sample_size": 8, "status": "done"}))
    key = concluded.key
    concluded.put(point / "point.json", point / "samples.csv", point / "gallery.npz", key=key)
    kept = {path: path.stat().st_mtime_ns for path in (run / WEIGHTS, point / "samples.npz")}
    (run / "study.json").write_text(json.dumps({"schema": "spurion.study/1"}))
    again(run)
    assert contents(run) == contents(whole)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert "it holds no measurement" in told(caplog)[0]


def test_only_the_damaged_piece_is_made_again(run, monkeypatch):
    kept = {path: path.stat().st_mtime_ns for path in run.rglob("*.*") if path.is_file()}
    (run / WEIGHTS).write_bytes(b"")
    again(run)
    changed = {str(path.relative_to(run)) for path in kept if path.stat().st_mtime_ns != kept[path]}
    own = {name for name in FILES if name.startswith(MODEL)} | {POINT + "training.jsonl"}
    assert changed == own | {POINT + ".seals/train.json", POINT + "seconds.json"} | {
        ".seals/study.json",
        "study.json",
    }


@pytest.mark.parametrize("name", ["samples.npz", "model", "measurement.safetensors", "point.json"])
def test_files_of_another_point_are_damage(whole, run, name, caplog):
    other, path = run / "points" / "000002" / name, run / POINT / name
    if path.is_dir():
        shutil.rmtree(path)
        shutil.copytree(other, path)
    else:
        shutil.copy(other, path)
    again(run)
    assert contents(run) == contents(whole)
    assert len(told(caplog)) == 1


@pytest.mark.parametrize("stage", ["train", "measure", "conclude", "scan", "geometry"])
@pytest.mark.parametrize("damage", ["flipped", "gone"])
def test_a_damaged_seal_costs_no_result(whole, run, stage, damage, caplog):
    seal = run / POINT / ".seals" / f"{stage}.json"
    content = seal.read_bytes()
    seal.write_bytes(content[:30] + bytes([content[30] ^ 1]) + content[31:])
    if damage == "gone":
        seal.unlink()
    again(run)
    assert contents(run) == contents(whole)
    assert seal.exists() or stage == "train"
    assert len(told(caplog)) == (damage == "flipped")


def test_a_run_of_a_former_version_goes_on(whole, run, caplog):
    for seals in run.rglob(".seals"):
        shutil.rmtree(seals)
    again(run)
    assert contents(run) == contents(whole)
    assert not told(caplog)
    path = run / POINT / "samples.npz"
    path.write_bytes(path.read_bytes()[:-1])
    again(run)
    assert contents(run) == contents(whole)


@pytest.mark.parametrize("name", ["samples.npz", "measurement.safetensors", "point.json", "scan.json"])
def test_damage_without_seals_is_told_where_it_can_be_seen(whole, run, name, caplog):
    for seals in run.rglob(".seals"):
        shutil.rmtree(seals)
    path = run / POINT / name
    path.write_bytes(path.read_bytes()[:-40])
    again(run)
    assert contents(run) == contents(whole)
    (line,) = told(caplog)
    assert line.startswith(f"{path} is damaged (")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"train": "long"}'])
def test_damaged_times_are_counted_anew(whole, run, content, caplog):
    (run / POINT / "seconds.json").write_bytes(content)
    (run / POINT / "point.json").unlink()
    again(run)
    assert contents(run) == contents(whole)
    assert f"{run / POINT}/seconds.json is damaged; times are counted anew." in told(caplog)


@pytest.mark.parametrize("name", ["study.json", *(POINT + name for name in READ)])
def test_the_report_refuses_what_was_changed(run, name):
    path = run / name
    content = path.read_bytes()
    if path.suffix == ".npz":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        path.write_text(re.sub(r"\d(?=[^\d]*$)", lambda digit: str(9 - int(digit[0])), content.decode()))
    with pytest.raises(ValueError, match=rf"{path.name} is damaged .*"):
        read_run(run)
    path.write_bytes(content)
    read_run(run)

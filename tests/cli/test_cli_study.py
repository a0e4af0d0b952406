import json
import math
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import yaml

import spurion.report
import spurion.studies
from cli.command_line import TINY_STUDY, refused, run, write_images
from spurion.studies.checks import checked
from spurion.studies.recipes import RECIPES, named_config
from spurion.studies.results import StudyResult


@pytest.fixture
def no_report(monkeypatch):
    """Leave the page out, which takes longer than the study."""
    monkeypatch.setattr(spurion.report, "write_report", lambda folder: folder / "report.html")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A small study made from the command line: its folder and what was printed."""
    folder = tmp_path_factory.mktemp("study") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spurion.report, "write_report", lambda folder: folder / "report.html")
        return folder, run("study", "digits", *TINY_STUDY, "--out", folder)


def test_a_study_from_one_command(tiny):
    folder, result = tiny
    assert result.exit_code == 0, result.output
    stored = json.loads((folder / "study.json").read_text())
    assert [point["train_size"] for point in stored["points"]] == [2, 6]
    assert stored["config"]["thresholds"] == "fixed:0.5,0.5"
    assert f"Report: {folder / 'report.html'}" in result.stdout.replace("\n", "")
    assert "Thresholds by the rule fixed:0.5,0.5: memorized 0.5, spurious 0.5." in result.stdout
    assert "memorization capacity: " in result.stdout
    rows = [line.split() for line in result.stdout.splitlines() if line.split()[1:2] == ["40"]]
    assert [row[0] for row in rows] == ["2", "6"]
    for row, point in zip(rows, stored["points"], strict=True):
        assert row[2] == f"{100 * point['audit']['fractions']['memorized']['value']:.1f}"
    assert "K = 6: train" in result.stderr


def test_json_is_all_there_is_on_standard_output(tiny, no_report):
    folder, _ = tiny
    again = run("study", "digits", *TINY_STUDY, "--out", folder, "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout) == json.loads((folder / "study.json").read_text())
    assert ": train" not in again.stderr  # nothing is computed twice


def test_the_report_comes_from_stored_results(tiny, words_only):
    folder, _ = tiny
    result = run("report", folder)
    assert result.exit_code == 0
    assert result.stdout == f"Report: {folder / 'report.html'}\n"
    assert (folder / "report.html").stat().st_size > 10_000


def test_the_report_of_a_truncated_run(tiny, tmp_path):
    folder, _ = tiny
    (tmp_path / "study.json").write_text((folder / "study.json").read_text()[:100])
    assert f"{tmp_path / 'study.json'} is damaged" in refused("report", tmp_path)
    assert "There is no file" in refused("report", tmp_path / "nothing")


def test_another_configuration_is_refused_in_a_run_folder(tiny):
    folder, _ = tiny
    sentence = refused("study", "digits", *TINY_STUDY, "--seed", 7, "--out", folder)
    assert "holds a study with another configuration: `seed` is 0 there and 7 now" in sentence


def test_a_hand_edited_configuration(tiny, tmp_path):
    folder, _ = tiny
    values = yaml.safe_load((folder / "config.yaml").read_text())
    edited = tmp_path / "config.yaml"
    edited.write_text(yaml.safe_dump({**values, "train_sizes": [2, 0]}))
    assert f"{edited}: `train_sizes.1" in refused("study", edited, "--out", tmp_path / "a")
    edited.write_text(yaml.safe_dump({**values, "colour": "red"}))
    assert "there is no field `colour`" in refused("study", edited, "--out", tmp_path / "a")
    edited.write_text("name: [unclosed")
    assert f"{edited} is not valid YAML" in refused("study", edited, "--out", tmp_path / "a")
    assert "There is no file" in refused("study", tmp_path / "none.yaml", "--out", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_an_unknown_recipe_names_the_known_ones(tmp_path):
    sentence = refused("study", "digitz", "--out", tmp_path / "a")
    assert "There is no recipe 'digitz'" in sentence
    assert all(name in sentence for name in RECIPES)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set=train_sizes=[0]"], "train_sizes"),
        (["--set=train_sizes=[2, 1439]"], "asks for 1439 training images, but digits has 1438"),
        (["--set=sample_size=1"], "sample_size"),
        (["--thresholds=valley:3"], "valley:3"),
        (["--set=data.source=nowhere"], "`nowhere` is no source of images"),
        (["--workers=0"], "Invalid value for '--workers'"),
        (["--seed=-1"], "Invalid value for '--seed'"),
    ],
)
def test_study_refuses(tmp_path, options, words):
    out = tmp_path / "a"
    assert words in refused("study", "digits", *TINY_STUDY, *options, "--out", out)
    assert not out.exists()


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there(tmp_path, device):
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if present[device]:
        pytest.skip("the device is there")
    sentence = refused("study", "digits", *TINY_STUDY, "--device", device, "--out", tmp_path / "a")
    assert f"`device` is {device}, but torch finds no such device here" in sentence


def test_images_that_are_not_numbers(tmp_path):
    images = torch.zeros(5, 1, 8, 8)
    images[3, 0, 0, 0] = math.nan
    source = write_images(tmp_path / "bad.npz", images)
    sentence = refused("study", "digits", *TINY_STUDY, f"--set=data.source={source}", "--out", tmp_path / "a")
    assert "bad" in sentence


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_an_unwritable_folder(tmp_path):
    tmp_path.chmod(0o500)
    assert "No permission" in refused("study", "digits", *TINY_STUDY, "--out", tmp_path / "a")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    assert f"{tmp_path / 'file'} is a file" in refused(
        "study", "digits", *TINY_STUDY, "--out", tmp_path / "file"
    )
    inside = refused("study", "digits", *TINY_STUDY, "--out", tmp_path / "file" / "inside")
    assert "is a file, or lies inside one" in inside


def test_the_default_folder_is_named_after_the_study(monkeypatch, tmp_path, no_report):
    monkeypatch.chdir(tmp_path)
    result = run("study", "digits", *TINY_STUDY, "--set=geometry=null", "--set=flow=null")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "runs" / "digits" / "study.json").exists()


def test_a_dry_run_writes_nothing(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = run("study", "digits", *TINY_STUDY, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "sample_size: 40" in result.stdout
    assert "of disk." in result.stdout
    planned = json.loads(run("study", "digits", *TINY_STUDY, "--dry-run", "--json").stdout)
    assert planned["points"] == [
        {"train_size": 2, "sample_size": 40},
        {"train_size": 6, "sample_size": 40},
    ]
    assert planned["config"]["sampler"]["steps"] == 4
    assert planned["seconds"] > 0
    assert planned["bytes"] > 0
    assert not list(tmp_path.iterdir())


def test_a_dry_run_of_a_set_that_is_not_here(monkeypatch):
    plan = SimpleNamespace(
        config=named_config("cifar10"),
        points=((2, 1000),),
        seconds=2e6,
        bytes=3 * 10**9,
        notes=("Not here.",),
    )
    monkeypatch.setattr(spurion.studies, "plan", lambda what, **options: plan)
    shown = run("study", "cifar10", "--dry-run").stdout
    assert "About 23 days and 3 GB of disk." in shown
    assert "Not here." in shown


def test_options_reach_the_study(monkeypatch, tmp_path):
    calls = []

    def study(what, **options):
        calls.append((what, options))
        raise ValueError("Enough.")

    monkeypatch.setattr(spurion.studies, "study", study)
    run(
        *("study", "digits", "--out", tmp_path, "--set=a.b=1", "--set=c=[2, all]", "--seed=5"),
        *("--thresholds=holdout:0.05", "--device=cpu", "--workers=3", "--allow-download"),
    )
    ((what, options),) = calls
    options.pop("report")
    assert what == "digits"
    assert options == {
        "out": tmp_path,
        "overrides": ["a.b=1", "c=[2, all]", 'thresholds="holdout:0.05"', "seed=5"],
        "device": "cpu",
        "workers": 3,
        "allow_download": True,
        "over": {},
        "seeds": (),
    }


def failing(stored, sizes):
    """The stored study with the points of some sizes failed."""
    failed = {"message": "The loss is not a number.", "audit": None, "training": None}
    points = [point | failed if point["train_size"] in sizes else point for point in stored["points"]]
    return checked(StudyResult.model_validate({**stored, "points": points}))


def test_a_study_without_thresholds(tiny, no_report, monkeypatch, tmp_path):
    stored = json.loads((tiny[0] / "study.json").read_text())
    for point in stored["points"]:
        point["audit"] |= {"fractions": None, "counts": None}
    stored["points"][1]["audit"]["thresholds"] |= {"memorized": None, "spurious": None}
    result = checked(StudyResult.model_validate({**stored, "capacities": None}))
    monkeypatch.setattr(spurion.studies, "study", lambda what, **options: result)
    shown = run("study", "digits", "--out", tmp_path)
    assert shown.exit_code == 0
    assert shown.stdout.count("no threshold") == 3  # at each size, and in the answer
    assert "The thresholds differ over K." in shown.stdout
    assert not any(f"{name} capacity" in shown.stdout for name in ("memorization", "generalization"))


@pytest.mark.parametrize(("sizes", "code"), [([6], 0), ([2, 6], 2)])
def test_failed_points_are_named(tiny, no_report, monkeypatch, tmp_path, sizes, code):
    stored = json.loads((tiny[0] / "study.json").read_text())
    monkeypatch.setattr(spurion.studies, "study", lambda what, **options: failing(stored, sizes))
    result = run("study", "digits", "--out", tmp_path)
    assert result.exit_code == code
    assert "K = 6 failed: The loss is not a number." in result.stderr
    assert ("K = 2 failed" in result.stderr) == (2 in sizes)
    assert "failed:" not in result.stdout
    assert [line.split()[2:] for line in result.stdout.splitlines() if line.startswith(" 6 ")] == [["failed"]]


@pytest.mark.slow
def test_a_study_in_a_process_of_its_own(tmp_path):
    command = [sys.executable, "-m", "spurion", "study", "digits", *TINY_STUDY, "--json"]
    command += ["--set=geometry=null", "--set=flow=null", "--out", str(tmp_path / "a")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == "spurion.study/2"
    assert (tmp_path / "a" / "report.html").stat().st_size > 10_000

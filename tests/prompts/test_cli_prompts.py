"""The verb `prompts`, the studies of prompts as kinds, and the command line's mistakes about them."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from cli.command_line import run
from prompts import tiny_pipelines
from spurion.prompts.study.stable_diffusion import PROMPTS
from spurion.prompts.table import read_table


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_pipelines.stable(tmp_path_factory.mktemp("model"), vae=tiny_pipelines.tiny())


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text("prompt,label\na red square,memorized\na blue circle,generalized\n")
    return path


FAST = ("--detectors", "noise-difference, seed-diversity", "--seeds", "2", "--steps", "2")


def test_prompts_are_ranked_and_the_detectors_told(model, table, tmp_path):
    done = run("prompts", str(model), str(table), *FAST, "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert "a red square" in done.stdout
    assert "noise-difference" in done.stdout
    assert "Report:" in done.stdout
    assert (tmp_path / "out" / "report.html").is_file()
    assert run("report", str(tmp_path / "out")).exit_code == 0


def test_json_is_all_there_is_on_standard_output(model, table, tmp_path):
    done = run("prompts", str(model), str(table), *FAST, "--out", str(tmp_path / "out"), "--json")
    values = json.loads(done.stdout)
    assert values["schema"] == "spurion.prompts/1"
    assert values == json.loads((tmp_path / "out" / "prompts.json").read_text())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--detectors", "telepathy"], "must be names among noise-difference"),
        (["--train", "nowhere"], "nowhere"),
        (["--distance", "l3"], "must be one of"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(model, table, tmp_path, more, words):
    done = run("prompts", str(model), str(table), "--out", str(tmp_path / "out"), *FAST, *more)
    assert done.exit_code == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_other_models_and_missing_files_are_refused(model, table, tmp_path):
    digits = tmp_path / "pixels"
    digits.mkdir()
    (digits / "model_index.json").write_text('{"_class_name": "DDPMPipeline"}')
    for where, file, words in (
        (digits, table, "DDPMPipeline"),
        (model, tmp_path / "none.csv", "There is no file or folder"),
        (tmp_path / "none", table, "none"),
    ):
        done = run("prompts", str(where), str(file), "--out", str(tmp_path / "out"))
        assert done.exit_code == 2
        assert words in done.stderr


def test_without_transformers_there_is_one_sentence(model, table, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    done = run("prompts", str(model), str(table), "--out", str(tmp_path / "out"))
    assert done.exit_code == 2
    assert "pip install 'spurion[prompts]'" in done.stderr


def test_killed_it_goes_on_to_the_same_bytes(model, tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text("prompt\n" + "\n".join(f"a red square {i}" for i in range(40)) + "\n")
    command = [sys.executable, "-m", "spurion", "prompts", str(model), str(path), *FAST]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = subprocess.Popen([*command, "--out", str(killed)], stderr=subprocess.DEVNULL)
    while len(list(killed.glob("readings/*.safetensors"))) < 3 and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "prompts.json").exists()
    for out in (killed, whole):
        assert run("prompts", str(model), str(path), *FAST, "--out", str(out)).exit_code == 0
    for name in ("prompts.json", "prompts.csv", "gallery.npz", "report.html"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name


def test_the_plan_of_a_study_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("study", "prompts", "--dry-run", "--set", "counts.single=50", "--set", "counts.examined=50")
    assert done.exit_code == 0, done.output
    assert "planted-40" in done.stdout
    assert "training pairs" in done.stdout
    assert not list(tmp_path.iterdir())
    assert json.loads(run("study", "prompts", "--dry-run", "--json").stdout)["config"]["kind"] == "prompts"


def test_the_case_study_examines_the_prompts_of_the_paper(model, tmp_path):
    out = tmp_path / "out"
    fast = [f"--set={field}" for field in ("steps=2", "seeds=2", "geometry=1")]
    done = run("study", "stable-diffusion", "--model", str(model), *fast, "--out", str(out))
    assert done.exit_code == 0, done.output
    values = json.loads((out / "study.json").read_text())
    assert {one["prompt"] for one in values["prompts"]} == {e.prompt for e in read_table(PROMPTS).entries}
    assert {one["label"] for one in values["prompts"]} == {"memorized", "spurious", "generalized"}
    assert set(values["singular"]) == {"memorized", "spurious", "generalized"}
    assert run("report", str(out)).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stable-diffusion"], "needs the folder of its pipeline"),
        (["digits", "--model", "x"], "`--model` is for the study stable-diffusion"),
        (["stable-diffusion", "--model", "x", "--workers", "2"], "`--workers` must be 1"),
        (["prompts", "--set", "data=faces"], "data"),
        (["prompts", "--allow-download"], "`--allow-download` does not apply"),
        (["prompts", "--thresholds", "null:0.1"], "`--thresholds` does not apply"),
        (["prompts", "--set", "counts.single=100000"], "has 1,797"),
    ],
)
def test_mistakes_about_studies_of_prompts(arguments, words, tmp_path):
    done = run("study", *arguments, "--out", str(tmp_path / "out"))
    assert done.exit_code == 2
    assert words in done.stderr

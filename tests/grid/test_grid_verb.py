"""A grid from the command line: its table, its plan, and one sentence about what is wrong."""

import json
from pathlib import Path

import pytest

import spurion.report
from cli.command_line import refused, run
from grid.grid_study import SMALL, planted, widening
from spurion.grid.verb import tell_result

SETS = tuple(f"--set={field}" for field in SMALL)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spurion.report, "write_report", lambda folder: folder / "report.html")
        options = ("--over", "epsilon=0.1,0.3", "--seeds", "0,1", "--workers", 1, "--out", folder)
        return folder, run("study", "digits", *SETS, *options)


def test_a_grid_from_one_command(tiny):
    folder, result = tiny
    assert result.exit_code == 0, result.output
    stored = json.loads((folder / "study.json").read_text())
    assert stored["schema"] == "spurion.grid/1"
    assert len(stored["cells"]) == 4
    assert "epsilon=0.1, seed=0, K = 6: train" in result.stderr
    rows = [line.split()[:2] for line in result.stdout.splitlines()]
    assert all([value, seed] in rows for value in ("0.1", "0.3") for seed in ("0", "1"))
    assert "Means over 2 seeds, with intervals between seeds:" in result.stdout
    assert f"Report: {folder / 'report.html'}" in result.stdout.replace("\n", "")


def test_json_is_what_is_stored(tiny, monkeypatch):
    monkeypatch.setattr(spurion.report, "write_report", lambda folder: folder / "report.html")
    folder, _ = tiny
    again = run("study", "digits", *SETS, "--over=epsilon=0.1,0.3", "--seeds=0,1", "--out", folder, "--json")
    assert json.loads(again.stdout) == json.loads((folder / "study.json").read_text())
    assert ": train" not in again.stderr


def test_the_plan_counts_what_is_shared(tmp_path):
    options = ("--over", "training.iterations=20,60,40", "--over", "epsilon=0.1,0.2", "--dry-run")
    result = run("study", "digits", *SETS, *options, "--json", "--out", tmp_path / "none")
    plan = json.loads(result.stdout)
    assert [cell["training_steps"] for cell in plan["cells"]] == [20, 0, 20, 0, 20, 0]
    assert plan["cells"][0]["folder"] == "cells/seed=0,training.iterations=20,epsilon=0.1"
    assert plan["seconds"] == pytest.approx(sum(cell["seconds"] for cell in plan["cells"]))
    assert plan["bytes"] == sum(cell["bytes"] for cell in plan["cells"]) > 0
    assert not (tmp_path / "none").exists()
    text = run("study", "digits", *SETS, *options).stdout
    assert "6 studies; about " in text
    assert "Training steps that an earlier cell takes are not taken again." in text


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("digits", "--over", "denoiser.widht=1,2"), "there is no field `denoiser.widht`."),
        (("digits", "--over", "denoiser.width"), "`--over` takes field=value,value"),
        (("digits", "--seeds", "0,x"), "`--seeds` must be whole numbers with commas between"),
        (("digits", "--seeds", "0,1", "--seed", 3), "`seed` and `seeds` name the same thing"),
        (("circle", "--seeds", "0,1"), "`over` and `seeds` are for a study of images; leave them out."),
        (("digits", "--seeds", "0,1", "--model", "x"), "`--model` is for the study stable-diffusion"),
        (("grid",), "There is no recipe 'grid'"),
    ],
)
def test_bad_input_is_one_sentence(options, sentence, tmp_path):
    assert sentence in refused("study", *options, "--out", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_single_study_and_a_grid_do_not_share_a_folder(tiny):
    folder, _ = tiny
    assert "holds a study of another kind" in refused("study", "digits", *SETS, "--out", folder)
    sentence = refused("study", "digits", *SETS, "--over=epsilon=0.1,0.2", "--seeds=0,1", "--out", folder)
    assert "holds a grid with epsilon=0.3 too; name it as well" in sentence


def test_a_grid_of_which_nothing_is_left_has_failed(capsys):
    import typer

    grid = planted({"denoiser.width": (32, 64)}, (0,), lambda v, s, k: None, message="boom")
    with pytest.raises(typer.Exit) as end:
        tell_result(grid, Path("report.html"), False)
    assert end.value.exit_code == 2
    assert "K = 2 failed: boom." in capsys.readouterr().err
    tell_result(planted({"denoiser.width": (32, 128)}, (0,), widening), Path("report.html"), False)
    assert "the memorization capacity grows" in " ".join(capsys.readouterr().out.split())

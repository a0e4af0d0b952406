import json

import pytest

import spurion.report
import spurion.studies
from circle_study import SMALL
from cli.command_line import refused, run
from spurion.circle.results import CircleResult

TINY = [*(f"--set={text}" for text in SMALL), "--workers=1"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A small study made from the command line: its folder and what was printed."""
    folder = tmp_path_factory.mktemp("study") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spurion.report, "write_report", lambda folder: folder / "report.html")
        return folder, run("study", "circle", *TINY, "--out", folder)


def test_the_circle_from_one_command(tiny):
    folder, result = tiny
    assert result.exit_code == 0, result.output
    stored = json.loads((folder / "study.json").read_text())
    assert stored["schema"] == "spurion.circle/1"
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["9", "0.15", "3", "0"] in rows
    assert [row[:3] for row in rows if row[:1] == ["paper"]] == [["paper", "2", str(len_minima(stored))]]
    assert f"Report: {folder / 'report.html'}" in result.stdout.replace("\n", "")
    assert "number of minima of many patterns" in result.stdout
    assert "K = 2, paper: train" in result.stderr


def len_minima(stored):
    return len(stored["trained"][0]["minima"])


def test_json_is_all_there_is_on_standard_output(tiny, monkeypatch):
    monkeypatch.setattr(spurion.report, "write_report", lambda folder: folder / "report.html")
    again = run("study", "circle", *TINY, "--out", tiny[0], "--json")
    assert json.loads(again.stdout) == json.loads((tiny[0] / "study.json").read_text())


def test_a_run_of_its_own_configuration(tiny, monkeypatch):
    monkeypatch.setattr(spurion.report, "write_report", lambda folder: folder / "report.html")
    again = run("study", tiny[0] / "config.yaml", "--out", tiny[0])
    assert again.exit_code == 0, again.output


def test_a_dry_run_writes_nothing(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shown = run("study", "circle", "--seed=7", "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "seed: 7" in shown.stdout
    assert "68 exact pieces and 6 trainings; about " in shown.stdout
    planned = json.loads(run("study", "circle", "--dry-run", "--json").stdout)
    assert (planned["exact_pieces"], planned["trainings"]) == (68, 6)
    assert planned["config"]["kind"] == "circle"
    assert planned["seconds"] > 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set=phases.counts=[0]"], "phases.counts.0"),
        (["--set=laws.betas=[-2]"], "laws.betas.0"),
        (["--set=trained.steps=3"], "there is no field `trained.steps`"),
        (["--set=trained.counts=[7]"], "`linkage` needs a distance for K = 7"),
        (["--thresholds=valley"], "`--thresholds` does not apply"),
        (["--allow-download"], "`--allow-download` does not apply"),
        (["--device=cuda"], "`device` must be cpu for the circle"),
    ],
)
def test_the_circle_refuses(tmp_path, options, words):
    out = tmp_path / "a"
    assert words in refused("study", "circle", *options, "--out", out)
    assert not out.exists()


@pytest.mark.parametrize(("failed", "code"), [([0], 2), ([], 0)])
def test_failed_trainings_are_named(tiny, monkeypatch, tmp_path, failed, code):
    stored = json.loads((tiny[0] / "study.json").read_text())
    for index in failed:
        stored["trained"][index].update(status="failed", message="Boom.")
        stored["notes"].append("K = 2, paper failed: Boom.")
    stored["laws"][0]["found"] = None
    result = CircleResult.model_validate(stored)
    monkeypatch.setattr(spurion.report, "write_report", lambda folder: folder / "report.html")
    monkeypatch.setattr(spurion.studies, "study", lambda what, **options: result)
    shown = run("study", "circle", "--out", tmp_path)
    assert shown.exit_code == code
    assert ("K = 2, paper failed: Boom." in shown.stderr) == bool(failed)
    assert "not reached" in shown.stdout

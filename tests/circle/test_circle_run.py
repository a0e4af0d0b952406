"""The study as a whole: its folder, its results, and what interrupting it does to them: nothing."""

import json
import math
import signal
import subprocess
import sys
import time
from importlib.resources import files

import jsonschema
import pytest
import yaml

import spurion
from circle_study import SMALL
from spurion.circle import pieces
from spurion.circle.config import circle_config
from spurion.circle.pieces import exact_pieces, read_piece, trained_pieces
from spurion.circle.results import CircleResult, circle_schema
from spurion.diffusion.training import TrainingDiverged
from spurion.studies.folder import RunFolder
from spurion.studies.recipes import named_config


def stored(folder):
    values = json.loads((folder / "study.json").read_text())
    values.pop("seconds")
    return values


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder, calls = tmp_path_factory.mktemp("circle"), []
    result = spurion.study(
        "circle", out=folder, overrides=SMALL, workers=1, report=lambda *call: calls.append(call)
    )
    return folder, result, calls


def test_the_run_folder_is_complete(small):
    folder, result, calls = small
    assert json.loads((folder / "study.json").read_text()) == result.to_json()
    assert circle_config(folder / "config.yaml") == circle_config(overrides=SMALL)
    for name in ("2", "9", "ring"):
        assert (folder / "landscapes" / f"{name}.npz").exists()
    place = folder / "trained" / "000002-paper"
    assert {"samples.npz", "grid.npz", "training.jsonl"} <= {path.name for path in place.iterdir()}
    assert ("K = 2, paper", "train") in {call[:2] for call in calls}
    assert ("K = 9", "energies and minima", 2, 2) in calls


def test_results_are_whole_and_in_order(small):
    result = small[1]
    assert [(s.count, s.beta) for s in result.landscapes] == [
        (2, 0.5), (2, 10), (9, 0.5), (9, 10), (None, 0.5), (None, 10),
    ]  # fmt: skip
    assert [len(state.minima) for state in result.table] == [2, 3]
    assert [(p.count, p.beta) for p in result.phases] == [(2, 5), (40, 5)]
    assert [law.name for law in result.laws] == ["capacity", "ripple", "saturation"]
    assert [branch.count for branch in result.branches] == [2]
    assert [point.count for point in result.sweep] == [3]
    assert list(result.patterns) == [2, 9]
    assert result.patterns[2] == pytest.approx((151.88, 325.52), abs=0.005)
    (network,) = result.trained
    assert (network.count, network.network, network.status) == (2, "paper", "done")
    assert network.iterations == 6
    assert network.parameters > 100
    assert result.notes == ()
    assert result.seconds["exact"] > 0


def test_the_schema_in_the_package_is_current_and_holds(small):
    schema = circle_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads((small[0] / "study.json").read_text()), schema)
    packaged = json.loads((files("spurion.circle") / "circle.schema.json").read_text())
    assert packaged == schema
    assert CircleResult.model_validate(small[1].to_json()) == small[1]


def test_finished_pieces_are_not_computed_again(small, monkeypatch):
    folder, result, _ = small

    def never(piece, report):
        raise AssertionError(f"{piece.kind} computed again")

    monkeypatch.setattr(pieces, "COMPUTE", dict.fromkeys(pieces.COMPUTE, never))
    again = spurion.study("circle", out=folder, overrides=SMALL, workers=1)
    assert again == result


def test_a_lost_piece_is_computed_again_and_is_the_same(small):
    folder, result, _ = small
    for name in ("phases-5.0-40.json", "capacity-10.0.json", "trained-2-paper.json"):
        (folder / "pieces" / name).unlink()
    for name in ("pieces/landscape-2.json", "landscapes/2.npz", "trained/000002-paper/samples.npz"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    again = spurion.study("circle", out=folder, overrides=SMALL, workers=1)
    left = {"seconds"}
    assert again.model_dump(exclude=left) == result.model_dump(exclude=left)


def test_a_damaged_piece_is_named(small, tmp_path):
    config = circle_config(overrides=SMALL)
    piece = exact_pieces(tmp_path, config)[0]
    piece.file.parent.mkdir()
    for text, message in (("{}", "is damaged; delete it"), ("{", "not valid JSON")):
        piece.file.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_piece(piece)


def test_every_piece_has_a_file_of_its_own(tmp_path):
    config = circle_config()
    every = [*exact_pieces(tmp_path, config), *trained_pieces(tmp_path, config)]
    assert len({piece.file for piece in every}) == len(every)


def test_a_training_that_fails_is_named_and_tried_again(tmp_path, monkeypatch):
    def diverge(*arguments):
        raise TrainingDiverged(3, math.nan)

    only = [*SMALL, "landscapes.counts=[]", "table.counts=[]", "branches.counts=[]", "sweep.counts=[]"]
    only += ["phases.counts=[]", "laws.betas=[]"]
    monkeypatch.setattr(pieces, "train_and_compare", diverge)
    failed = spurion.study("circle", out=tmp_path, overrides=only, workers=1)
    (note,) = failed.notes
    assert note.startswith("K = 2, paper failed: The training loss became nan at step 3; lower ")
    assert (failed.trained[0].status, failed.trained[0].iterations) == ("failed", 6)
    monkeypatch.undo()
    assert spurion.study("circle", out=tmp_path, overrides=only, workers=1).trained[0].status == "done"


def test_an_error_of_the_exact_part_ends_the_study(tmp_path, monkeypatch):
    def broken(piece, report):
        raise ValueError("broken")

    monkeypatch.setattr(pieces, "COMPUTE", {**pieces.COMPUTE, "table": broken})
    with pytest.raises(ValueError, match="broken"):
        spurion.study("circle", out=tmp_path, overrides=SMALL, workers=1)


def test_folders_are_not_shared(small, tmp_path):
    folder = small[0]
    with pytest.raises(ValueError, match="another configuration: `seed` is 0 there and 1 now"):
        spurion.study("circle", out=folder, overrides=[*SMALL, "seed=1"])
    with pytest.raises(ValueError, match="holds a study of another kind"):
        spurion.study("digits", out=folder)
    with RunFolder(tmp_path).opened(named_config("digits")):
        pass
    with pytest.raises(ValueError, match="holds a study of another kind"):
        spurion.study("circle", out=tmp_path, overrides=SMALL)
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "pieces").mkdir()
    with pytest.raises(ValueError, match=r"without its config\.yaml"):
        spurion.study("circle", out=tmp_path, overrides=SMALL)


def test_the_configuration_is_written_before_anything_is_computed(tmp_path, monkeypatch):
    def stop(piece, report):
        raise KeyboardInterrupt

    monkeypatch.setattr(pieces, "COMPUTE", dict.fromkeys(pieces.COMPUTE, stop))
    with pytest.raises(KeyboardInterrupt):
        spurion.study("circle", out=tmp_path, overrides=SMALL, workers=1)
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert written["trained"]["networks"]["paper"]["training"]["iterations"] == 6
    assert not (tmp_path / "study.json").exists()


KILLED = """
import json, sys
import spurion
if __name__ == "__main__":
    spurion.study("circle", out=sys.argv[1], overrides=json.loads(sys.argv[2]), workers=2)
"""


@pytest.mark.slow
def test_killed_it_ends_the_same_on_any_number_of_processes(small, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(KILLED)
    folder = tmp_path / "broken"
    command = [sys.executable, str(script), str(folder), json.dumps(SMALL)]
    child = subprocess.Popen(command, start_new_session=True)
    deadline = time.monotonic() + 60
    while len(list((folder / "pieces").glob("*.json"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (folder / "study.json").exists()
    spurion.study("circle", out=folder, overrides=SMALL, workers=1)
    mine, other = stored(folder), stored(small[0])
    for values in (mine, other):
        values.pop("environment")
    assert mine == other

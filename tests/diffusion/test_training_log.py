import json

import pytest
import torch

from spurion.diffusion.log import TrainingDiverged, TrainingLog

NOTHING = torch.empty(0), torch.empty(0, 3, dtype=torch.float64)


def filled(path, losses, every=3, rate=0.5):
    log = TrainingLog(path, every)
    log.start(0, *NOTHING)
    for loss in losses:
        log.add(torch.tensor(loss), rate)
    return log


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_interval_is_one_line_with_its_mean_loss(tmp_path):
    log = filled(tmp_path / "log", [1.0, 2.0, 6.0, 4.0, 4.0, 4.0, 8.0])
    assert lines(tmp_path / "log") == [
        {"step": 3, "loss": 3.0, "learning_rate": 0.5},
        {"step": 6, "loss": 4.0, "learning_rate": 0.5},
    ]
    assert log.pending().tolist() == [8.0]
    assert log.rows().tolist() == [[3.0, 3.0, 0.5], [6.0, 4.0, 0.5]]
    assert log.rows().dtype == torch.float64


def test_the_last_interval_may_be_short(tmp_path):
    log = filled(tmp_path / "log", [1.0, 2.0, 6.0, 5.0, 7.0])
    log.end_interval(0.25)
    assert lines(tmp_path / "log")[1:] == [{"step": 5, "loss": 6.0, "learning_rate": 0.25}]
    log.end_interval(0.25)  # an empty interval has no line
    assert len(lines(tmp_path / "log")) == 2


def test_a_new_log_replaces_what_was_there(tmp_path):
    (tmp_path / "log").write_text("something else\n")
    filled(tmp_path / "log", [1.0])
    assert (tmp_path / "log").read_text() == ""


@pytest.mark.parametrize("leftover", ["", '{"step": 3, "lo', '{"step": 3}\n{"step": 6}\n{"step": 9}\n'])
def test_a_resumed_log_ends_as_an_undisturbed_one(tmp_path, leftover):
    losses = [0.1 * n for n in range(11)]
    filled(tmp_path / "whole", losses).end_interval(0.5)
    before = filled(tmp_path / "log", losses[:5])
    (tmp_path / "log").write_text(leftover)
    after = TrainingLog(tmp_path / "log", 3)
    after.start(5, before.pending(), before.rows())
    for loss in losses[5:]:
        after.add(torch.tensor(loss), 0.5)
    after.end_interval(0.5)
    assert (tmp_path / "log").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_no_number_names_its_step(tmp_path, bad):
    with pytest.raises(TrainingDiverged, match=f"became {bad} at step 4; lower `learning_rate`") as caught:
        filled(tmp_path / "log", [1.0, 1.0, 1.0, 1.0, bad, bad])
    assert caught.value.step == 4
    assert str(caught.value.loss) == str(bad)
    assert len(lines(tmp_path / "log")) == 1
    log = filled(tmp_path / "log", [1.0, 1.0, 1.0, 1.0, bad])
    with pytest.raises(TrainingDiverged, match="at step 4"):
        log.pending()

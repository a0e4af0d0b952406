"""A training that stops before its schedule ends: the same weights, and the longer one goes on from there."""

import pytest
import torch

from spurion.diffusion.checkpoint import load_state
from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.folder import load_denoiser
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.steps import key_of
from spurion.diffusion.training import TrainingConfig, _identity, train

SCHEDULE = DDPMSchedule()
ITEMS = torch.rand(10, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
SMALL = MLPConfig(width=8, blocks=1)
WHOLE = TrainingConfig(iterations=23, batch_size=4, warmup=5, log_every=4, checkpoint_every=5, device="cpu")


def until(step):
    return WHOLE.model_copy(update={"stop_after": step})


def run(folder, training=WHOLE, **rest):
    return train(ITEMS, SMALL, training, schedule=SCHEDULE, seed=0, folder=folder, **rest)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def weights(denoiser):
    return torch.cat([value.flatten() for value in denoiser.network.parameters()])


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return contents(folder)


@pytest.mark.parametrize("step", [1, 9, 12, 20])
def test_the_longer_training_goes_on_with_the_same_bytes(whole, tmp_path, step):
    run(tmp_path, until(step))
    assert contents(tmp_path) != whole
    run(tmp_path)
    assert contents(tmp_path) == whole


def test_its_weights_are_the_average_after_that_step_of_the_whole_training(tmp_path):
    stopped = run(tmp_path / "stopped", until(9))

    def kill(done, total):
        if done == 9:
            raise Stopped

    every = WHOLE.model_copy(update={"checkpoint_every": 9})
    with pytest.raises(Stopped):
        run(tmp_path / "whole", every, progress=kill)
    file = "state/state.safetensors"
    identity = _identity(ITEMS, SMALL, WHOLE, execution_of(tmp_path), SCHEDULE, 0)
    state = load_state(tmp_path / "whole" / file, identity)
    assert state.step == 9
    assert torch.equal(weights(stopped), state.average)
    assert not torch.equal(weights(stopped), state.weights)
    assert torch.equal(weights(load_denoiser(tmp_path / "stopped" / "model")), state.average)


def execution_of(folder):
    from spurion.diffusion.device import choose_execution

    return choose_execution("cpu", WHOLE.precision, WHOLE.channels_last, WHOLE.compile, (1, 4, 4))


@pytest.mark.parametrize("moment", [3, 6, 9])
def test_killed_at_any_step_the_bytes_are_the_same(tmp_path, moment):
    run(tmp_path / "left alone", until(9))

    def kill(done, total):
        if done == moment:
            raise Stopped

    with pytest.raises(Stopped):
        run(tmp_path / "killed", until(9), progress=kill)
    run(tmp_path / "killed", until(9))
    assert contents(tmp_path / "killed") == contents(tmp_path / "left alone")


def test_a_shorter_training_is_not_read_off_a_longer_one(tmp_path):
    run(tmp_path, until(9))
    with pytest.raises(ValueError, match="went on to step 9 and not to 8 only"):
        run(tmp_path, until(8))


def test_it_is_told_from_a_training_of_that_length(tmp_path):
    run(tmp_path, until(9))
    with pytest.raises(ValueError, match=r"training.iterations is 23, not 9"):
        run(tmp_path, WHOLE.model_copy(update={"iterations": 9}))


def test_it_cannot_stop_after_its_end():
    with pytest.raises(ValueError, match="`stop_after` must be at most `iterations`, got 24 of 23 steps"):
        TrainingConfig(iterations=23, stop_after=24)


def test_the_identity_of_trainings_of_former_versions_is_unchanged():
    identity = WHOLE.identity()
    assert not {"stop_after", "checkpoint_every"} & set(identity)
    assert len(identity) == len(TrainingConfig.model_fields) - 2
    assert key_of({"a": 1}, WHOLE) == key_of({"a": 1}, until(23)) == '{"a": 1}'
    assert key_of({"a": 1}, until(9)) == '{"a": 1, "steps": 9}'

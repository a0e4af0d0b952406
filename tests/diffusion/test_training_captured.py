"""Recorded steps, with a recording that runs on any device."""

import logging
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from spurion.diffusion import captured, learner
from spurion.diffusion.batches import Batches
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.device import choose_execution
from spurion.diffusion.learner import Learner
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.training_config import TrainingConfig

SCHEDULE = DDPMSchedule()
ITEMS = torch.rand(10, 1, 2, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
CONFIG = TrainingConfig(iterations=40, batch_size=16, warmup=5)
NAMES = ("weights", "average", "first_moment", "second_moment")


@pytest.fixture(autouse=True)
def replays(monkeypatch):
    """A recording that runs the step anew, from its own inputs into its own result."""
    count = []

    def record(run):
        result = run()

        def replay():
            count.append(1)
            return result.copy_(run())

        return replay

    monkeypatch.setattr(captured, "record", record)
    monkeypatch.setattr(captured, "beside", nullcontext)
    monkeypatch.setattr(learner, "can_capture", lambda device: True)
    with choose_execution("cpu", "auto", "auto", "auto", (1, 2, 2)).reproducible():
        yield count


class Dropping(nn.Module):
    """Predicts a weight, dropped half of the time."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, 1, 2, 2))
        self.drop = nn.Dropout(0.5)

    def forward(self, x_t, t):
        return self.drop(self.weight.expand_as(x_t))


def made(dropping=False, **options):
    if dropping:
        denoiser = NetworkDenoiser(Dropping(), SCHEDULE, (1, 2, 2))
    else:
        denoiser = MLPConfig(width=8, blocks=1).build(
            ITEMS, SCHEDULE, generator=torch.Generator().manual_seed(1)
        )
    execution = choose_execution("cpu", "auto", "auto", "auto", (1, 2, 2))
    return Learner(denoiser, CONFIG, execution, seed=0, **options)


def batch(step, size=16):
    return Batches(ITEMS, SCHEDULE, batch_size=size, replacement=True, seed=0)(step)


def state(made, step):
    return made.state(step, torch.empty(0), torch.empty(0, 3))


@pytest.mark.parametrize("dropping", [False, True])
def test_recorded_steps_are_those_of_the_eager_loop(replays, dropping):
    ours, eager = made(dropping), made(dropping, captured=False)
    for step in range(20):
        loss, expected = ours.step(step, batch(step)), eager.step(step, batch(step))
        # the learning rate is a number of float32 here
        assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    assert len(replays) == 2 + 20  # two to try it out
    for name in NAMES:
        torch.testing.assert_close(getattr(state(ours, 20), name), getattr(state(eager, 20), name))


@pytest.mark.parametrize("dropping", [False, True])
def test_resumed_steps_are_the_same_bytes(dropping):
    whole, broken = made(dropping), made(dropping)
    for step in range(12):
        if step == 7:
            before = state(broken, 7)
            broken = made(dropping)
            broken.restore(before)
        assert torch.equal(whole.step(step, batch(step)), broken.step(step, batch(step)))
    for name in NAMES:
        assert torch.equal(getattr(state(whole, 12), name), getattr(state(broken, 12), name))


def test_losses_are_not_overwritten_by_later_steps():
    ours = made()
    losses = [ours.step(step, batch(step)) for step in range(5)]
    assert len({float(loss) for loss in losses}) == 5


def test_a_batch_of_another_size_is_taken_eagerly(replays):
    ours = made()
    ours.step(0, batch(0))
    before = len(replays)
    assert float(ours.step(1, batch(1, size=5))) > 0
    assert len(replays) == before


def test_where_recording_fails_the_step_is_eager_and_the_logger_says_so(monkeypatch, caplog):
    def fail(run):
        run()
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(captured, "record", fail)
    ours, eager = made(), made(captured=False)
    with caplog.at_level(logging.WARNING, "spurion"):
        assert torch.equal(ours.step(0, batch(0)), eager.step(0, batch(0)))
        ours.step(1, batch(1))
    assert len(caplog.records) == 1
    assert "not recorded as a CUDA graph and takes longer: operation not permitted" in caplog.text


def test_a_replay_that_gives_something_else_is_not_used(monkeypatch, caplog):
    monkeypatch.setattr(captured, "record", lambda run: lambda: torch.rand(()))
    ours, eager = made(), made(captured=False)
    assert torch.equal(ours.step(0, batch(0)), eager.step(0, batch(0)))
    assert "its replays give the losses" in caplog.text


def test_only_cuda_records(monkeypatch):
    monkeypatch.undo()
    assert captured.can_capture("cuda")
    assert not captured.can_capture("cpu")

"""Training in continuous time."""

import math

import pytest
import torch

from spurion.circle.ring import paper_circle
from spurion.diffusion.batches import FIRST_TIME, Batches
from spurion.diffusion.denoisers.network_config import FourierMLPConfig, FourierResidualConfig
from spurion.diffusion.schedule import VESchedule
from spurion.diffusion.score_matching import SCORE_TRAINING
from spurion.diffusion.training import train

SCHEDULE = VESchedule(1.5)


def batches(count=3, size=8, replacement=False, prediction="sample"):
    items = torch.arange(count, dtype=torch.float32).view(-1, 1).expand(-1, 2)
    return Batches(items, SCHEDULE, batch_size=size, replacement=replacement, prediction=prediction, seed=0)


def test_every_batch_has_one_time_in_each_part_of_the_range():
    source = batches(size=50)
    for step in range(5):
        t = source(step).t
        assert t.dtype == torch.float32
        parts = ((t.double() - FIRST_TIME) / (1 - FIRST_TIME) * 50).floor().clamp(max=49)
        assert sorted(parts.int().tolist()) == list(range(50))
        assert parts.tolist() != sorted(parts.tolist())
        assert FIRST_TIME <= t.min() <= t.max() <= 1


def test_times_are_uniform_within_their_parts():
    t = torch.stack([batches(size=4)(step).t.sort().values for step in range(2000)]).double()
    inside = (t - FIRST_TIME) / (1 - FIRST_TIME) * 4 - torch.arange(4)
    # Uniform on (0, 1): mean 1/2 and variance 1/12 from 8,000 draws.
    assert abs(inside.mean() - 0.5) < 5 / (12 * 8000) ** 0.5
    assert abs(inside.var() - 1 / 12) < 5 * (1 / 180 / 8000) ** 0.5


@pytest.mark.parametrize("replacement", [True, False])
def test_a_few_patterns_fill_a_batch(replacement):
    chosen = torch.cat([batches(3, 8, replacement)(step).target[:, 0] for step in range(600)])
    assert len(chosen) == 4800
    counts = torch.bincount(chosen.int(), minlength=3)
    if replacement:
        assert (counts - 1600).abs().max() < 5 * (4800 * 2 / 9) ** 0.5
    else:
        assert counts.tolist() == [1600] * 3


def test_the_noise_has_the_size_of_the_time():
    source = batches(size=500)
    for prediction, part in (("epsilon", 1), ("sample", 0)):
        source = batches(size=500, prediction=prediction)
        batch = source(0)
        items = batches(size=500)(0).target
        noise = (batch.x_t - items) / (1.5 * batch.t.sqrt()).unsqueeze(1)
        torch.testing.assert_close(batch.target, noise if part else items, atol=1e-3, rtol=1e-4)
        # 1,000 standard normal numbers.
        assert abs(noise.var() - 1) < 5 * (2 / 1000) ** 0.5
        assert abs((noise[batch.t < 0.2]).var() - 1) < 5 * (2 / 200) ** 0.5


def quick(kind, **values):
    return SCORE_TRAINING[kind].model_copy(update={"iterations": 300, "ema_decay": 0.95, **values})


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (FourierResidualConfig(width=32, blocks=1), "fourier-residual"),
        (FourierMLPConfig(width=64, scale=1.0), "fourier-mlp"),
    ],
)
def test_one_pattern_is_learned_at_high_noise(config, kind, tmp_path):
    pattern = torch.tensor([[0.6, -0.8]])
    denoiser = train(
        pattern, config, quick(kind, learning_rate=5e-3), schedule=VESchedule(), seed=0, folder=tmp_path
    )
    x = pattern + math.sqrt(0.5) * torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    # The exact answer is the pattern itself; a network that answers x is off by sqrt(0.5) in each coordinate.
    assert (denoiser(x, 0.5) - pattern).square().mean().sqrt() < 0.15


def test_training_goes_on_where_it_was_and_ends_with_the_same_bytes(tmp_path):
    config = FourierMLPConfig(width=8)
    training = quick("fourier-mlp", iterations=40, checkpoint_every=10)

    class Stopped(Exception):
        pass

    def stop(done, total):
        if done == 25:
            raise Stopped

    def run(name, progress):
        return train(
            paper_circle(2).float(),
            config,
            training,
            schedule=VESchedule(),
            seed=1,
            folder=tmp_path / name,
            progress=progress,
        )

    with pytest.raises(Stopped):
        run("stopped", stop)
    run("stopped", lambda done, total: None)
    run("whole", lambda done, total: None)
    name = "model/unet/diffusion_pytorch_model.safetensors"
    assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_another_schedule_is_another_training(tmp_path):
    training = quick("fourier-mlp", iterations=2)
    config = FourierMLPConfig(width=8)
    train(paper_circle(2).float(), config, training, schedule=VESchedule(), seed=0, folder=tmp_path)
    with pytest.raises(ValueError, match=r"another training \(its schedule.scale is 1.0, not 2.0"):
        train(paper_circle(2).float(), config, training, schedule=VESchedule(2.0), seed=0, folder=tmp_path)


def test_the_recipes_are_for_the_networks_of_the_circle():
    assert set(SCORE_TRAINING) == {FourierResidualConfig().kind, FourierMLPConfig().kind}

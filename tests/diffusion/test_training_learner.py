import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from spurion.diffusion.batches import Batches
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.device import choose_execution
from spurion.diffusion.learner import Learner
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.training_config import TrainingConfig

SCHEDULE = DDPMSchedule()
ITEMS = torch.rand(10, 1, 2, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
RECIPES = {
    "paper": {
        "optimizer": "adam",
        "learning_rate": 2e-4,
        "weight_decay": 0.0,
        "warmup": 0,
        "decay": "constant",
        "ema_decay": 0.9999,
        "ema_ramp": False,
        "replacement": False,
    },
    "laptop": {"iterations": 40, "batch_size": 16},
    "no clip": {"clip_norm": None, "learning_rate": 0.02, "warmup": 3},
    "penalty": {"optimizer": "adam", "weight_decay": 0.1, "clip_norm": 0.01},
}


@pytest.fixture(autouse=True)
def _own_generators():
    """A learner reseeds the global generators; `Execution.reproducible` gives them back."""
    with choose_execution("cpu", "auto", "auto", "auto", (1, 2, 2)).reproducible():
        yield


def fresh():
    return MLPConfig(width=8, blocks=1).build(ITEMS, SCHEDULE, generator=torch.Generator().manual_seed(1))


def batches(config, prediction="epsilon"):
    return Batches(
        ITEMS,
        SCHEDULE,
        batch_size=config.batch_size,
        replacement=config.replacement,
        prediction=prediction,
        seed=0,
    )


def learner(config, denoiser=None):
    execution = choose_execution("cpu", config.precision, config.channels_last, config.compile, (1, 2, 2))
    return Learner(denoiser or fresh(), config, execution, seed=0)


def plain_training(config, steps):
    """The same in the plainest words: torch's own clipping, optimizers and averaging."""
    network = fresh().network
    average = torch.optim.swa_utils.AveragedModel(
        network, avg_fn=lambda mean, new, n: config.ema_decay_at(int(n) - 1) * (mean - new) + new
    )
    average.update_parameters(network)  # the first call copies
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    optimizer = kind(network.parameters(), lr=1.0, weight_decay=config.weight_decay, foreach=False)
    losses = []
    for step, batch in ((step, batches(config)(step)) for step in range(steps)):
        optimizer.param_groups[0]["lr"] = config.learning_rate_at(step)
        optimizer.zero_grad()
        loss = mse_loss(network(batch.x_t, batch.t), batch.target)
        loss.backward()
        if config.clip_norm is not None:
            nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
        optimizer.step()
        average.update_parameters(network)
        losses.append(loss.item())
    return average.module, losses


@pytest.mark.parametrize("recipe", RECIPES)
def test_as_the_plainest_loop(recipe):
    config = TrainingConfig(**RECIPES[recipe])
    ours = learner(config)
    losses = [float(ours.step(step, batches(config)(step))) for step in range(30)]
    network, expected = plain_training(config, 30)
    # The same operations in another order: rounding of float32, magnified by Adam where gradients are small.
    assert losses == pytest.approx(expected, rel=1e-4)
    for one, other in zip(ours.averaged().network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_the_paper_average_hardly_leaves_the_initial_weights():
    config = TrainingConfig(**RECIPES["paper"])
    ours, before = learner(config), list(fresh().network.parameters())
    for step in range(20):
        ours.step(step, batches(config)(step))
    for one, other in zip(ours.averaged().network.parameters(), before, strict=True):
        # 20 steps of at most 2e-4 each, of which 1 - 0.9999^20 = 0.002 enters the average.
        assert 0 < (one - other).abs().max() < 20 * 2e-4 * 0.003


@pytest.mark.parametrize("stop", [0, 1, 7])
def test_a_restored_learner_goes_on_bit_by_bit(stop):
    config = TrainingConfig(iterations=20)
    whole, first, second = learner(config), learner(config), learner(config)
    for step in range(20):
        if step == stop:
            second.restore(first.state(step, torch.empty(0), torch.empty(0, 3)))
        batch = batches(config)(step)
        one = whole.step(step, batch)
        other = (first if step < stop else second).step(step, batch)
        assert torch.equal(one, other)
    ends = [end.state(20, torch.empty(0), torch.empty(0, 3)) for end in (whole, second)]
    for name in ("weights", "average", "first_moment", "second_moment"):
        assert torch.equal(*(getattr(end, name) for end in ends))
        assert getattr(ends[0], name).any()


def test_a_state_is_not_touched_by_what_comes_after():
    config = TrainingConfig(iterations=20)
    ours = learner(config)
    ours.step(0, batches(config)(0))
    state = ours.state(1, torch.empty(0), torch.empty(0, 3))
    weights = state.weights.clone()
    ours.averaged()
    assert torch.equal(state.weights, weights)
    assert not torch.equal(state.weights, state.average)


class Dropping(nn.Module):
    """Predicts a weight, dropped half of the time."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, 1, 2, 2))
        self.drop = nn.Dropout(0.5)

    def forward(self, x_t, t):
        return self.drop(self.weight.expand_as(x_t))


def test_dropout_is_on_in_training_off_after_it_and_a_function_of_the_step():
    config = TrainingConfig(iterations=20, learning_rate=1e-9)
    ours = [learner(config, NetworkDenoiser(Dropping(), SCHEDULE, (1, 2, 2))) for _ in range(2)]
    batch = batches(config)(0)
    losses = [float(ours[0].step(step, batch)) for step in range(4)]
    assert len(set(losses)) == 4  # the same batch, another mask
    torch.rand(5)
    assert float(ours[1].step(3, batch)) == pytest.approx(losses[3], rel=1e-6)
    averaged = ours[0].averaged()
    torch.testing.assert_close(averaged.network(ITEMS, None), torch.ones_like(ITEMS), atol=1e-6, rtol=0)

import threading

import pytest
import torch

from spurion.diffusion.batches import Batches
from spurion.diffusion.schedule import DDPMSchedule, VESchedule

SCHEDULE = DDPMSchedule()


def numbered(count):
    """Items (count, 1, 2, 2) that are their own number."""
    return torch.arange(count, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def batches(count=10, batch_size=4, replacement=False, prediction="sample", seed=0, schedule=SCHEDULE):
    return Batches(
        numbered(count),
        schedule,
        batch_size=batch_size,
        replacement=replacement,
        prediction=prediction,
        seed=seed,
    )


def drawn(batch):
    """The numbers of the items in a batch of target x."""
    return batch.target[:, 0, 0, 0].int().tolist()


def test_epochs_are_seeded_permutations_whose_tails_are_not_lost():
    source = batches(count=10, batch_size=4)
    row = [number for step in range(10) for number in drawn(source(step))]
    epochs = [row[start : start + 10] for start in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert row != [number for step in range(10) for number in drawn(batches(count=10, seed=1)(step))]


@pytest.mark.parametrize(("count", "size"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 4)])
def test_without_replacement_a_batch_is_no_larger_than_the_set(count, size):
    source = batches(count=count, batch_size=4)
    for step in range(20):
        batch = source(step)
        assert len(batch.x_t) == len(batch.t) == len(batch.target) == size
        if count <= 4:
            assert sorted(drawn(batch)) == list(range(count))


def test_with_replacement_the_batch_is_full_and_every_image_equally_likely():
    source = batches(count=5, batch_size=1000, replacement=True)
    counts = torch.zeros(5)
    for step in range(20):
        counts += torch.bincount(torch.tensor(drawn(source(step))), minlength=5)
    # 20,000 draws with p = 1/5: one standard error is 57; five of them.
    assert (counts - 4000).abs().max() < 5 * 57


def test_steps_are_uniform_over_all_of_the_schedule():
    source = batches(batch_size=1000, replacement=True, schedule=DDPMSchedule(steps=10))
    times = torch.cat([source(step).t for step in range(20)])
    assert times.dtype == torch.int64
    counts = torch.bincount(times, minlength=10)
    # 20,000 draws with p = 1/10: one standard error is 42; five of them.
    assert len(counts) == 10
    assert (counts - 2000).abs().max() < 5 * 42


def test_noisy_items_and_targets_fit_together():
    noise, x, v = (batches(prediction=kind)(3) for kind in ("epsilon", "sample", "v_prediction"))
    assert torch.equal(noise.t, x.t)
    assert torch.equal(noise.x_t, v.x_t)
    alpha, sigma = (value.float().view(-1, 1, 1, 1) for value in (SCHEDULE.alpha(x.t), SCHEDULE.sigma(x.t)))
    assert torch.equal(alpha * x.target + sigma * noise.target, x.x_t)
    assert torch.equal(alpha * noise.target - sigma * x.target, v.target)


def test_noise_is_standard_normal_and_fresh_for_every_step():
    source = batches(batch_size=2000, replacement=True, prediction="epsilon")
    first, second = source(0).target.flatten(), source(1).target.flatten()
    # 8,000 draws: standard errors 1/sqrt(8000) of mean and correlation, sqrt(2/8000) of the variance.
    assert abs(first.mean()) < 5 / 8000**0.5
    assert abs(first.var() - 1) < 5 * (2 / 8000) ** 0.5
    assert abs((first * second).mean()) < 5 / 8000**0.5


@pytest.mark.parametrize("replacement", [True, False])
def test_a_batch_depends_on_seed_and_step_alone(replacement):
    forward, backward = batches(replacement=replacement), batches(replacement=replacement)
    there = [forward(step) for step in range(12)]
    back = [backward(step) for step in reversed(range(12))]
    for one, other in zip(there, reversed(back), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    other_seed = batches(replacement=replacement, seed=1)(0)
    assert not torch.equal(other_seed.x_t, there[0].x_t)


@pytest.mark.parametrize("steps", [range(0), range(3), range(5, 30)])
@pytest.mark.parametrize("schedule", [SCHEDULE, VESchedule()])
def test_batches_drawn_ahead_are_the_same(steps, schedule):
    source, ahead = batches(schedule=schedule), batches(schedule=schedule)
    ahead._threads = 4
    found = list(ahead.ahead(steps))
    assert len(found) == len(steps)
    for batch, step in zip(found, steps, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(batch, source(step), strict=True))


def test_drawing_ahead_stops_with_the_training():
    source = batches()
    source._threads = 2
    before = threading.active_count()
    drawn = source.ahead(range(1000))
    next(drawn)
    drawn.close()
    assert threading.active_count() == before

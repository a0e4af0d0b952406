import math

import pytest
import torch

from spurion.core.random import generator
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.schedule import DDPMSchedule, VESchedule
from spurion.geometry.basin import BasinConfig
from spurion.geometry.critical import CriticalNoise, basins
from spurion.geometry.measured import STATUSES
from spurion.neighbors import Distance

DDPM, VE = DDPMSchedule(), VESchedule()
EVERY = BasinConfig(every_draw=True)
CLIPPED = BasinConfig(clip=True)


def words(result):
    return [STATUSES[index] for index in result.status.tolist()]


def shares(result):
    """The share of draws that recover the first point, up to each level."""
    return (result.draws[0].unsqueeze(1) >= torch.arange(len(result.sigmas))).double().mean(dim=0)


def two_patterns(d, dim):
    """Two patterns at distance d along the first axis."""
    patterns = torch.zeros(2, dim)
    patterns[:, 0] = torch.tensor([-d / 2, d / 2])
    return patterns


def crowd(count=30, dim=16, *path):
    return torch.rand(count, dim, generator=generator(0, "crowd", *path)) * 1.8 - 0.9


def phi(z):
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


def test_data_beyond_the_clipped_range_are_refused_with_a_way_out():
    patterns = 3 * two_patterns(1.0, 3)  # at -1.5 and 1.5
    model, inside = ExactDenoiser(patterns, DDPM), torch.zeros(1, 3)
    message = r"`x` must lie in \[-1, 1\].* 2 of 3 points .*up to 1.5; .*`BasinConfig\(clip=False\)`"
    with pytest.raises(ValueError, match=message):
        basins(model, torch.cat([patterns, inside]), 0.1, CLIPPED, seed=0)
    free = basins(model, patterns, 0.1, seed=0)
    assert words(free) == ["measured", "measured"]


def test_a_point_beyond_the_clipped_range_is_undecided_alone():
    # The clipped answer ends at 1, so 0.4 from a point at 1.4, which is far from the others.
    patterns = torch.tensor([[-0.8, 0.0], [0.8, 0.0], [0.0, 1.4]])
    x = torch.cat([patterns, torch.tensor([[math.nan, 3.0]])])
    model = ExactDenoiser(patterns, DDPM)
    near = basins(model, x, 0.39, CLIPPED, seed=0)
    assert words(near) == ["measured", "measured", "undecided", "failed"]
    assert CriticalNoise().of(near).values.isnan().tolist() == [False, False, True, True]
    wide = basins(model, x, 0.41, CLIPPED, seed=0)
    assert words(wide)[2] == "measured"
    half = basins(model, patterns[1:], 0.39, CLIPPED, seed=0)  # one of two is not most
    assert words(half) == ["measured", "undecided"]


@pytest.mark.parametrize("schedule", [VE, DDPM])
def test_recovery_of_one_of_two_patterns_is_the_normal_probability(schedule):
    # A draw ends at the pattern on whose side it starts: p(s) = Phi(d / 2s), s = sigma / alpha, whatever the
    # steps. Draws are counted at six levels; a share may miss by 4 standard errors.
    d, draws, patterns = 0.5, 10_000, two_patterns(0.5, 3)
    if schedule is VE:
        times = torch.tensor([0.1, 0.15, 0.2, 0.3, 0.5, 1.0], dtype=torch.float64).square()
    else:
        times = torch.tensor([20, 40, 70, 120, 200, 400])
    config = BasinConfig(draws=draws, steps=6, every_draw=True, batch_size=4096)
    result = basins(ExactDenoiser(patterns, schedule), patterns[:1], d / 4, config, seed=0, times=times)
    noise = schedule.sigma(times) / schedule.alpha(times)
    expected = torch.tensor([phi(d / (2 * float(s))) for s in noise], dtype=torch.float64)
    error = (expected * (1 - expected) / draws).sqrt()
    assert ((shares(result) - expected).abs() <= 4 * error + 1e-12).all()
    assert 0.5 < float(expected.min()) < 0.9 < float(expected.max())


def test_critical_noise_of_one_of_two_patterns():
    # Phi(d / 2 s) = 0.9 at s = d / 2.5631. With M = 50,000 draws at either pattern the share has standard
    # error 0.0013, which moves s by 0.0013 / (1.2816 phi(1.2816)) = 0.6 %, and the mean of both by 0.42 %;
    # 1 % is 2.4 of these.
    d, draws = 0.5, 50_000
    patterns, target = two_patterns(d, 1), d / 2.5631
    times = (target * torch.linspace(0.95, 1.05, 33, dtype=torch.float64)).square()
    config = BasinConfig(draws=draws, steps=4, batch_size=4096)
    result = basins(ExactDenoiser(patterns, VE), patterns, d / 4, config, seed=0, times=times)
    assert words(result) == ["measured"] * 2
    assert float(result.sigma.mean()) == pytest.approx(target, rel=0.01)


def test_recovery_of_the_mean_of_a_gaussian():
    # The flow shrinks the offset s e of the mean 0 (variance 1) to s e / sqrt(1 + s^2): a draw recovers up to
    # |e| s / sqrt(1 + s^2) <= tolerance, so p(s) = 2 Phi(tolerance sqrt(1 + s^2) / s) - 1. With 200 steps the
    # flow is off by less than 1 %, which moves p by less than 0.005; else 4 standard errors.
    draws, tolerance = 4_000, 0.4
    times = torch.tensor([0.2, 0.4, 0.8]).double().square()
    denoiser = GaussianDenoiser(torch.zeros(1), torch.ones(1), VE, (1,))
    config = BasinConfig(draws=draws, steps=200, every_draw=True, batch_size=4096)
    result = basins(denoiser, torch.zeros(1, 1), tolerance, config, seed=1, times=times)
    s = VE.sigma(times)
    expected = torch.tensor([2 * phi(tolerance * math.sqrt(1 + v * v) / v) - 1 for v in s.tolist()])
    error = (expected * (1 - expected) / draws).sqrt()
    assert ((shares(result) - expected).abs() <= 4 * error + 0.005).all()


@pytest.mark.parametrize("every", [False, True])
def test_bisection_finds_what_a_scan_finds(every):
    memories = crowd()
    points = torch.cat([memories[:6], (memories[:3] + memories[3:6]) / 2, memories[:3] + 0.05])
    denoiser = ExactDenoiser(memories, DDPM)
    fast, slow = (
        basins(denoiser, points, 0.3, BasinConfig(search=search, every_draw=every), seed=0)
        for search in ("bisection", "scan")
    )
    assert fast.monotone.all()
    assert slow.monotone.all()
    for name in ("critical", "draws", "status", "radius"):
        assert torch.equal(getattr(fast, name), getattr(slow, name)), name
    assert set(words(fast)) == {"measured", "never"}
    assert fast.evaluations < slow.evaluations


def test_no_answer_depends_on_the_other_points_or_their_order():
    memories = crowd()
    denoiser, points = ExactDenoiser(memories, DDPM), torch.cat([memories[:5], memories[:5] + 0.03])
    whole = basins(denoiser, points, 0.3, EVERY, seed=0)
    order = torch.tensor([7, 2, 4, 9])
    part = basins(denoiser, points[order], 0.3, BasinConfig(every_draw=True, batch_size=13), seed=0)
    assert torch.equal(part.critical, whole.critical[order])
    assert torch.equal(part.draws, whole.draws[order])
    assert torch.equal(part.radius, whole.radius[order])


def test_draws_of_different_points_and_seeds_differ():
    memories = crowd()
    denoiser = ExactDenoiser(memories, DDPM)
    first, second = (basins(denoiser, memories[:2], 0.3, EVERY, seed=seed).draws for seed in (0, 1))
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_a_model_in_double_precision_sees_the_same_noise():
    memories = crowd()
    single, double = (
        basins(ExactDenoiser(m, DDPM), memories[:4].to(m.dtype), 0.3, EVERY, seed=0)
        for m in (memories, memories.double())
    )
    assert torch.equal(single.draws, double.draws)
    assert torch.allclose(single.radius, double.radius, rtol=1e-6)


def test_critical_noise_scales_with_the_data():
    # Patterns, tolerance and noise of a variance-exploding process times 2: the same levels, twice the noise
    # and the radius, to the rounding of float32. The point 0 stays what it is, and so sees the same draws.
    memories = torch.cat([torch.zeros(1, 16), crowd() / 2])
    one = basins(ExactDenoiser(memories, VE), memories[:1], 0.1, EVERY, seed=0)
    two = basins(ExactDenoiser(2 * memories, VESchedule(2.0)), memories[:1], 0.2, EVERY, seed=0)
    assert torch.equal(one.draws, two.draws)
    assert torch.equal(2 * one.sigma, two.sigma)
    assert torch.allclose(2 * one.radius, two.radius)


def test_never_always_measured_and_failed_are_told_apart():
    memories = crowd(2, 16, "pair")
    points = torch.stack([memories[0], -memories[0], torch.full((16,), torch.nan), memories[1]])
    result = basins(ExactDenoiser(memories, DDPM), points, 0.2, seed=0)
    assert words(result) == ["measured", "never", "failed", "measured"]
    assert result.critical[1:3].tolist() == [-1, -1]
    assert result.radius[1] == result.sigma[1] == 0
    assert result.radius[2].isnan()
    assert result.sigma[2].isnan()
    alone = basins(ExactDenoiser(memories[:1], DDPM), points, 0.2, seed=0)
    assert words(alone) == ["always", "never", "failed", "never"]
    assert float(alone.sigma[0]) == float(DDPM.sigma(torch.tensor(976)))
    measured = CriticalNoise().of(alone)
    assert measured.values.isnan().all()
    assert measured.ranked()[:2].tolist() == [math.inf, -math.inf]
    assert measured.ranked()[2].isnan()


def test_recovery_from_the_lowest_level_only_is_a_measurement():
    memories = crowd(20, 16, "lowest")
    ladder = torch.tensor([1, 900, 950])
    result = basins(ExactDenoiser(memories, DDPM), memories[:3], 0.2, seed=0, times=ladder)
    assert words(result) == ["measured"] * 3
    assert result.critical.tolist() == [0, 0, 0]
    assert torch.equal(result.sigma, DDPM.sigma(ladder[:1]).expand(3))


class BreaksDown(Denoiser):
    """The exact denoiser of some patterns, NaN for states whose first coordinate is above a limit."""

    def __init__(self, patterns, limit=0.0):
        self._exact, self._limit = ExactDenoiser(patterns, DDPM), limit
        self.schedule, self.shape, self.count = DDPM, tuple(patterns.shape[1:]), 0

    def denoise(self, x_t, t):
        self.count += len(x_t)
        broken = (x_t.flatten(1)[:, :1] > self._limit) & (t.unsqueeze(1) < 50)
        return torch.where(broken, torch.nan, self._exact.denoise(x_t, t))


def test_a_point_at_which_the_model_is_not_finite_fails_and_the_rest_goes_on():
    memories = crowd(6, 16, "broken")
    memories[:, 0] = torch.tensor([-0.8, 0.8, -0.9, 0.9, -0.9, -0.8])
    ladder = torch.arange(1, 60, 5)  # no noise carries a point to the other side: sigma is at most 0.2
    result = basins(BreaksDown(memories), memories, 0.3, seed=0, times=ladder)
    whole = basins(ExactDenoiser(memories, DDPM), memories, 0.3, seed=0, times=ladder)
    good = [0, 2, 4, 5]
    assert [index for index, word in enumerate(words(result)) if word == "failed"] == [1, 3]
    assert torch.equal(result.critical[good], whole.critical[good])
    assert torch.equal(result.radius[good], whole.radius[good])


def test_constant_points_are_points():
    memories = torch.stack([torch.zeros(16), torch.ones(16), -torch.ones(16)])
    result = basins(ExactDenoiser(memories, DDPM), memories, 0.3, seed=0)
    assert words(result) == ["measured"] * 3


class Window(Denoiser):
    """Recovers the point 0 in one step, but not from the times between 20 and 490."""

    shape, schedule = (1,), DDPM

    def denoise(self, x_t, t):
        return ((t > 20) & (t < 490)).float().unsqueeze(1).expand_as(x_t)


def test_recovery_that_comes_and_goes_is_undecided_and_reported_by_its_first_failure():
    result = basins(Window(), torch.zeros(1, 1), 0.1, BasinConfig(steps=1), seed=1)
    assert words(result) == ["undecided"]
    assert int(result.times[result.critical[0]]) == 1
    assert not result.monotone[0]
    assert CriticalNoise().of(result).values.isnan().all()


@pytest.mark.parametrize("search", ["bisection", "scan"])
def test_evaluations_are_counted(search):
    memories = crowd(6, 16, "count")
    denoiser = BreaksDown(memories, limit=math.inf)
    result = basins(denoiser, memories, 0.3, BasinConfig(search=search), seed=0)
    assert result.evaluations == denoiser.count > 0


def test_radius_is_the_mean_perturbation_that_was_recovered():
    # E |x - x_t|^2 = (1 - alpha)^2 |x|^2 + D sigma^2; in D = 256 and with 40 draws of equal level the mean of
    # the norms is within 4 / sqrt(2 * 256 * 40) = 3 % of its root.
    memories = crowd(2, 256, "radius")
    result = basins(ExactDenoiser(memories, DDPM), memories, 0.3, BasinConfig(draws=40, share=1.0), seed=0)
    t = result.times[result.critical]
    alpha, sigma = DDPM.alpha(t), DDPM.sigma(t)
    expected = ((1 - alpha) ** 2 * memories.double().square().sum(1) + 256 * sigma**2).sqrt()
    assert torch.allclose(result.radius, expected, rtol=0.03)
    assert (result.draws == result.critical.unsqueeze(1)).all()


class Doubled(Distance):
    """Twice the Euclidean distance."""

    name, unit = "doubled", "twice"

    def embed(self, images):
        return 2 * images.flatten(1)


def test_the_distance_and_tolerance_decide_what_is_recovered():
    memories = crowd(6, 16, "distance")
    denoiser, points = ExactDenoiser(memories, DDPM), memories + 0.05  # 0.2 from a memory
    one = basins(denoiser, points, 0.25, seed=0)
    assert words(one) == ["measured"] * 6
    assert words(basins(denoiser, points, 0.25, seed=0, distance=Doubled())) == ["never"] * 6
    two = basins(denoiser, points, 0.5, seed=0, distance=Doubled())
    assert torch.equal(one.critical, two.critical)
    assert words(basins(denoiser, points, 0.15, seed=0)) == ["never"] * 6


def test_shares_are_counted_in_draws():
    assert BasinConfig().needed == 9
    assert BasinConfig(share=1.0).needed == 10
    assert BasinConfig(share=0.7).needed == 7
    assert BasinConfig(share=0.55, draws=100).needed == 55  # 0.55 * 100 = 55.00000000000001 in floats
    assert BasinConfig(share=0.71).needed == 8


def test_the_default_ladders():
    assert DDPM.ladder().tolist() == list(range(1, 1000, 25))
    assert DDPMSchedule(7).ladder(40).tolist() == [1, 2, 3, 4, 5, 6]
    assert DDPMSchedule(1).ladder().tolist() == [0]
    ladder = VE.ladder(5)
    assert (float(ladder[0]), float(ladder[-1]), len(ladder)) == (pytest.approx(2e-4), pytest.approx(1.0), 5)
    assert torch.allclose(ladder.log().diff(), ladder.log().diff()[0].expand(4))


def test_bad_arguments():
    denoiser, x = ExactDenoiser(crowd(), DDPM), crowd()[:2]
    with pytest.raises(
        ValueError, match=r"`x` must hold points of the model's shape, \(n, 16\), got \(2, 15\)"
    ):
        basins(denoiser, x[:, :15], 0.1, seed=0)
    with pytest.raises(ValueError, match="`x` must hold at least one point"):
        basins(denoiser, x[:0], 0.1, seed=0)
    for tolerance in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="`tolerance` must be a distance of at least 0, got"):
            basins(denoiser, x, tolerance, seed=0)
    with pytest.raises(ValueError, match="`times` must increase"):
        basins(denoiser, x, 0.1, seed=0, times=torch.tensor([5, 5]))
    with pytest.raises(ValueError, match="`times` must be a list of at least one time"):
        basins(denoiser, x, 0.1, seed=0, times=torch.tensor([], dtype=torch.int64))
    with pytest.raises(ValueError, match=r"`times` must be at least 0\.0001, got 1e-05"):
        basins(ExactDenoiser(crowd(), VE), x, 0.1, seed=0, times=torch.tensor([1e-5, 1.0]))
    with pytest.raises(ValueError, match=r"`t` must lie in 0\.\.999"):
        basins(denoiser, x, 0.1, seed=0, times=torch.tensor([5, 1000]))
    with pytest.raises(ValueError, match="`count` must be at least 1, got 0"):
        DDPM.ladder(0)


@pytest.mark.parametrize("count", [1, 7, 40, 150, 300, 400, 600, 999, 1000, 5000])
def test_a_ladder_reaches_as_high_as_its_stride_allows(count):
    levels = DDPMSchedule().ladder(count)
    assert levels[0] == 1
    assert (levels.diff() > 0).all()
    assert len(levels) == min(count, 999)
    assert levels[-1] >= 1000 - math.ceil(1000 / count)

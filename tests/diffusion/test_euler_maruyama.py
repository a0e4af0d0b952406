import math
from itertools import pairwise

import pytest
import torch
from scipy import stats

from spurion.circle.ring import paper_circle
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.euler_maruyama import EulerMaruyamaConfig, sample_sde
from spurion.diffusion.schedule import DDPMSchedule, VESchedule

NINE = paper_circle(9)


def draw(denoiser, count=200, seed=0, patterns=NINE, first=0, **config):
    return sample_sde(
        denoiser, count, EulerMaruyamaConfig(**config), patterns=patterns, seed=seed, first=first
    )


@pytest.mark.parametrize("patterns", [NINE, None], ids=["right start", "the authors' start"])
def test_the_exact_score_leads_to_training_points(patterns):
    samples = draw(ExactDenoiser(NINE, VESchedule()), count=2000, patterns=patterns)
    nearest = torch.cdist(samples, NINE).min(1).values
    # 99.9 % within 0.1, median 2e-5 with 4,000 samples; 0.995 is 5 standard errors below at 2,000.
    assert (nearest < 0.1).double().mean() > 0.995
    assert nearest.median() < 1e-4


def test_the_right_start_draws_all_patterns_equally_often():
    two = torch.tensor([[-3.0, 0.0], [3.0, 0.0]])
    side = draw(ExactDenoiser(two, VESchedule()), count=1000, patterns=two, steps=50)[:, 0] > 0
    assert abs(side.double().mean() - 0.5) < 5 * 0.5 / 1000**0.5


def gaussian(variance=2.0, scale=1.0, dim=1):
    mean = torch.full((dim,), 0.5, dtype=torch.float64)
    return GaussianDenoiser(
        mean, torch.full((dim,), variance, dtype=torch.float64), VESchedule(scale), (dim,)
    )


def gaussian_data(count=20_000, variance=2.0):
    noise = torch.randn(count, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    noise = (noise - noise.mean()) / noise.std()
    return 0.5 + math.sqrt(variance) * noise


@pytest.mark.parametrize(("until", "scale"), [(0.0, 1.0), (0.3, 1.0), (0.3, 2.0)])
def test_samples_of_gaussian_data_follow_their_law(until, scale):
    samples = draw(gaussian(scale=scale), 4000, patterns=gaussian_data(), steps=200, until=until)
    spread = math.sqrt(2 + scale**2 * until)
    assert stats.kstest(samples[:, 0].numpy(), "norm", args=(0.5, spread)).pvalue > 1e-3


def variance_of(steps, scale=1.0, variance=0.5):
    """Variance that the scheme itself ends with at t = 0: every step is linear, x' = a x + b z."""
    step = 1 / steps
    value = variance + scale**2
    for done in range(steps):
        total = variance + scale**2 * (1 - done * step)
        noise = 0 if done == steps - 1 else scale**2 * step
        value = (1 - scale**2 * step / total) ** 2 * value + noise
    return value


def test_samples_that_are_no_numbers_are_an_error():
    with pytest.raises(ValueError, match="The model in memory answers NaN or infinity, or leaves all bounds"):
        draw(Broken(), 3, steps=4)


class Broken(Denoiser):
    """Answers infinity."""

    schedule, shape = VESchedule(), (2,)

    def denoise(self, x_t, t):
        return torch.full_like(x_t, math.inf)


@pytest.mark.parametrize(("steps", "scale"), [(1, 1.0), (2, 1.0), (5, 2.0)])
def test_few_steps_have_the_variance_of_the_scheme(steps, scale):
    samples = draw(
        gaussian(0.5, scale), 20_000, patterns=gaussian_data(variance=0.5), steps=steps, batch_size=20_000
    )
    expected = variance_of(steps, scale)
    # A normal law: the variance of 20,000 draws has standard error expected * sqrt(2 / 20000).
    assert abs(samples.var() - expected) < 5 * expected * (2 / 20_000) ** 0.5
    assert abs(samples.mean() - 0.5) < 5 * (expected / 20_000) ** 0.5


def test_the_scheme_is_of_weak_order_one():
    errors = [abs(variance_of(steps) - 0.5) for steps in (100, 200, 400)]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(abs(order - 1) < 0.2 for order in orders)


def test_a_sample_depends_on_its_index_alone():
    denoiser = ExactDenoiser(NINE, VESchedule())
    whole = draw(denoiser, 10, steps=30)
    assert torch.allclose(draw(denoiser, 10, steps=30, batch_size=3), whole, atol=1e-12)
    assert torch.allclose(draw(denoiser, 4, steps=30, first=5), whole[5:9], atol=1e-12)
    assert not torch.allclose(draw(denoiser, 10, steps=30, seed=1), whole)
    assert whole.dtype == torch.float64


class Recorder(Denoiser):
    """The pattern 0, and a record of what it was asked."""

    def __init__(self):
        self.schedule, self.shape, self.seen = VESchedule(2.0), (3, 1), []

    def denoise(self, x_t, t):
        self.seen.append((float(t[0]), x_t.clone()))
        return torch.zeros_like(x_t)


def test_times_and_starts():
    denoiser = Recorder()
    samples = draw(denoiser, 500, patterns=torch.full((1, 3, 1), 100.0), steps=4)
    assert [t for t, _ in denoiser.seen] == [1.0, 0.75, 0.5, 0.25]
    assert torch.equal(samples, torch.zeros(500, 3, 1))
    start = denoiser.seen[0][1]
    # Noise of standard deviation 2 around 100, or around 0.
    assert abs(start.mean() - 100) < 5 * 2 / 1500**0.5
    assert abs(start.std() - 2) < 5 * 2 / 3000**0.5
    draw(denoiser, 500, patterns=None, steps=4)
    assert torch.allclose(denoiser.seen[4][1], start - 100, atol=1e-4)
    draw(denoiser, 5, patterns=None, steps=2, until=0.5)
    assert [t for t, _ in denoiser.seen[8:]] == [1.0, 0.75]


def test_stopped_early_the_last_step_has_noise():
    samples = draw(Recorder(), 1000, patterns=torch.zeros(1, 3, 1), steps=1, until=0.5)
    # One step from t = 1 of one pattern at 0: half of the start (variance 4) plus noise of variance 2.
    expected = 4 / 4 + 2
    assert abs(samples.var() - expected) < 5 * expected * (2 / 3000) ** 0.5


def test_progress_counts_steps_of_all_batches():
    seen = []
    config = EulerMaruyamaConfig(steps=3, batch_size=4)
    sample_sde(
        Recorder(), 6, config, patterns=None, seed=0, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(i, 6) for i in range(1, 7)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw(Recorder(), 0, patterns=None), "`count` must be at least 1, got 0"),
        (lambda: draw(Recorder(), 1, patterns=None, first=-1), "`first` must be at least 0, got -1"),
        (
            lambda: draw(Recorder(), 1),
            r"must have shape \(K, 3, 1\) with K at least 1, got \(9, 2\)",
        ),
        (lambda: draw(Recorder(), 1, patterns=torch.zeros(0, 3, 1)), r"K at least 1, got \(0, 3, 1\)"),
        (
            lambda: draw(ExactDenoiser(NINE, DDPMSchedule())),
            "`denoiser` must have a VESchedule for this sampler, got DDPMSchedule",
        ),
        (lambda: EulerMaruyamaConfig(until=1.0), "less than 1"),
        (lambda: EulerMaruyamaConfig(steps=0), "greater than 0"),
    ],
)
def test_bad_arguments_get_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()

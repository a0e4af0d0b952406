import math

import pytest
import torch
from scipy.stats import t as student

from spurion.circle.ring import RingEnergy, paper_circle
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.likelihood import energy, log_density
from spurion.diffusion.priors import mixture_prior, normal_prior
from spurion.diffusion.schedule import DDPMSchedule, VESchedule
from spurion.memory.dense import DenseAM

VE = VESchedule()
VP = DDPMSchedule()
NINE = paper_circle(9)


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=stream(seed), dtype=torch.float64)


def coefficients(schedule, t):
    time = torch.as_tensor(t)
    return float(schedule.alpha(time)), float(schedule.sigma(time))


def mixture(patterns, schedule, t, x):
    """Log-density of noisy patterns, by the mixture of normal laws."""
    alpha, sigma = coefficients(schedule, t)
    squares = (x[:, None] - alpha * patterns).flatten(2).square().sum(2)
    dim = patterns[0].numel()
    constant = math.log(len(patterns)) + dim * math.log(math.sqrt(2 * math.pi) * sigma)
    return torch.logsumexp(-squares / (2 * sigma**2), 1) - constant


def noisy(patterns, schedule, t, count=20):
    alpha, sigma = coefficients(schedule, t)
    index = torch.randint(len(patterns), (count,), generator=stream())
    return alpha * patterns[index] + sigma * normal(count, *patterns.shape[1:], seed=1)


# Continuous time


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("t", [1e-3, 0.15, 1.0])
def test_exact_mixture_in_continuous_time(t, scale):
    schedule = VESchedule(scale)
    x = noisy(NINE, schedule, t)
    found = log_density(
        ExactDenoiser(NINE, schedule), x, t, prior=mixture_prior(NINE, schedule), tolerance=1e-8
    )
    torch.testing.assert_close(found.value, mixture(NINE, schedule, t, x), atol=1e-6, rtol=0)
    assert found.calls == found.traces > 0
    assert found.error.isnan().all()


def test_the_default_tolerance_and_its_cost():
    axis = torch.linspace(-1.5, 1.5, 10, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    found = log_density(ExactDenoiser(NINE, VE), x, 0.15, prior=mixture_prior(NINE, VE))
    assert (found.value - mixture(NINE, VE, 0.15, x)).abs().max() < 1e-5
    assert found.calls < 100
    loose = log_density(ExactDenoiser(NINE, VE), x, 0.15, prior=mixture_prior(NINE, VE), tolerance=1e-2)
    assert loose.calls < found.calls


def test_gaussian_data_in_continuous_time():
    variances = torch.tensor([0.1, 2.0, 0.0], dtype=torch.float64)
    denoiser = GaussianDenoiser(torch.tensor([1.0, 0.0, 0.5]).double(), variances, VESchedule(2.0), (3, 1))
    x = normal(7, 3, 1)

    def density(x, t):
        total = variances + 4 * t
        return (-(x.flatten(1) - denoiser.mean).square() / total - total.log() - math.log(2 * math.pi)).sum(
            1
        ) / 2

    found = log_density(denoiser, x, 0.1, prior=lambda z: density(z, 1.0), tolerance=1e-8)
    torch.testing.assert_close(found.value, density(x, 0.1), atol=1e-6, rtol=0)


def test_the_prior_of_the_authors_is_wrong_by_what_is_said():
    ring = RingEnergy(1 / 2)
    x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [3.0, 0.0]]).double()
    difference = normal_prior()(x) - ring.log_density(x)
    assert difference.round(decimals=2).tolist() == [0.5, -0.32, -1.09]


def test_items_do_not_matter_to_each_other():
    denoiser, prior = ExactDenoiser(NINE, VE), mixture_prior(NINE, VE)
    x = noisy(NINE, VE, 0.15, 5)
    whole = log_density(denoiser, x, 0.15, prior=prior)
    split = log_density(denoiser, x, 0.15, prior=prior, batch_size=2)
    # Step sizes differ; the tolerance is 1e-5.
    torch.testing.assert_close(split.value, whole.value, atol=1e-5, rtol=0)
    assert split.calls > whole.calls


# DDPM


@pytest.mark.parametrize("t", [200, 500, 998, 999])
def test_exact_mixture_on_steps(t):
    patterns = torch.rand(5, 6, generator=stream(), dtype=torch.float64) * 2 - 1
    x = noisy(patterns, VP, t)
    found = log_density(ExactDenoiser(patterns, VP), x, t, prior=mixture_prior(patterns, VP))
    # Measured: 6.5e-5 at t = 200 with 50 items, and less at more noise.
    torch.testing.assert_close(found.value, mixture(patterns, VP, t, x), atol=3e-4, rtol=0)


@pytest.mark.parametrize("prior", ["right", "standard normal"])
def test_gaussian_data_on_steps(prior):
    variances = torch.tensor([0.02, 0.3, 1.5], dtype=torch.float64)
    denoiser = GaussianDenoiser(torch.tensor([0.5, 0.0, -0.2]).double(), variances, VP, (3,))

    def density(x, t):
        alpha, sigma = coefficients(VP, t)
        total = alpha**2 * variances + sigma**2
        return (-(x - alpha * denoiser.mean).square() / total - (2 * math.pi * total).log()).sum(1) / 2

    alpha, sigma = coefficients(VP, 20)
    x = alpha * (denoiser.mean + variances.sqrt() * normal(10, 3)) + sigma * normal(10, 3, seed=1)
    last = normal_prior() if prior == "standard normal" else lambda z: density(z, 999)
    found = log_density(denoiser, x, 20, prior=last)
    # What is left of the mean at T - 1, 0.006 times 0.54, is worth that times three standard deviations.
    atol = 1e-3 if prior == "right" else 1e-2
    torch.testing.assert_close(found.value, density(x, 20), atol=atol, rtol=0)


def test_the_error_holds_what_probes_leave_open():
    patterns = torch.rand(4, 6, generator=stream(), dtype=torch.float64)
    denoiser, prior = ExactDenoiser(patterns, VP), mixture_prior(patterns, VP)
    x = noisy(patterns, VP, 250, 1)
    exact = log_density(denoiser, x, 250, prior=prior)
    options = {"prior": prior, "divergence": "hutchinson", "generator": stream()}
    many = x.expand(400, -1)
    found = log_density(denoiser, many, 250, probes=40, **options)
    off = (found.value - exact.value).abs()
    # 95 % of 400 within the interval, 5 standard errors (of 1 %) below that at the least; were it the error
    # of the steps alone, hardly any. Few probes of few coordinates are less normal: of 8, 87 %.
    assert (off <= found.error).double().mean() > 0.9
    assert (off <= exact.error).double().mean() < 0.3
    # Student's t with 39 degrees of freedom times the scatter over draws of forty.
    half = float(student.ppf(0.975, 39)) * float(found.value.std())
    assert float((found.error - exact.error).mean()) == pytest.approx(half, rel=0.15)
    assert log_density(denoiser, x, 250, probes=1, **options).error.isnan().all()


def test_the_error_on_steps_is_an_upper_bound_of_second_order():
    patterns = torch.rand(5, 6, generator=stream(), dtype=torch.float64) * 2 - 1
    x, prior = noisy(patterns, VP, 300), mixture_prior(patterns, VP)
    truth = mixture(patterns, VP, 300, x)
    found = {n: log_density(ExactDenoiser(patterns, VP), x, 300, prior=prior, steps=n) for n in (30, 60, 120)}
    for result in found.values():
        assert ((result.value - truth).abs() < result.error + 1e-4).all()
    orders = [math.log2(found[n].error.median() / found[2 * n].error.median()) for n in (30, 60)]
    assert all(abs(order - 2) < 0.3 for order in orders)


def test_cost_on_steps():
    patterns = torch.zeros(1, 2).double()
    found = log_density(ExactDenoiser(patterns, VP), patterns, 300, prior=normal_prior(), steps=10)
    # Heun on 10 intervals and on 5: two calls each and the first; a trace at each node.
    assert (found.calls, found.traces) == (2 * 15 + 2, 15 + 2)
    few = DDPMSchedule(4, 0.01, 0.3)
    found = log_density(ExactDenoiser(patterns, few), patterns, 0, prior=normal_prior(), steps=50)
    assert found.traces == 4 + 3  # nodes 0, 1, 2, 3 and 0, 2, 3


@pytest.mark.parametrize("schedule", [VE, VP], ids=["ve", "ddpm"])
def test_one_pattern_is_a_normal_law(schedule):
    pattern = torch.tensor([[0.5, -0.5]]).double()
    t = 0.15 if schedule is VE else 300
    x = noisy(pattern, schedule, t)
    found = log_density(ExactDenoiser(pattern, schedule), x, t, prior=mixture_prior(pattern, schedule))
    # The paths are straight lines in the noise: exact up to rounding and the tolerance.
    torch.testing.assert_close(found.value, mixture(pattern, schedule, t, x), atol=1e-6, rtol=0)


# Both


@pytest.mark.parametrize("schedule", [VE, VP], ids=["ve", "ddpm"])
def test_hutchinson_is_unbiased(schedule):
    patterns = torch.rand(4, 1, 2, 3, generator=stream(), dtype=torch.float64)
    denoiser, prior = ExactDenoiser(patterns, schedule), mixture_prior(patterns, schedule)
    t, x = (0.1, noisy(patterns, VE, 0.1, 1)) if schedule is VE else (250, noisy(patterns, VP, 250, 1))
    exact = float(log_density(denoiser, x, t, prior=prior).value)
    many = x.expand(400, -1, -1, -1)
    options = {"divergence": "hutchinson", "generator": stream()}
    single = log_density(denoiser, many, t, prior=prior, probes=1, **options).value
    assert abs(single.mean() - exact) < 5 * single.std() / 400**0.5 + 1e-4
    assert single.std() > 1e-3
    eight = log_density(denoiser, many, t, prior=prior, probes=8, **options).value
    # A standard deviation of 400 draws is known within 5 / sqrt(2 * 400) = 18 %, the ratio within 25 %.
    assert abs(single.std() / eight.std() / 8**0.5 - 1) < 0.25


@pytest.mark.parametrize("schedule", [VE, VP], ids=["ve", "ddpm"])
def test_a_failing_model_gives_nan_for_its_items_only(schedule):
    class Partly(Denoiser):
        def __init__(self):
            self.schedule, self.shape, self.dtype = schedule, (1,), torch.float64

        def denoise(self, x_t, t):
            return torch.where(x_t > 5, math.nan, 0.5 * x_t)

    t = 0.5 if schedule is VE else 500
    x = torch.tensor([[0.1], [9.0], [-0.2]]).double()
    value = log_density(Partly(), x, t, prior=normal_prior()).value
    assert value.isnan().tolist() == [False, True, False]
    alone = log_density(Partly(), x[:1], t, prior=normal_prior()).value
    torch.testing.assert_close(value[:1], alone, atol=1e-4, rtol=0)


def test_a_float32_network_on_steps_keeps_its_parameters_clean():
    denoiser = MLPConfig(width=16, blocks=1).build(torch.zeros(1, 4), VP, generator=stream())
    found = log_density(denoiser, 0.5 * normal(3, 4).float(), 100, prior=normal_prior())
    assert found.value.dtype == torch.float64
    assert found.value.isfinite().all()
    assert all(p.grad is None for p in denoiser.network.parameters())


def test_energies():
    x = noisy(NINE, VE, 0.15)
    found = energy(mixture(NINE, VE, 0.15, x), VE, 0.15)
    memory = DenseAM(NINE, 1 / 0.3)
    difference = found - memory.energy(x)
    torch.testing.assert_close(difference, difference[:1].expand(20))
    alpha, sigma = coefficients(VP, 300)
    memory = DenseAM(NINE, (alpha / sigma) ** 2 / 2)
    x = noisy(NINE, VP, 300)
    difference = energy(mixture(NINE, VP, 300, x), VP, 300) - memory.energy(x / alpha)
    torch.testing.assert_close(difference, difference[:1].expand(20))


def test_progress_counts_items():
    seen = []
    log_density(
        ExactDenoiser(NINE, VE),
        NINE[:5],
        1.0,
        prior=normal_prior(),
        batch_size=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_priors_are_normalized_and_any_shape():
    patterns = torch.rand(3, 1, 2, 2, generator=stream(), dtype=torch.float64)
    for schedule, t in ((VESchedule(0.7), 1.0), (DDPMSchedule(10, 0.01, 0.2), 9)):
        x = normal(4, 1, 2, 2)
        torch.testing.assert_close(mixture_prior(patterns, schedule)(x), mixture(patterns, schedule, t, x))
    expected = torch.distributions.Normal(0.0, 1.5).log_prob(normal(4, 3)).sum(1)
    torch.testing.assert_close(normal_prior(1.5)(normal(4, 3)), expected)


def call(x=None, t=0.15, schedule=VE, **options):
    return log_density(
        ExactDenoiser(NINE, schedule), NINE if x is None else x, t, prior=normal_prior(), **options
    )


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda: call(x=NINE[:, :1]), r"`x` must have shape \(n, 2\) with n at least 1, got \(9, 1\)"),
        (lambda: call(x=NINE[:0]), r"with n at least 1, got \(0, 2\)"),
        (lambda: call(x=NINE * math.nan), "`x` must be finite"),
        (lambda: call(t=0.0), r"`t` must lie in \(0, 1\], got 0.0"),
        (lambda: call(t=1.5), r"`t` must lie in \(0, 1\], got 1.5"),
        (lambda: call(t=1000, schedule=VP), r"`t` must be a step in 0\.\.999, got 1000"),
        (lambda: call(t=-1, schedule=VP), r"`t` must be a step in 0\.\.999, got -1"),
        (lambda: call(t=0.5, schedule=VP), r"`t` must be a step in 0\.\.999, got 0.5"),
        (lambda: call(divergence="stein"), "`divergence` must be one of exact, hutchinson, got 'stein'"),
        (lambda: call(divergence="hutchinson"), "`generator` is needed for the probes"),
        (lambda: call(probes=0), "`probes` must be at least 1, got 0"),
        (lambda: call(batch_size=0), "`batch_size` must be at least 1, got 0"),
        (lambda: call(t=5, schedule=VP, steps=0), "`steps` must be at least 1, got 0"),
        (lambda: call(tolerance=0.0), "`tolerance` must be positive, got 0"),
        (lambda: call(steps=10), "`steps` has no meaning for a VESchedule; leave it out"),
        (lambda: call(t=5, schedule=VP, tolerance=1e-3), "`tolerance` has no meaning for a DDPMSchedule"),
        (lambda: normal_prior(0.0), "`std` must be positive and finite, got 0"),
        (lambda: normal_prior(math.inf), "`std` must be positive and finite, got inf"),
    ],
)
def test_bad_arguments_get_one_sentence(bad, message):
    with pytest.raises(ValueError, match=message):
        bad()

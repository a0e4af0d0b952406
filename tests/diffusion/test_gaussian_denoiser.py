import math
from itertools import pairwise

import pytest
import torch
from torch.distributions import MultivariateNormal

from spurion.diffusion.denoisers.gaussian import GaussianConfig, GaussianDenoiser, Spectrum
from spurion.diffusion.samplers import SamplerConfig, reverse, sample
from spurion.diffusion.schedule import DDPMSchedule

SCHEDULE = DDPMSchedule()
MEAN = torch.tensor([0.3, -0.5, 0.1], dtype=torch.float64)
FACTOR = torch.tensor([[0.6, 0.2, -0.3], [0.1, 0.5, 0.4], [0.0, 0.1, 0.3]], dtype=torch.float64)
COVARIANCE = FACTOR.T @ FACTOR


def noisy(n=6):
    return torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def solved(x_t, t, covariance):
    """The posterior mean as conditioning is written down: mean + cov(x, x_t) cov(x_t)^-1 (x_t - mean)."""
    alpha, sigma = SCHEDULE.alpha(torch.tensor(t)), SCHEDULE.sigma(torch.tensor(t))
    marginal = alpha**2 * covariance + sigma**2 * torch.eye(3, dtype=torch.float64)
    return MEAN + alpha * torch.linalg.solve(marginal, (x_t - alpha * MEAN).T).T @ covariance


@pytest.mark.parametrize("t", [0, 100, 999])
@pytest.mark.parametrize(
    ("covariance", "dense"),
    [
        (COVARIANCE, COVARIANCE),
        (
            torch.tensor([0.5, 0.0, 2.0], dtype=torch.float64),
            torch.diag(torch.tensor([0.5, 0.0, 2.0]).double()),
        ),
        (Spectrum.of_factor(FACTOR[:2]), FACTOR[:2].T @ FACTOR[:2]),
        (Spectrum.of_factor(torch.cat([FACTOR, FACTOR])), 2 * COVARIANCE),
        (torch.zeros(3, 3, dtype=torch.float64), torch.zeros(3, 3, dtype=torch.float64)),
    ],
    ids=["full", "diagonal", "low rank", "many rows", "zero"],
)
def test_posterior_mean_solves_the_linear_system(covariance, dense, t):
    denoiser = GaussianDenoiser(MEAN, covariance, SCHEDULE, (3,))
    # The inverse of the marginal magnifies rounding by at most 1 / sigma_0^2 = 1e4.
    torch.testing.assert_close(denoiser(noisy(), t), solved(noisy(), t, dense), atol=1e-11, rtol=0)


def test_low_rank_stores_no_more_than_its_rank():
    spectrum = Spectrum.of_factor(FACTOR[:2])
    assert spectrum.variances.shape == (2,)
    assert spectrum.directions.shape == (2, 3)
    identity = spectrum.directions @ spectrum.directions.T
    torch.testing.assert_close(identity, torch.eye(2, dtype=torch.float64), atol=1e-14, rtol=0)


@pytest.mark.parametrize("t", [0, 300, 999])
def test_score_is_the_gradient_of_the_log_density(t):
    alpha, sigma = SCHEDULE.alpha(torch.tensor(t)), SCHEDULE.sigma(torch.tensor(t))
    marginal = alpha**2 * COVARIANCE + sigma**2 * torch.eye(3, dtype=torch.float64)
    x_t = noisy().requires_grad_()
    (expected,) = torch.autograd.grad(MultivariateNormal(alpha * MEAN, marginal).log_prob(x_t).sum(), x_t)
    score = GaussianDenoiser(MEAN, COVARIANCE, SCHEDULE, (3,)).score(x_t.detach(), t)
    torch.testing.assert_close(score, expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(
    "config",
    [
        SamplerConfig(kind="ddpm", steps=1000, clip=False, batch_size=4000),
        SamplerConfig(kind="ddim", steps=1000, clip=False, batch_size=4000),
        SamplerConfig(kind="ddim", steps=500, eta=0.5, clip=False, batch_size=4000),
    ],
    ids=["ddpm", "ddim", "ddim eta=0.5"],
)
def test_samples_have_the_mean_and_covariance(config):
    n = 4000
    denoiser = GaussianDenoiser(MEAN, COVARIANCE, SCHEDULE, (3,))
    samples = sample(denoiser, n, config, seed=0)
    variances = COVARIANCE.diagonal()
    assert ((samples.mean(0) - MEAN).abs() < 4 * (variances / n).sqrt()).all()
    # Isserlis: the variance of a sample covariance is (S_ii S_jj + S_ij^2) / n.
    error = torch.cov(samples.T) - COVARIANCE
    assert (error.abs() < 4 * ((variances[:, None] * variances + COVARIANCE**2) / n).sqrt()).all()


def flowed(x_t, t):
    """Exact probability flow from t to 0 and the posterior mean there: one factor for each direction."""
    variances, directions = torch.linalg.eigh(COVARIANCE)
    here, there = ((SCHEDULE.alpha(s), SCHEDULE.sigma(s)) for s in (torch.tensor(t), torch.tensor(0)))
    offset = (x_t - here[0] * MEAN) @ directions
    spread = [(alpha**2 * variances + sigma**2).sqrt() for alpha, sigma in (here, there)]
    x_0 = there[0] * MEAN + (offset * spread[1] / spread[0]) @ directions.T
    return solved(x_0, 0, COVARIANCE)


@pytest.mark.parametrize("t", [999, 400])
def test_ddim_is_of_first_order(t):
    denoiser = GaussianDenoiser(MEAN, COVARIANCE, SCHEDULE, (3,))
    ends = [reverse(denoiser, noisy(), t, steps, clip=False) for steps in (25, 50, 100, 200)]
    errors = [(end - flowed(noisy(), t)).norm().item() for end in ends]
    slopes = [math.log(a / b, 2) for a, b in pairwise(errors)]
    assert errors[-1] < 0.1
    assert all(abs(slope - 1) < 0.2 for slope in slopes), slopes


@pytest.mark.parametrize("count", [3, 30])  # fewer and more images than coordinates
def test_a_fit_has_the_moments_of_the_images(count):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 1, 2, 3, generator=generator)
    denoiser = GaussianConfig().build(images, SCHEDULE, generator=generator)
    variances, directions = denoiser.spectrum
    data = images.flatten(1).double()
    assert len(variances) == min(count, 6)
    torch.testing.assert_close(denoiser.mean.double(), data.mean(0), atol=1e-7, rtol=0)
    covariance = torch.cov(data.T, correction=0)
    # float32 storage of numbers of size 1
    torch.testing.assert_close(
        (directions.T * variances @ directions).double(), covariance, atol=1e-6, rtol=0
    )
    assert (denoiser.shape, denoiser.dtype) == ((1, 2, 3), torch.float32)


@pytest.mark.parametrize(
    ("mean", "covariance", "shape", "message"),
    [
        (MEAN, COVARIANCE, (2,), r"`shape` must have 3 coordinates like `mean`, got \(2,\)"),
        (
            MEAN,
            torch.eye(2),
            (3,),
            r"`covariance` must have shape \(3, 3\) or \(3,\) like `mean`, got \(2, 2\)",
        ),
        (MEAN, torch.full((3,), math.inf), (3,), "`covariance` must be finite"),
        (MEAN, FACTOR, (3,), "`covariance` must be symmetric"),
        (MEAN, torch.diag(torch.tensor([1.0, -0.5, 1.0])), (3,), "no negative variance, got -0.5"),
        (MEAN, torch.tensor([1.0, 1.0, -0.25]), (3,), "no negative variance, got -0.25"),
    ],
)
def test_bad_gaussians(mean, covariance, shape, message):
    with pytest.raises(ValueError, match=message):
        GaussianDenoiser(mean, covariance, SCHEDULE, shape)


def test_images_must_be_finite():
    images = torch.full((2, 1, 2, 2), math.nan)
    with pytest.raises(ValueError, match="`images` must be finite"):
        GaussianConfig().build(images, SCHEDULE, generator=torch.Generator())

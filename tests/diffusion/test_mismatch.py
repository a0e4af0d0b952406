import math

import pytest
import torch

from curved import Faulty
from spurion.core.random import generator
from spurion.diffusion import DDPMSchedule, GaussianDenoiser, log_density, normal_prior
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.mismatch import Moments, moments, prior_mismatch

VP = DDPMSchedule()
LAST = torch.tensor(VP.last_time)
ALPHA, SIGMA = float(VP.alpha(LAST)), float(VP.sigma(LAST))


def normal(*shape, seed="x"):
    return torch.randn(*shape, generator=generator(0, seed), dtype=torch.float64)


def test_moments_are_those_of_the_data():
    # Ten steps shrink the offset of the mean to (lambda / (lambda + 100))^10, below 1e-13 up to lambda = 4.
    # The mean slope is that of all lambda, to order lambda / 100; random signs see a diagonal exactly.
    mean, variances = normal(6, seed="mean"), torch.tensor([0.0, 0.1, 0.2, 0.5, 1.0, 4.0]).double()
    found = moments(GaussianDenoiser(mean, variances, VP, (1, 2, 3)))
    assert torch.allclose(found.mean, mean.view(1, 1, 2, 3), atol=1e-12)
    assert found.variance == pytest.approx(float(variances.mean()), rel=0.03)


def test_moments_of_patterns_and_of_one():
    patterns = 0.5 * normal(9, 4, seed="patterns")
    found = moments(ExactDenoiser(patterns, VP))
    assert torch.allclose(found.mean[0], patterns.mean(dim=0), atol=0.02)
    assert found.variance == pytest.approx(float(patterns.var(dim=0, correction=0).mean()), rel=0.5)
    one = moments(ExactDenoiser(patterns[:1], VP))
    assert torch.allclose(one.mean, patterns[:1], atol=1e-12)
    assert one.variance == 0.0


@pytest.mark.parametrize("known", [0.0, 1.0])
def test_the_mismatch_of_an_isotropic_law_is_the_difference_of_densities(known):
    mean, x = 0.4 * normal(1, 5, seed="mean"), normal(7, 5)
    law = torch.distributions.Normal(ALPHA * mean, math.sqrt(SIGMA**2 + ALPHA**2 * 0.3))
    true = law.log_prob(x).sum(dim=1)
    prior = normal_prior() if known == 0 else lambda y: law.log_prob(y).sum(dim=1)
    found = prior_mismatch(Moments(mean, 0.3), prior, x, VP)
    unknown = (ALPHA / SIGMA) ** 2 * 5 * 0.3 / math.sqrt(2)
    assert torch.allclose(found, (true - prior(x)).abs() + unknown, atol=1e-12)


@pytest.mark.parametrize(
    ("scale", "variance", "power"),
    [(0.5, 0.5, 1), (0.5, 0.5, 4), (0.0, 0.5, 1), (2.0, 4.0, 4), (0.9, 0.1, 1)],
    ids=["images", "soft", "centered", "wide", "far"],
)
def test_the_stated_error_covers_the_true_one(scale, variance, power):
    # 16-D Gaussians about their axes, which lose nothing: all errors are invariant under rotation.
    offs, errors = [], []
    for trial in range(2):
        mean = scale * normal(16, seed=f"mean {trial}")
        shares = torch.rand(16, generator=generator(trial, "spectrum"), dtype=torch.float64)
        spectrum = variance * shares**power
        denoiser = GaussianDenoiser(mean, spectrum, VP, (16,))
        t = VP.nearest(0.5)
        alpha, sigma = float(VP.alpha(torch.tensor(t))), float(VP.sigma(torch.tensor(t)))
        x = alpha * (mean + spectrum.sqrt() * normal(50, 16, seed=f"x {trial}"))
        law = torch.distributions.Normal(alpha * mean, (alpha**2 * spectrum + sigma**2).sqrt())
        found = log_density(denoiser, x, t, prior=normal_prior(), steps=60)
        offs.append((found.value - law.log_prob(x).sum(dim=1)).abs())
        errors.append(found.error)
    off, error = torch.cat(offs), torch.cat(errors)
    assert (off <= error).double().mean() >= 0.9
    assert error.mean() < 15 * off.mean()  # centered data: the steps are off by less than is stated


def test_the_right_prior_is_not_charged_with_the_mean():
    mean, variances = normal(4, seed="mean"), torch.full((4,), 0.3, dtype=torch.float64)
    law = torch.distributions.Normal(ALPHA * mean, math.sqrt(SIGMA**2 + ALPHA**2 * 0.3))
    denoiser = GaussianDenoiser(mean, variances, VP, (4,))
    errors = [
        log_density(denoiser, normal(20, 4), 600, prior=prior, steps=30).error.mean()
        for prior in (lambda x: law.log_prob(x).sum(dim=1), normal_prior())
    ]
    assert errors[0] < 0.3 * errors[1]


def test_an_answer_that_is_not_finite_leaves_the_error_unknown():
    class Broken(Faulty):
        def denoise(self, x_t, t):
            return super().denoise(x_t, t) * math.nan

    found = moments(Broken(ExactDenoiser(torch.zeros(1, 2), VP)))
    assert math.isnan(found.variance)
    assert prior_mismatch(found, normal_prior(), torch.zeros(3, 2).double(), VP).isnan().all()


def test_a_network_is_asked_at_a_noise_it_knows():
    images = torch.rand(4, 1, 4, 4, generator=generator(0, "images"))
    network = MLPConfig(width=16, blocks=1).build(images, VP, generator=generator(0, "weights"))
    found = moments(network)
    assert found.mean.shape == (1, 1, 4, 4)
    assert found.mean.dtype == torch.float64
    assert 0 <= found.variance < math.inf

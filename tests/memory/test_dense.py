"""Known answers: two patterns in closed form, and the log-density written out and differentiated."""

import math

import pytest
import torch

from spurion.core.random import generator
from spurion.memory.dense import DenseAM, inverse_temperature


def log_density_by_hand(x, patterns, sigma):
    squares = (x[:, None] - patterns).square().sum(-1)
    normal = -squares / (2 * sigma**2) - 0.5 * patterns.shape[1] * math.log(2 * math.pi * sigma**2)
    return torch.logsumexp(normal, dim=1) - math.log(len(patterns))


def noisy_patterns(dim, sigma, count=20, number=50, offset=3.0, dtype=torch.float64):
    rng = generator(0, "dense", dim)
    patterns = torch.randn(number, dim, generator=rng, dtype=torch.float64).to(dtype) + offset
    noise = torch.randn(count, dim, generator=rng, dtype=torch.float64).to(dtype)
    return patterns, patterns[:count] + sigma * noise


def exact_score(x, patterns, sigma):
    x = x.double().requires_grad_()
    value = log_density_by_hand(x, patterns.double(), sigma)
    return value.detach(), torch.autograd.grad(value.sum(), x)[0]


SIGMAS = [1e-4, 1e-3, 1e-2, 0.1, 0.3, 1.0, 10.0, 1e2, 1e4]


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("dim", [1, 2, 16, 17, 64, 784])
def test_score_is_the_gradient_of_the_log_density_in_float64(dim, sigma):
    patterns, x = noisy_patterns(dim, sigma)
    value, score = exact_score(x, patterns, sigma)
    memory = DenseAM(patterns, inverse_temperature(sigma))
    found = memory.score(x)
    assert ((found - score).norm(dim=1) <= 1e-10 * score.norm(dim=1)).all()
    # The log-density cancels against its constant, so its error counts against the larger part.
    scale = value.abs() + dim * abs(math.log(sigma)) + 1
    assert ((memory.log_density(x) - value).abs() <= 1e-12 * scale).all()


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("dim", [2, 784])
def test_score_is_right_in_float32(dim, sigma):
    # Rounding of x alone moves the score by eps |x| / sigma^2, so the truth is taken at the rounded data.
    patterns, x = noisy_patterns(dim, sigma, dtype=torch.float32)
    _, score = exact_score(x, patterns, sigma)
    found = DenseAM(patterns, inverse_temperature(sigma)).score(x)
    assert found.dtype == torch.float32
    assert ((found - score).norm(dim=1) <= 1e-4 * score.norm(dim=1)).all()

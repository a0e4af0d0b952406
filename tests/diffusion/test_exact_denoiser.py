import math
from dataclasses import dataclass

import pytest
import torch

from spurion.data import load_split
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.samplers import SamplerConfig, sample
from spurion.diffusion.schedule import DDPMSchedule, VESchedule

SCHEDULE = DDPMSchedule()


@dataclass(frozen=True)
class NoiseIsTime(VESchedule):
    """sigma_t = t, with any scale: every noise level can be asked for."""

    scale: float

    def alpha(self, t):
        return torch.full_like(t, self.scale, dtype=torch.float64)

    def sigma(self, t):
        return t.double()


def log_density(x_t, patterns, alpha, sigma):
    """The mixture of Gaussians as it is written down, without any care for speed."""
    squares = (x_t[:, None] - alpha * patterns).square().sum(2)
    constant = math.log(len(patterns)) + patterns.shape[1] * math.log(sigma * math.sqrt(2 * math.pi))
    return torch.logsumexp(-squares / (2 * sigma**2), dim=1) - constant


@pytest.mark.parametrize("dim", [3, 40])  # few and many coordinates are computed in different ways
@pytest.mark.parametrize("alpha", [1.0, 0.3])
@pytest.mark.parametrize("sigma", [10.0**k for k in range(-4, 5)])
def test_score_is_the_gradient_of_the_log_density(sigma, alpha, dim):
    generator = torch.Generator().manual_seed(dim)
    patterns = torch.rand(7, dim, dtype=torch.float64, generator=generator) * 2 - 1
    patterns[1] = patterns[0] + 1e-3  # close, but told apart at low noise
    patterns[6] = patterns[5]  # an exact copy
    noise = torch.randn(7, dim, dtype=torch.float64, generator=generator)
    middle = alpha * (patterns[:1] + patterns[1:2]) / 2
    x_t = torch.cat([alpha * patterns + sigma * noise, alpha * patterns, middle, 3 * noise]).requires_grad_()
    far = slice(15, None)  # up to 1e5 sigma from all patterns: logits of 1e9, whose rounding is 1e-7
    (expected,) = torch.autograd.grad(log_density(x_t, patterns, alpha, sigma).sum(), x_t)
    score = ExactDenoiser(patterns, NoiseIsTime(alpha)).score(x_t.detach(), sigma)
    scale = expected.abs().amax(dim=1, keepdim=True).clamp(min=1 / sigma)  # the unit of a score is 1 / sigma
    error = (score - expected).abs() / scale
    assert error[:15].max() < 1e-10
    assert error[far].max() < 1e-7


def test_one_pattern_is_always_the_answer():
    pattern = torch.linspace(-1, 1, 12, dtype=torch.float64).view(1, 3, 2, 2)
    denoiser = ExactDenoiser(pattern, SCHEDULE)
    x_t = torch.randn(5, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for t in (0, 400, 999):  # at 999 the noise weighs 160 times as much as the pattern
        torch.testing.assert_close(denoiser(x_t, t), pattern.expand(5, -1, -1, -1), atol=1e-13, rtol=0)


def test_two_patterns_give_a_hyperbolic_tangent():
    denoiser = ExactDenoiser(torch.tensor([[-1.0], [1.0]], dtype=torch.float64), SCHEDULE)
    x_t = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    for t in (100, 500, 999):
        alpha, sigma = float(SCHEDULE.alpha(torch.tensor(t))), float(SCHEDULE.sigma(torch.tensor(t)))
        torch.testing.assert_close(denoiser(x_t, t), torch.tanh(alpha * x_t / sigma**2), atol=1e-13, rtol=0)


def test_the_score_of_each_item_belongs_to_its_own_time():
    patterns = torch.rand(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    denoiser = ExactDenoiser(patterns, SCHEDULE)
    x_t = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    together = denoiser(x_t, torch.tensor([900, 20, 300]))
    for i, t in enumerate((900, 20, 300)):
        torch.testing.assert_close(together[i], denoiser(x_t, t)[i], atol=1e-14, rtol=0)


@pytest.mark.parametrize(("dtype", "steps"), [(torch.float32, 1000), (torch.float64, 200)])
def test_every_ancestral_sample_is_a_digit_that_was_stored(dtype, steps):
    digits = load_split("digits").train.images[:64].to(dtype)
    samples = sample(ExactDenoiser(digits, SCHEDULE), 200, SamplerConfig(steps=steps), seed=0)
    assert samples.dtype == dtype
    distances = (samples[:, None] - digits).flatten(2).norm(dim=2)
    assert distances.min(dim=1).values.max() < 1e-3
    assert len(distances.argmin(dim=1).unique()) > 40  # 64 (1 - exp(-200 / 64)) = 61 are expected


def test_two_memories_are_equally_likely():
    patterns = torch.tensor([[-1.0, 0.5], [1.0, 0.5]], dtype=torch.float64)
    config = SamplerConfig(steps=100, batch_size=1000)
    share = sample(ExactDenoiser(patterns, SCHEDULE), 1000, config, seed=1)[:, 0].gt(0).double().mean()
    assert abs(share - 0.5) < 4 * math.sqrt(0.25 / 1000)


def test_patterns_must_be_a_stack_of_items():
    with pytest.raises(ValueError, match=r"`patterns` must have shape \(K, \*shape\), got \(3,\)"):
        ExactDenoiser(torch.zeros(3), SCHEDULE)
    with pytest.raises(ValueError, match="`patterns` must be finite, got NaN or infinity in 1 of 2 patterns"):
        ExactDenoiser(torch.tensor([[0.0, math.nan], [0.0, 1.0]]), SCHEDULE)

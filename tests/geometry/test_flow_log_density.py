import math

import pytest
import torch

from curved import SCHEDULE, Faulty, Turned
from spurion.core.random import generator
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.schedule import VESchedule
from spurion.geometry.log_density import FlowLogDensity, flow_log_density


def draws():
    return generator(0, "log density")


def coefficients(noise):
    t = torch.tensor(SCHEDULE.nearest(noise))
    return float(SCHEDULE.alpha(t)), float(SCHEDULE.sigma(t))


def test_a_gaussian_has_its_density_at_the_noise():
    variances = torch.tensor([0.05, 0.2, 0.4], dtype=torch.float64)
    denoiser = GaussianDenoiser(torch.zeros(3, dtype=torch.float64), variances, SCHEDULE, (1, 1, 3))
    x = torch.randn(4, 1, 1, 3, generator=draws(), dtype=torch.float64) * 0.4
    for noise in (0.1, 0.6):
        alpha, sigma = coefficients(noise)
        law = torch.distributions.Normal(0.0, (alpha**2 * variances + sigma**2).sqrt())
        expected = law.log_prob(alpha * x.flatten(1)).sum(dim=1)
        # Random signs give the trace of a diagonal Jacobian exactly; the rest is the error of the steps, of
        # second order at least: four times as many leave a sixteenth.
        for steps, tolerance in ((50, 5e-3), (200, 3e-4)):
            found = FlowLogDensity(noise=noise, steps=steps)(denoiser, x, generator=draws())
            assert found.has("measured").all()
            assert torch.allclose(found.values, expected, atol=tolerance, rtol=0)


def test_the_mid_point_of_two_patterns():
    # Both patterns count alike there: log p = log N(d / 2 away), in closed form.
    patterns = torch.tensor([[-0.3, 0.0], [0.3, 0.0]], dtype=torch.float64)
    alpha, sigma = coefficients(0.5)
    found = FlowLogDensity(noise=0.5, probes=64, steps=100)(
        ExactDenoiser(patterns, SCHEDULE), torch.zeros(1, 2, dtype=torch.float64), generator=draws()
    )
    expected = -math.log(2 * math.pi * sigma**2) - (0.3 * alpha) ** 2 / (2 * sigma**2)
    assert found.values.item() == pytest.approx(expected, abs=5e-3)


def test_the_error_covers_steps_and_probes():
    # Correlated data: random signs see the trace of a Jacobian only on average.
    variances = torch.tensor([0.4, 0.05, 0.01], dtype=torch.float64)
    denoiser = Turned(variances, (3,))
    x = 0.3 * torch.randn(1, 3, generator=draws(), dtype=torch.float64).expand(200, -1)
    alpha, sigma = coefficients(0.1)
    law = torch.distributions.Normal(0.0, (alpha**2 * variances + sigma**2).sqrt())
    expected = law.log_prob(alpha * denoiser.turned(x)).sum(dim=1)
    for probes, steps in ((4, 50), (200, 8)):  # mostly the probes, mostly the steps
        found = flow_log_density(denoiser, x, noise=0.1, probes=probes, steps=steps, generator=draws())
        off = (found.measured.values - expected).abs()
        assert off.max() > 0.01
        assert (off <= found.error).double().mean() > 0.9
        assert found.error.median() < 20 * off.median()


def test_bad_points_fail_alone():
    denoiser = Faulty(ExactDenoiser(torch.zeros(1, 2), SCHEDULE))
    x = torch.tensor([[0.1, 0.0], [math.nan, 0.0], [9.0, 0.0], [0.2, 0.0]])
    found = FlowLogDensity()(denoiser, x, generator=draws())
    assert found.has("failed").tolist() == [False, True, True, False]
    assert found.values.isnan().tolist() == [False, True, True, False]
    assert flow_log_density(denoiser, x, generator=draws()).error.isnan().tolist() == [
        False,
        True,
        True,
        False,
    ]


def test_a_variance_exploding_model_is_refused():
    denoiser = ExactDenoiser(torch.zeros(1, 2), VESchedule())
    with pytest.raises(ValueError, match="`denoiser` must have a DDPMSchedule, got VESchedule"):
        FlowLogDensity()(denoiser, torch.zeros(1, 2), generator=draws())


class Constant(Denoiser):
    """A model whose answer does not depend on the question."""

    def __init__(self):
        self.schedule, self.shape, self.dtype = SCHEDULE, (2,), torch.float64

    def denoise(self, x_t, t):
        return torch.zeros_like(x_t)


def test_a_constant_answer_is_that_of_one_pattern():
    x = torch.tensor([[0.0, 0.0], [0.3, -0.1]], dtype=torch.float64)
    alpha, sigma = coefficients(0.3)
    expected = -math.log(2 * math.pi * sigma**2) - (alpha * x).square().sum(dim=1) / (2 * sigma**2)
    found = FlowLogDensity(noise=0.3, steps=200)(Constant(), x, generator=draws())
    assert torch.allclose(found.values, expected, atol=5e-3)

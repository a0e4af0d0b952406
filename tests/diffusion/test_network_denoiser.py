from types import SimpleNamespace

import pytest
import torch
from torch import nn

from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.schedule import DDPMSchedule

SCHEDULE = DDPMSchedule()
SHAPE = (1, 2, 2)


class Oracle(nn.Module):
    """Predicts what it should for a known clean image."""

    def __init__(self, x, prediction, wrapped=False):
        super().__init__()
        self.x, self.prediction, self.wrapped = nn.Parameter(x, requires_grad=False), prediction, wrapped

    def forward(self, x_t, t):
        alpha, sigma = (value.view(-1, 1, 1, 1) for value in (SCHEDULE.alpha(t), SCHEDULE.sigma(t)))
        epsilon = (x_t - alpha * self.x) / sigma
        known = {
            "epsilon": epsilon,
            "sample": self.x.expand_as(x_t),
            "v_prediction": alpha * epsilon - sigma * self.x,
        }
        output = known[self.prediction]
        return SimpleNamespace(sample=output) if self.wrapped else output


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_each_prediction_gives_the_posterior_mean(prediction, wrapped):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(SHAPE, dtype=torch.float64, generator=generator)
    x_t = torch.randn(4, *SHAPE, dtype=torch.float64, generator=generator)
    denoiser = NetworkDenoiser(Oracle(x, prediction, wrapped), SCHEDULE, SHAPE, prediction)
    assert denoiser.dtype == torch.float64
    for t in (0, 500, 999, torch.tensor([0, 10, 700, 999])):
        # Rounding of the noise, magnified by sigma / alpha <= 160.
        torch.testing.assert_close(denoiser(x_t, t), x.expand_as(x_t), atol=1e-12, rtol=0)


def test_epsilon_comes_back_even_where_alpha_is_small():
    class Constant(nn.Module):
        def forward(self, x_t, t):
            return torch.full_like(x_t, 0.25)

    denoiser = NetworkDenoiser(Constant(), SCHEDULE, SHAPE)
    x_t = torch.randn(100, *SHAPE, generator=torch.Generator().manual_seed(0))
    assert denoiser(x_t, 999).abs().max() > 100  # alpha is 0.006 there
    for t in (0, 500, 999):
        # Rounding of float32 for numbers of size 3, divided by sigma_0 = 0.01 at t = 0.
        error = (denoiser.epsilon(x_t, t) - 0.25).abs().max()
        assert error < (1e-4 if t == 0 else 1e-6)


def test_dropout_is_off_and_the_default_is_epsilon():
    network = nn.Sequential(nn.Dropout(0.5))
    denoiser = NetworkDenoiser(network.train(), SCHEDULE, SHAPE)
    assert not network.training
    assert denoiser.prediction == "epsilon"
    assert denoiser.dtype == torch.float32
    assert denoiser.device == torch.device("cpu")


def test_unknown_prediction():
    with pytest.raises(
        ValueError, match="`prediction` must be one of epsilon, sample, v_prediction, got 'noise'"
    ):
        NetworkDenoiser(nn.Identity(), SCHEDULE, SHAPE, "noise")

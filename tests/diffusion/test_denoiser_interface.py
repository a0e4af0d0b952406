import math

import pytest
import torch

from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.schedule import DDPMSchedule, VESchedule


class Halving(Denoiser):
    """x_hat = x_t / 2, and notes what it was asked."""

    def __init__(self, shape, schedule):
        self.shape, self.schedule, self.asked = shape, schedule, []

    def denoise(self, x_t, t):
        self.asked.append(t)
        return x_t / 2


def test_score_and_epsilon_by_hand():
    denoiser = Halving((2,), VESchedule(2.0))
    x_t = torch.tensor([[4.0, -8.0]], dtype=torch.float64)
    # At t = 1/4 alpha is 1 and sigma is 1: score (2 - 4, -4 + 8) / 1; at t = 1 sigma is 2.
    assert denoiser.score(x_t, 0.25).tolist() == [[-2, 4]]
    assert denoiser.epsilon(x_t, 0.25).tolist() == [[2, -4]]
    assert denoiser.score(x_t, 1).tolist() == [[-0.5, 1]]
    assert denoiser.epsilon(x_t, 1.0).tolist() == [[1, -2]]


def test_every_item_has_its_own_time():
    schedule = DDPMSchedule(10, 0.1, 0.5)
    denoiser = Halving((1, 2, 2), schedule)
    generator = torch.Generator().manual_seed(0)
    x_t = torch.randn(3, 1, 2, 2, dtype=torch.float64, generator=generator)
    times = torch.tensor([0, 9, 4])
    for function in (denoiser.score, denoiser.epsilon, denoiser):
        together = function(x_t, times)
        for i, t in enumerate(times):
            assert torch.equal(together[i : i + 1], function(x_t[i : i + 1], int(t)))
    alpha, sigma = (math.sqrt(v) for v in (1 - 0.1, 0.1))
    assert denoiser.score(x_t, 0)[0, 0, 0, 0].item() == pytest.approx(
        (alpha / 2 - 1) * x_t[0, 0, 0, 0].item() / sigma**2, rel=1e-13
    )
    assert denoiser.asked[-1].tolist() == [0, 0, 0]


def test_score_keeps_the_dtype_of_its_argument():
    denoiser = Halving((2,), DDPMSchedule())
    for dtype in (torch.float32, torch.float64):
        x_t = torch.ones(1, 2, dtype=dtype)
        assert (
            denoiser(x_t, 3).dtype == denoiser.score(x_t, 3).dtype == denoiser.epsilon(x_t, 3).dtype == dtype
        )


def test_a_number_as_time_is_not_rounded_to_float32():
    denoiser = Halving((1,), VESchedule(1.0))
    denoiser(torch.ones(1, 1), 0.1)
    assert denoiser.asked[-1].item() == 0.1


def test_shapes_must_fit():
    denoiser = Halving((1, 2, 2), DDPMSchedule())
    with pytest.raises(ValueError, match=r"`x_t` must have shape \(n, 1, 2, 2\), got \(3, 2, 2\)"):
        denoiser(torch.zeros(3, 2, 2), 0)
    with pytest.raises(ValueError, match=r"`t` must be one time or 3 times, got shape \(2,\)"):
        denoiser.score(torch.zeros(3, 1, 2, 2), torch.tensor([0, 1]))

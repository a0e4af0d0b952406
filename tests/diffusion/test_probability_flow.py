import numpy as np
import pytest
import torch

from spurion.core.random import generator
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.probability_flow import follow
from spurion.diffusion.samplers import reverse
from spurion.diffusion.schedule import DDPMSchedule, VESchedule

DDPM, VE = DDPMSchedule(), VESchedule()


class Counter(Denoiser):
    """x_hat = 2 x_t (which clipping changes), and counts the items it was asked about."""

    dtype = torch.float64

    def __init__(self, shape=(2,), schedule=DDPM):
        self.shape, self.schedule, self.count, self.times = shape, schedule, 0, []

    def denoise(self, x_t, t):
        self.count += len(x_t)
        self.times.append(t.tolist())
        return 2 * x_t


def patterns(count=5, dim=3):
    return torch.rand(count, dim, generator=generator(0, "patterns"), dtype=torch.float64) * 1.6 - 0.8


def noise(count, dim=3):
    return torch.randn(count, dim, generator=generator(1, "noise"), dtype=torch.float64)


@pytest.mark.parametrize("t", [0, 1, 7, 19, 20, 600, 999])
@pytest.mark.parametrize("steps", [1, 2, 20])
def test_discrete_steps_are_those_of_the_sampler(t, steps):
    # Both compute x_s from the same coefficients in float64: rounding only.
    denoiser = ExactDenoiser(patterns(), DDPM)
    x_t = noise(6)
    ours = follow(denoiser, x_t, torch.full((6,), t), steps, clip=True)
    assert torch.allclose(ours, reverse(denoiser, x_t, t, min(steps, t + 1)), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("schedule", "times"), [(DDPM, [3, 976, 0, 251, 18, 976]), (VE, [1e-4, 1.0, 0.02, 0.3, 5e-4, 0.3])]
)
def test_items_with_times_of_their_own_go_together(schedule, times):
    denoiser = ExactDenoiser(patterns(), schedule)
    times, x_t = torch.tensor(times), noise(6)
    together = follow(denoiser, x_t, times, 20)
    alone = torch.cat([follow(denoiser, x_t[i : i + 1], times[i : i + 1], 20) for i in range(6)])
    assert torch.allclose(together, alone, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("schedule", "times", "calls"),
    [(DDPM, [3, 976, 0, 19, 18], [4, 20, 1, 20, 19]), (VE, [0.5, 1e-4], [20, 20])],
)
def test_calls_are_counted(schedule, times, calls):
    denoiser, times = Counter(schedule=schedule), torch.tensor(times)
    assert schedule.calls(times, 20).tolist() == calls
    follow(denoiser, torch.zeros(len(times), 2, dtype=torch.float64), times, 20)
    assert denoiser.count == sum(calls)


def test_continuous_times_are_evenly_spaced_in_their_logarithm_and_end_at_the_least():
    denoiser = Counter(schedule=VE)
    follow(denoiser, torch.zeros(1, 2, dtype=torch.float64), torch.tensor([1.0]), 5)
    assert [t for (t,) in denoiser.times] == pytest.approx([1.0, 0.1, 0.01, 1e-3, 1e-4])
    assert float(VE.sigma(torch.tensor(VE.least_time))) == pytest.approx(0.01)
    assert float(DDPM.sigma(torch.tensor(DDPM.least_time))) == pytest.approx(0.01, abs=1e-6)


@pytest.mark.parametrize(("schedule", "t"), [(VE, 0.5), (DDPM, 700)])
def test_one_point_is_reached_from_everywhere(schedule, t):
    point = patterns(1)
    clean = follow(ExactDenoiser(point, schedule), noise(4), torch.tensor([t]).repeat(4), 3)
    assert torch.allclose(clean, point.expand(4, 3), atol=1e-12, rtol=0)


def test_the_flow_of_a_gaussian_converges_with_the_first_order():
    # y - mu scales with the square root of the variance v + s^2; then x_hat = mu + v / (v + s^2) (y - mu).
    mean = torch.tensor([0.1, -0.2], dtype=torch.float64)
    variance = torch.tensor([0.3, 0.02], dtype=torch.float64)
    denoiser = GaussianDenoiser(mean, variance, VE, (2,))
    x_t, s = torch.tensor([[0.5, 0.4]], dtype=torch.float64), 0.01
    end = mean + ((variance + s**2) / (variance + 1)).sqrt() * (x_t - mean)
    true = mean + variance / (variance + s**2) * (end - mean)
    counts = [40, 80, 160, 320]
    errors = [
        float((follow(denoiser, x_t, torch.tensor([1.0]), n, clip=False) - true).norm()) for n in counts
    ]
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(-1, abs=0.1)
    assert errors[-1] < 5e-3


def test_the_flow_is_not_clipped_unless_asked():
    beyond = follow(Counter(), 5 * torch.ones(1, 2, dtype=torch.float64), torch.tensor([300]), 4)
    assert float(beyond.max()) > 1.0


@pytest.mark.parametrize("clip", [True, False])
def test_clipping(clip):
    clean = follow(Counter(), 5 * torch.ones(1, 2, dtype=torch.float64), torch.tensor([300]), 4, clip=clip)
    assert (float(clean.max()) == 1.0) if clip else (float(clean.max()) > 1.0)


def test_bad_arguments():
    x_t = torch.zeros(1, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="`steps` must be at least 1, got 0"):
        follow(Counter(), x_t, torch.tensor([5]), 0)
    with pytest.raises(ValueError, match=r"`t` must be at least 0\.0001, where the flow ends, got 1e-05"):
        follow(Counter(schedule=VE), x_t, torch.tensor([1e-5]), 4)
    with pytest.raises(ValueError, match=r"`t` must lie in 0\.\.999"):
        follow(Counter(), x_t, torch.tensor([1000]), 4)


def test_no_items():
    empty = torch.zeros(0, 2, dtype=torch.float64)
    assert follow(Counter(), empty, torch.zeros(0, dtype=torch.int64), 4).shape == (0, 2)

import math

import pytest
import torch

from spurion.core.random import generator
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.schedule import DDPMSchedule, VESchedule
from spurion.geometry.energy import RelativeEnergy, relative_energy
from spurion.geometry.measured import STATUSES
from spurion.memory import DenseAM, inverse_temperature

DDPM, VE = DDPMSchedule(), VESchedule()
D = 144


def mixture(count=60, dim=D):
    random = generator(0, "mixture")
    return torch.rand(count, dim, generator=random, dtype=torch.float64) * 1.8 - 0.9


def near(points, scale, *path):
    noise = torch.randn(points.shape, generator=generator(0, "near", *path), dtype=torch.float64)
    return points + scale * noise


def potential(x, patterns, schedule, time):
    """u_t of the exact mixture in closed form."""
    alpha, sigma = (float(f(torch.tensor(time))) for f in (schedule.alpha, schedule.sigma))
    memory = DenseAM(patterns.double(), inverse_temperature(sigma, alpha))
    log_density = memory.log_density(x.double() / alpha) - patterns.shape[1] * math.log(alpha)
    if schedule == VE:
        return -(VE.scale**2) * log_density
    beta = float(DDPM.betas[time])
    return -beta * (x.double().square().sum(1) / 4 + log_density)


def cases():
    patterns = mixture()
    x = torch.cat(
        [patterns[:3], near(patterns[3:6], 0.005), (patterns[6:8] + patterns[8:10]) / 2, patterns[:1] * 0.9]
    )
    return patterns, x, torch.cat([patterns[20:22], near(patterns[22:24], 0.01, "reference")])


def test_the_noise_of_step_0_is_one_hundredth():
    assert float(DDPM.sigma(torch.tensor(0))) == pytest.approx(0.01, abs=1e-9)


@pytest.mark.parametrize("path", ["circular", "straight"])
@pytest.mark.parametrize(("schedule", "time"), [(DDPM, 0), (DDPM, 100), (VE, 1e-4), (VE, 0.05)])
def test_an_exact_mixture_has_the_closed_form_within_the_stated_error(schedule, time, path):
    patterns, x, references = cases()
    found = relative_energy(ExactDenoiser(patterns, schedule), x, references, time=time, path=path)
    u_x, u_reference = (potential(points, patterns, schedule, time) for points in (x, references))
    true = u_x.unsqueeze(1) - u_reference
    assert (found.status == 0).all()
    assert ((found.value - true).abs() <= found.error + 1e-10 * u_x.abs().max()).all()
    # And the error is small: 1e-4 of the largest energy along the paths, that of a mid-point.
    assert float(found.error.max()) < 1e-4 * float(u_x.max() - u_x.min())


def test_a_deeper_target_has_a_negative_relative_energy():
    patterns, _, _ = cases()
    deep, high = patterns[:2], near(patterns[:2], 0.05, "high")
    found = relative_energy(ExactDenoiser(patterns, DDPM), deep, high)
    assert (found.value + found.error < 0).all()
    back = relative_energy(ExactDenoiser(patterns, DDPM), high, deep)
    assert torch.allclose(back.value, -found.value.T, atol=float(found.error.max()))


def test_twenty_points_are_far_off():
    # What an even grid makes of the same integral: more than 10 times the whole difference off, here.
    patterns, x, references = cases()
    denoiser, beta = ExactDenoiser(patterns, DDPM), float(DDPM.betas[0])
    angle = torch.linspace(0, math.pi / 2, 20, dtype=torch.float64).unsqueeze(1)
    states = angle.cos() * x[:1] + angle.sin() * references[2:3]
    velocity = angle.cos() * references[2:3] - angle.sin() * x[:1]
    slope = ((-beta * denoiser.score(states, 0) - beta / 2 * states) * velocity).sum(1)
    true = float(potential(x[:1], patterns, DDPM, 0) - potential(references[2:3], patterns, DDPM, 0))
    assert abs(-float(torch.trapezoid(slope, angle.squeeze(1))) - true) > 10 * abs(true)
    found = relative_energy(denoiser, x[:1], references[2:3], tolerance=1e-7)
    assert float(found.value) == pytest.approx(true, rel=0.01)


def test_the_way_through_a_third_point_gives_the_same():
    patterns, x, references = cases()
    denoiser = ExactDenoiser(patterns, DDPM)
    direct = relative_energy(denoiser, x[:1], references[:1])
    for middle in (patterns[40:41], torch.zeros(1, D, dtype=torch.float64)):
        first, second = (
            relative_energy(denoiser, a, b) for a, b in ((x[:1], middle), (middle, references[:1]))
        )
        errors = float(direct.error + first.error + second.error)
        assert abs(float(direct.value - first.value - second.value)) <= errors


@pytest.mark.parametrize("path", ["circular", "straight"])
def test_a_gaussian_has_the_closed_form(path):
    mean = torch.tensor([0.2, -0.1, 0.0], dtype=torch.float64)
    variance = torch.tensor([0.5, 0.05, 0.2], dtype=torch.float64)
    x = torch.tensor([[0.2, 0.3, -0.4], [0.9, -0.1, 0.0]], dtype=torch.float64)
    reference = torch.tensor([[-0.5, 0.0, 0.3]], dtype=torch.float64)
    alpha, sigma = DDPM.alpha(torch.tensor(200)), DDPM.sigma(torch.tensor(200))

    def u(points):
        square = (points - alpha * mean).square() / (alpha**2 * variance + sigma**2)
        return -float(DDPM.betas[200]) * (points.square().sum(1) / 4 - square.sum(1) / 2)

    denoiser = GaussianDenoiser(mean, variance, DDPM, (3,))
    found = relative_energy(denoiser, x, reference, time=200, path=path)
    assert ((found.value - (u(x) - u(reference)).unsqueeze(1)).abs() <= found.error + 1e-15).all()
    assert float(found.error.max()) < 1e-4 * float(found.value.abs().max())


def test_single_precision():
    # The score at step 0 is 1e4 times a difference of float32 numbers near 1, each good to 6e-8: the error
    # says so, and no evaluations are wasted on it.
    patterns, x, references = cases()
    single = relative_energy(ExactDenoiser(patterns.float(), DDPM), x.float(), references.float())
    true = potential(x, patterns, DDPM, 0).unsqueeze(1) - potential(references, patterns, DDPM, 0)
    assert single.value.dtype == torch.float64
    assert ((single.value - true).abs() <= single.error).all()
    finer = relative_energy(
        ExactDenoiser(patterns.float(), DDPM), x.float(), references.float(), tolerance=1e-12
    )
    assert (finer.status == 0).all()
    assert ((finer.value - true).abs() <= finer.error).all()
    assert (single.error > 0.5 * 1.2e-7 * D).all()


def test_a_point_has_no_energy_above_itself():
    patterns, x, _ = cases()
    found = relative_energy(ExactDenoiser(patterns, DDPM), x[:2], x[:1])
    assert abs(float(found.value[0, 0])) <= float(found.error[0, 0]) + 1e-12


class BreaksDown(Denoiser):
    """The exact denoiser, NaN where the first coordinate is above 1."""

    def __init__(self, patterns):
        self._exact = ExactDenoiser(patterns, DDPM)
        self.schedule, self.shape, self.dtype, self.count = DDPM, self._exact.shape, patterns.dtype, 0

    def denoise(self, x_t, t):
        self.count += len(x_t)
        return torch.where(x_t[:, :1] > 1, torch.nan, self._exact.denoise(x_t, t))


def test_pairs_that_fail_leave_the_others_alone():
    patterns, x, references = cases()
    denoiser = BreaksDown(patterns)
    x, references = x[:4].clone(), references[:2]
    whole = relative_energy(denoiser, x, references)
    x[1, 5], x[2, 0] = math.nan, 2.0  # a point that is none, and one where the model breaks down
    found = relative_energy(denoiser, x, references)
    failed = STATUSES.index("failed")
    assert (found.status == failed).tolist() == [[False] * 2, [True] * 2, [True] * 2, [False] * 2]
    assert found.value[1:3].isnan().all()
    assert found.error[1:3].isnan().all()
    assert torch.allclose(found.value[[0, 3]], whole.value[[0, 3]], rtol=0, atol=1e-9)


def test_evaluations_are_counted_and_limited():
    patterns, x, references = cases()
    denoiser = BreaksDown(patterns)
    found = relative_energy(denoiser, x[:3], references, batch_size=7)
    assert found.evaluations == denoiser.count
    few = relative_energy(denoiser, x[:3], references, limit=70, tolerance=1e-9)
    assert (few.status == STATUSES.index("undecided")).all()
    assert few.evaluations < found.evaluations


def test_the_measure_is_the_mean_over_references():
    patterns, x, references = cases()
    denoiser, random = ExactDenoiser(patterns, DDPM), generator(0, "unused")
    measured = RelativeEnergy(references)(denoiser, x, generator=random)
    assert torch.allclose(measured.values, relative_energy(denoiser, x, references).value.mean(1))
    zero = RelativeEnergy()(denoiser, x, generator=random)
    true = potential(x, patterns, DDPM, 0) - potential(torch.zeros(1, D), patterns, DDPM, 0)
    assert torch.allclose(zero.values, true, rtol=1e-4)
    broken = torch.cat([references[:1], references[:1] * math.nan])
    assert RelativeEnergy(broken)(denoiser, x, generator=random).has("failed").all()


def test_bad_arguments():
    patterns, x, references = cases()
    denoiser = ExactDenoiser(patterns, DDPM)
    with pytest.raises(ValueError, match="`path` must be one of circular, straight, got 'zigzag'"):
        relative_energy(denoiser, x, references, path="zigzag")
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, got 0"):
        relative_energy(denoiser, x, references, batch_size=0)
    with pytest.raises(ValueError, match=r"`references` must hold points of the model's shape, \(n, 144\)"):
        relative_energy(denoiser, x, references[:2, :3])
    with pytest.raises(ValueError, match="`tolerance` must be positive"):
        relative_energy(denoiser, x, references, tolerance=-1.0)
    with pytest.raises(ValueError, match=r"`t` must lie in 0\.\.999"):
        relative_energy(denoiser, x, references, time=1000)

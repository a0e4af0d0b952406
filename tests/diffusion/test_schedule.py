import pytest
import torch
from diffusers import DDPMScheduler

from spurion.diffusion.schedule import DDPMSchedule, VESchedule

STEPS = torch.tensor([0, 2, 5, 10, 15, 25, 50, 100, 200, 500, 999])


def test_ddpm_schedule_has_the_known_values():
    schedule = DDPMSchedule()
    bar = torch.tensor(
        [0.9999, 0.99964, 0.9991, 0.99781, 0.99602, 0.99097, 0.96995, 0.8951, 0.6563, 0.0778, 4e-5]
    )
    sigma = torch.tensor([0.01, 0.019, 0.03, 0.0468, 0.0631, 0.095, 0.1734, 0.3238, 0.5862, 0.9603, 1.0])
    # The last printed digit.
    torch.testing.assert_close(schedule.alpha(STEPS).square().float(), bar, atol=1e-4, rtol=0)
    torch.testing.assert_close(schedule.sigma(STEPS).float(), sigma, atol=1e-4, rtol=0)
    assert schedule.alpha(STEPS).dtype == schedule.sigma(STEPS).dtype == torch.float64


def test_ddpm_schedule_preserves_variance_and_agrees_with_diffusers():
    schedule = DDPMSchedule(300, 2e-4, 5e-2)
    times = torch.arange(300)
    total = schedule.alpha(times) ** 2 + schedule.sigma(times) ** 2
    torch.testing.assert_close(total, torch.ones(300, dtype=torch.float64), atol=1e-14, rtol=0)
    theirs = DDPMScheduler(num_train_timesteps=300, beta_start=2e-4, beta_end=5e-2).alphas_cumprod
    torch.testing.assert_close(
        schedule.alphas_cumprod.float(), theirs, atol=1e-6, rtol=1e-4
    )  # theirs is float32
    assert schedule.betas[0] == 2e-4
    assert schedule.betas[-1] == 5e-2


@pytest.mark.parametrize("kind", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("steps", [1, 2, 50, 1000])
def test_schedules_of_every_kind_are_those_of_diffusers(kind, steps):
    """To 1e-7, once the rounding of their betas to float32 is multiplied up in float64."""
    ours = DDPMSchedule(steps, 1e-4, 2e-2, kind)
    theirs = DDPMScheduler(num_train_timesteps=steps, beta_start=1e-4, beta_end=2e-2, beta_schedule=kind)
    torch.testing.assert_close(ours.betas.float(), theirs.betas, atol=1e-7, rtol=0)
    products = torch.cumprod(1 - theirs.betas.double(), 0)
    torch.testing.assert_close(ours.alphas_cumprod, products, atol=1e-7, rtol=0)
    torch.testing.assert_close(ours.alphas_cumprod.float(), theirs.alphas_cumprod, atol=1e-6, rtol=0)
    assert (ours.betas > 0).all()
    assert ours.betas.max() <= 0.999


def test_one_step_and_equal_betas_are_allowed():
    schedule = DDPMSchedule(1, 0.5, 0.5)
    assert float(schedule.alpha(torch.tensor(0))) == pytest.approx(0.5**0.5, abs=1e-15)
    assert schedule.sigma(torch.empty(0, dtype=torch.int64)).shape == (0,)


def test_ve_schedule_is_the_theory():
    schedule = VESchedule(2.0)
    t = torch.tensor([0.25, 1.0])
    assert schedule.alpha(t).tolist() == [1, 1]
    assert schedule.sigma(t).tolist() == [1, 2]
    assert VESchedule().sigma(t).tolist() == [0.5, 1]
    assert schedule.alpha(t).dtype == schedule.sigma(t).dtype == torch.float64
    assert schedule.sigma(torch.empty(0)).shape == (0,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DDPMSchedule(0), "`steps` must be at least 1, got 0"),
        (lambda: DDPMSchedule(10, 0.0), "0 < beta_start <= beta_end < 1, got 0.0 and 0.02"),
        (lambda: DDPMSchedule(10, 0.03), "got 0.03 and 0.02"),
        (lambda: DDPMSchedule(10, beta_schedule="cosine"), "one of linear, scaled_.*, got 'cosine'"),
        (lambda: DDPMSchedule(10, 0.03, 1.0), "got 0.03 and 1.0"),
        (lambda: DDPMSchedule(10).alpha(torch.tensor(0.5)), "`t` must hold integer steps, got torch.float32"),
        (lambda: DDPMSchedule(10).sigma(torch.tensor([0, 10])), "`t` must lie in 0..9, got 0 to 10"),
        (lambda: DDPMSchedule(10).sigma(torch.tensor([-1, 9])), "`t` must lie in 0..9, got -1 to 9"),
        (lambda: VESchedule(0.0), "`scale` must be positive, got 0.0"),
        (lambda: VESchedule().sigma(torch.tensor([0.0, 1.0])), "`t` must be positive, got 0"),
    ],
)
def test_bad_schedules_and_times(make, message):
    with pytest.raises(ValueError, match=message):
        make()

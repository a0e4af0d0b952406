"""Walks of deterministic DDIM: their times, and where they lead, against diffusers and closed forms."""

import math

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, PNDMScheduler

from spurion.core.random import generator
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.schedule import DDPMSchedule, VESchedule
from spurion.prompts.spacing import Spacing, read_spacing
from spurion.prompts.walk import Walk, bars_of, ddim_step, walk_down

NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SCHEDULE = DDPMSchedule()


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=generator(0, "walk"))


@pytest.mark.parametrize(
    "kind", [PNDMScheduler, DDIMScheduler, EulerDiscreteScheduler, DPMSolverMultistepScheduler]
)
@pytest.mark.parametrize("spacing", [None, "leading", "trailing", "linspace"])
@pytest.mark.parametrize("offset", [None, 0, 1])
def test_walks_are_spaced_as_diffusers_does(tmp_path, kind, spacing, offset):
    settings = {"timestep_spacing": spacing, "steps_offset": offset}
    given = {name: value for name, value in settings.items() if value is not None}
    kind(**NOISE, **given).save_config(tmp_path)
    schedule = DDPMSchedule(1000, 0.00085, 0.012, "scaled_linear")
    scheduler = DDIMScheduler.from_config(kind.load_config(tmp_path))
    own = read_spacing(tmp_path / "scheduler_config.json", corrected=False)
    for steps in (1, 2, 5, 10, 20, 50, 100, 250, 999):
        scheduler.set_timesteps(steps)
        times = scheduler.timesteps.tolist()
        if max(times) > 999:  # diffusers fails there
            with pytest.raises(ValueError, match="would begin at step"):
                own.walk(schedule, steps)
            continue
        walk = own.walk(schedule, steps)
        assert list(walk.times) == times
        further = times[-1] - 1000 // steps
        bars = scheduler.alphas_cumprod
        last = bars[further] if further >= 0 else scheduler.final_alpha_cumprod
        assert walk.last == pytest.approx(float(last), abs=1e-6)


@pytest.mark.parametrize("steps", [0, 1001])
def test_a_walk_has_as_many_steps_as_there_are(steps):
    with pytest.raises(ValueError, match=rf"`steps` must lie in 1..1000, got {steps}"):
        Spacing().walk(DDPMSchedule(), steps)


def test_a_walk_of_all_steps_ends_one_step_further():
    assert Spacing().walk(SCHEDULE, 1000).last == 1.0
    walk = Spacing(steps_offset=1).walk(SCHEDULE, 900)
    assert walk.times[-1] == 1
    assert walk.last == float(SCHEDULE.alphas_cumprod[0])


def test_a_step_is_that_of_diffusers():
    scheduler = DDIMScheduler(set_alpha_to_one=False, clip_sample=False)
    scheduler.set_timesteps(10)
    x_t, epsilon = random(2, 3), random(2, 3) - 1
    bars = SCHEDULE.alphas_cumprod
    for t, s in ((900, 800), (100, 0)):
        expected = scheduler.step(epsilon, t, x_t).prev_sample
        own = ddim_step(x_t, epsilon, float(bars[t]), float(bars[s]))
        assert torch.allclose(own, expected, rtol=1e-5, atol=1e-6)  # diffusers has its products in float32


def test_a_step_to_no_noise_is_the_posterior_mean_and_to_itself_nothing():
    x_t, epsilon = random(2, 3), random(2, 3) - 1
    assert torch.allclose(ddim_step(x_t, epsilon, 0.3, 0.3), x_t, rtol=1e-14)
    x_hat = ddim_step(x_t, epsilon, 0.3, 1.0)
    assert torch.allclose(math.sqrt(0.3) * x_hat + math.sqrt(0.7) * epsilon, x_t, rtol=1e-14)


@pytest.mark.parametrize("last", [1.0, 0.99])
def test_a_walk_under_one_pattern_keeps_its_noise(last):
    """With one pattern x the noise (x_t - alpha x) / sigma never changes, whatever the times."""
    pattern, x_t = random(1, 1, 2, 3), random(4, 1, 2, 3) + 1
    denoiser, told = ExactDenoiser(pattern, SCHEDULE), []
    walk = Walk((990, 500, 499, 20), last)
    bar = float(SCHEDULE.alphas_cumprod[990])
    epsilon = (x_t - math.sqrt(bar) * pattern) / math.sqrt(1 - bar)
    expected = math.sqrt(last) * pattern + math.sqrt(1 - last) * epsilon
    own = walk_down(denoiser, x_t, walk, lambda *counts: told.append(counts))
    assert torch.allclose(own, expected, rtol=0, atol=1e-10)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_walk_is_its_steps_by_the_models_noise():
    denoiser, x_t = ExactDenoiser(random(5, 1, 2, 2), SCHEDULE), random(3, 1, 2, 2) * 2
    walk = Walk((700, 300, 40), 0.999)
    own = walk_down(denoiser, x_t, walk)
    bars = bars_of(SCHEDULE, walk)
    assert bars[:3] == SCHEDULE.alphas_cumprod[[700, 300, 40]].tolist()
    for index, t in enumerate(walk.times):
        x_t = ddim_step(x_t, denoiser.epsilon(x_t, t), bars[index], bars[index + 1])
    assert torch.allclose(own, x_t, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "walk", [Walk((), 1.0), Walk((5, 5), 1.0), Walk((3, 5), 1.0), Walk((1000, 3), 1.0), Walk((3, -1), 1.0)]
)
def test_times_must_go_down(walk):
    with pytest.raises(ValueError, match=r"`walk.times` must be decreasing steps in 0..999, got"):
        bars_of(SCHEDULE, walk)


@pytest.mark.parametrize("last", [0.0, -1.0, 1.1, math.nan])
def test_the_last_state_has_some_signal(last):
    with pytest.raises(ValueError, match=r"`walk.last` must lie in \(0, 1\], got"):
        bars_of(SCHEDULE, Walk((3,), last))


def test_a_walk_needs_steps():
    denoiser = ExactDenoiser(random(2, 3), VESchedule())
    with pytest.raises(ValueError, match="`denoiser` must have a DDPMSchedule, got VESchedule"):
        walk_down(denoiser, random(1, 3), Walk((3,), 1.0))


def test_a_model_that_answers_nan_is_one_sentence():
    denoiser = ExactDenoiser(random(2, 3), SCHEDULE)
    denoiser.patterns[:] = math.nan
    with pytest.raises(ValueError, match="answers NaN or infinity at step 3"):
        walk_down(denoiser, random(1, 3), Walk((3,), 1.0))

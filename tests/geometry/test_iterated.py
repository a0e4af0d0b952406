import math

import pytest
import torch

from curved import SCHEDULE, Faulty, Turned
from spurion.core.random import generator
from spurion.diffusion import DENOISERS, DDPMSchedule, VESchedule, load_denoiser, save_denoiser
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.geometry.iterated import iterate
from spurion.memory.dense import DenseAM, inverse_temperature
from spurion.memory.retrieval import retrieve

SMALL = {
    "mlp": {"width": 32, "blocks": 1},
    "unet": {"channels": 8, "groups": 4, "multipliers": (1, 2), "blocks": 1, "attention": ()},
    "fourier-residual": {"width": 32, "blocks": 1},
    "fourier-mlp": {"width": 32},
}
SCHEDULES = (DDPMSchedule(), DDPMSchedule(200, 5e-4, 0.1), VESchedule(), VESchedule(0.3))


def normal(*shape, seed="states"):
    return torch.randn(*shape, generator=generator(0, seed), dtype=torch.float64)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_stored_patterns_are_retrieved(schedule):
    # The fixed points of the map are those of the memory at beta = 1 / 2 s^2. At noise 0.5 the nine patterns,
    # about 1 apart, attract from afar and the contraction of a step is well below 1: 300 steps leave 1e-9.
    patterns = normal(9, 5, seed="patterns")
    found = iterate(ExactDenoiser(patterns, schedule), normal(40, 5), noise=0.4)
    memory = DenseAM(patterns, 1 / (2 * found.noise**2))
    expected = retrieve(memory, normal(40, 5))
    assert expected.converged.all()
    same = (found.points - expected.attractors).norm(dim=1)
    assert same.median() < 1e-9
    assert (same < 1e-9).double().mean() >= 0.9  # Newton steps may cross a border; the others end alike
    still = memory.posterior(found.points).mean - found.points
    assert still.norm(dim=1).max() < 1e-6


def test_one_step_is_that_of_the_memory():
    patterns, x = normal(6, 4, seed="patterns"), normal(8, 4)
    time = SCHEDULE.nearest(0.3)
    alpha, sigma = (float(f(torch.tensor(time))) for f in (SCHEDULE.alpha, SCHEDULE.sigma))
    memory = DenseAM(patterns, inverse_temperature(sigma, alpha))
    found = iterate(ExactDenoiser(patterns, SCHEDULE), x, noise=0.3, steps=1)
    assert torch.allclose(found.points, memory.posterior(x).mean, atol=1e-12)
    assert (found.time, found.steps) == (time, 1)
    assert found.noise == pytest.approx(sigma / alpha, rel=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 7, 300])
def test_gaussian_data_shrink_by_a_known_factor(schedule, steps):
    mean, variances = normal(4, seed="mean"), torch.tensor([0.0, 0.01, 0.3, 4.0], dtype=torch.float64)
    denoiser = GaussianDenoiser(mean, variances, schedule, (1, 2, 2))
    x = normal(5, 1, 2, 2)
    found = iterate(denoiser, x, steps=steps)
    factor = (variances / (variances + found.noise**2)) ** steps
    expected = mean + factor * (x.flatten(1) - mean)
    assert torch.allclose(found.points.flatten(1), expected, atol=1e-10)
    assert found.noise == pytest.approx(0.1, rel=0.03)


def test_correlated_data_shrink_along_their_axes():
    denoiser = Turned(torch.tensor([0.5, 0.02, 0.0], dtype=torch.float64), (3,))
    x = normal(3, 3)
    found = iterate(denoiser, x, steps=20)
    factor = (denoiser.inner.spectrum.variances / (denoiser.inner.spectrum.variances + found.noise**2)) ** 20
    assert torch.allclose(denoiser.turned(found.points), factor * denoiser.turned(x), atol=1e-12)


@pytest.mark.parametrize("kind", DENOISERS)
def test_every_kind_of_model_as_loaded_from_its_folder(kind, tmp_path):
    images = torch.rand(4, 1, 8, 8, generator=generator(0, "images")) * 2 - 1
    config = DENOISERS[kind](**SMALL.get(kind, {}))
    denoiser = config.build(images, DDPMSchedule(200, 5e-4, 0.1), generator=generator(0, "weights"))
    save_denoiser(denoiser, tmp_path / "model")
    told = []
    found = iterate(
        load_denoiser(tmp_path / "model"),
        images,
        steps=3,
        batch_size=3,
        progress=lambda *now: told.append(now),
    )
    again = iterate(denoiser, images, steps=3)
    assert found.points.shape == images.shape
    assert found.points.dtype == torch.float32
    assert torch.allclose(found.points, again.points, atol=1e-4)
    assert not found.failed.any()
    assert told == [(0, 4), (3, 4), (4, 4)]
    one = denoiser(float(denoiser.schedule.alpha(torch.tensor(found.time))) * images, found.time)
    assert torch.allclose(iterate(denoiser, images, steps=1).points, one, atol=1e-5)


def test_a_state_at_rest_stays_and_is_asked_once():
    calls = []

    class Counting(Faulty):
        def denoise(self, x_t, t):
            calls.append(len(x_t))
            return super().denoise(x_t, t)

    pattern = torch.full((1, 2), 0.5)
    found = iterate(Counting(ExactDenoiser(pattern, SCHEDULE)), torch.tensor([[0.5, 0.5], [0.0, 1.0]]))
    assert torch.equal(found.points, pattern.expand(2, -1))
    assert calls == [2, 1]


def test_bad_states_fail_alone():
    denoiser = Faulty(ExactDenoiser(torch.zeros(1, 2), SCHEDULE))
    x = torch.tensor([[0.1, 0.0], [math.nan, 0.0], [9.0, 0.0], [math.inf, 1.0], [0.2, 0.0]])
    found = iterate(denoiser, x)
    assert found.failed.tolist() == [False, True, True, True, False]
    assert found.points.isnan().any(dim=1).tolist() == found.failed.tolist()
    assert torch.equal(found.points[[0, 4]], torch.zeros(2, 2))
    assert iterate(denoiser, x[1:2]).failed.all()
    assert math.isnan(x[1, 0])  # what was given is left alone
    assert x[0, 0] == pytest.approx(0.1)


def test_a_noise_beyond_the_schedule_is_its_largest():
    found = iterate(ExactDenoiser(torch.zeros(1, 2), VESchedule(0.05)), torch.zeros(1, 2))
    assert (found.time, found.noise) == (1.0, pytest.approx(0.05))


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"batch_size": 0}, {"noise": 0.0}, {"noise": -1.0}])
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be"):
        iterate(ExactDenoiser(torch.zeros(1, 2), SCHEDULE), torch.zeros(1, 2), **wrong)


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"`x` must hold points of the model's shape"):
        iterate(ExactDenoiser(torch.zeros(1, 2), SCHEDULE), torch.zeros(1, 3))

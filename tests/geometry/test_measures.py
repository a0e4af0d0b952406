import math

import pytest
import torch

from spurion.core.random import generator
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.schedule import DDPMSchedule
from spurion.geometry.measured import STATUSES, Measured, check_points
from spurion.geometry.measures import MEASURES

SHAPE = (1, 2, 3)
D = math.prod(SHAPE)


def random(*path):
    return generator(0, "measures", *path)


def pattern(dtype=torch.float32):
    return torch.rand(1, *SHAPE, generator=random("pattern")).to(dtype) * 1.2 - 0.6


def denoisers(dtype):
    mean, variance = pattern(dtype).flatten(), torch.linspace(0.05, 0.3, D, dtype=dtype)
    return {
        "one pattern": ExactDenoiser(pattern(dtype), DDPMSchedule()),
        "gaussian": GaussianDenoiser(mean, variance, DDPMSchedule(), SHAPE),
    }


def points():
    """The pattern (the mean), points near and far, and a constant one, all in the range of images."""
    noise = torch.randn(3, *SHAPE, generator=random("points"))
    scattered = pattern() + torch.tensor([0.02, 0.2, 0.6]).view(-1, 1, 1, 1) * noise
    return torch.cat([pattern(), scattered.clamp(-1, 1), torch.full((1, *SHAPE), 0.5)])


def measure(name, denoiser, x):
    return MEASURES[name](denoiser, x, generator=random("draws"))


def same(a, b):
    # Other batches round in another way, which Monte Carlo measures in float32 amplify to about 1e-3.
    return torch.equal(a.status, b.status) and torch.allclose(a.values, b.values, rtol=5e-3, equal_nan=True)


def test_names():
    for name, measure in MEASURES.items():
        assert measure.name == name == name.lower()
        assert measure.unit
        assert measure.source


@pytest.mark.parametrize("model", ["one pattern", "gaussian"])
@pytest.mark.parametrize("name", MEASURES)
class TestContract:
    def test_one_value_and_status_for_each_point(self, name, model):
        measured = measure(name, denoisers(torch.float32)[model], points())
        assert measured.values.dtype == torch.float64
        assert measured.values.shape == measured.status.shape == (5,)
        assert ((measured.status >= 0) & (measured.status < len(STATUSES))).all()
        assert torch.equal(measured.values.isfinite(), measured.has("measured"))
        assert not measured.has("failed").any()

    def test_the_same_generator_gives_the_same(self, name, model):
        denoiser = denoisers(torch.float32)[model]
        first, second = (measure(name, denoiser, points()) for _ in range(2))
        assert torch.equal(first.status, second.status)
        assert torch.equal(first.values.nan_to_num(), second.values.nan_to_num())

    def test_float64_models_are_measured_alike(self, name, model):
        single = measure(name, denoisers(torch.float32)[model], points())
        double = measure(name, denoisers(torch.float64)[model], points().double())
        assert torch.equal(single.status, double.status)
        assert torch.allclose(single.values, double.values, rtol=5e-3, atol=1e-4, equal_nan=True)

    def test_a_point_that_is_none_fails_and_leaves_the_others_alone(self, name, model):
        denoiser, x = denoisers(torch.float32)[model], points()
        whole = measure(name, denoiser, x)
        x[1, 0, 1, 2] = math.nan
        x[3, 0, 0, 0] = math.inf
        broken = measure(name, denoiser, x)
        assert broken.has("failed").tolist() == [False, True, False, True, False]
        good = [0, 2, 4]
        assert same(
            Measured(broken.values[good], broken.status[good]),
            Measured(whole.values[good], whole.status[good]),
        )

    def test_points_of_another_shape_are_refused(self, name, model):
        with pytest.raises(ValueError, match=r"`x` must hold points of the model's shape, \(n, 1, 2, 3\)"):
            measure(name, denoisers(torch.float32)[model], points()[:, :, :, :2])
        with pytest.raises(ValueError, match="`x` must hold at least one point, got none"):
            measure(name, denoisers(torch.float32)[model], points()[:0])


def test_basins_of_one_pattern():
    # The flow ends at the pattern from everywhere: within 0.1 sqrt(D) of it always, else never.
    for name in ("critical-noise", "log-volume", "recovery-area"):
        measured = measure(name, denoisers(torch.float32)["one pattern"], points())
        assert measured.has("always").tolist() == [True, True, False, False, False]
        assert measured.has("never").tolist() == [False, False, True, True, True]
        assert measured.ranked()[0] == math.inf
        assert measured.ranked()[2] == -math.inf


def test_relative_energy_of_one_pattern():
    # u = -beta (|x|^2 / 4 - |x - alpha xi|^2 / (2 sigma^2)), against that of 0.
    schedule, t = DDPMSchedule(), torch.tensor(0)
    alpha, variance, beta = schedule.alpha(t), schedule.sigma(t) ** 2, float(schedule.betas[0])
    x, xi = points().double().flatten(1), pattern().double().flatten(1)

    def u(y):
        return -beta * (y.square().sum(1) / 4 - (y - alpha * xi).square().sum(1) / (2 * variance))

    measured = measure("relative-energy", denoisers(torch.float64)["one pattern"], points().double())
    assert torch.allclose(measured.values, u(x) - u(torch.zeros(1, D)), rtol=1e-4, atol=1e-6)


def test_statuses_are_told_apart():
    status = torch.arange(len(STATUSES))
    values = torch.tensor([1.5, math.nan, math.nan, math.nan, math.nan], dtype=torch.float64)
    measured = Measured(values, status)
    assert [measured.has(word).tolist().index(True) for word in STATUSES] == list(range(5))
    assert measured.ranked()[:3].tolist() == [1.5, -math.inf, math.inf]
    assert measured.ranked()[3:].isnan().all()


def test_points_are_checked():
    x = points()
    x[2] = math.nan
    assert check_points(denoisers(torch.float32)["gaussian"], x).tolist() == [True, True, False, True, True]

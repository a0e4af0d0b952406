"""Every measure on every kind of model, with its value wherever that can be had by brute force."""

import math

import pytest
import torch

from spurion.core.random import generator
from spurion.diffusion.denoisers import DENOISERS
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.jacobian import random_signs
from spurion.diffusion.schedule import DDPMSchedule
from spurion.geometry.basin import BasinConfig
from spurion.geometry.critical import BasinMeasure
from spurion.geometry.curvature_measures import CurvatureMeasure
from spurion.geometry.jacobian import coefficients
from spurion.geometry.log_density import FlowLogDensity, flow_log_density
from spurion.geometry.measured import STATUSES
from spurion.geometry.measures import MEASURES
from unets import jacobian, unet

SCHEDULE = DDPMSchedule()
SHAPE = (1, 4, 4)
SMALL = {
    "mlp": {"width": 16, "blocks": 1},
    "unet": {"channels": 4, "groups": 2, "multipliers": (1, 2), "blocks": 1, "attention": (2,)},
    "fourier-residual": {"width": 16, "blocks": 1},
    "fourier-mlp": {"width": 16, "scale": 1.0},
}
"""Settings that make each kind of `DENOISERS` small; a new kind is tested with its own until it has some."""

TINY_UNETS = ("no attention", "attention", "one head", "color", "6 x 10", "scale and shift", "k blocks")
MODELS = [*DENOISERS, *TINY_UNETS]
NOISE = 0.5
BASINS = BasinConfig(draws=4, levels=10, steps=3)


def random(*path):
    return generator(0, "contract", *path)


def points(shape, count=2):
    return torch.rand(count, *shape, dtype=torch.float64, generator=random("points")) * 1.6 - 0.8


def model(name):
    """A model in float64 with random weights in every layer."""
    if name in TINY_UNETS:
        return unet(name)
    config = DENOISERS[name](**SMALL.get(name, {}))
    denoiser = config.build(points(SHAPE, 6), SCHEDULE, generator=random("weights"))
    if not isinstance(denoiser, NetworkDenoiser):
        return denoiser
    for parameter in denoiser.network.parameters():
        parameter.data.add_(0.1 * torch.randn(parameter.shape, generator=random("weights")))
    torch.nn.Module.to(denoiser.network, torch.float64)
    return NetworkDenoiser(denoiser.network, SCHEDULE, SHAPE)


@pytest.fixture(scope="module", params=MODELS)
def given(request):
    """A model, points, and its normalized Jacobian at them by one backward pass for each coordinate."""
    denoiser = model(request.param)
    x, t = points(denoiser.shape), denoiser.schedule.nearest(NOISE)
    alpha, sigma = coefficients(denoiser.schedule, t)
    matrix = jacobian(lambda items: items - alpha * denoiser(items, t), alpha * x)
    return denoiser, x, matrix, (t, alpha, sigma)


def small(name):
    """A measure with settings that take no time."""
    measure = MEASURES[name]
    if isinstance(measure, BasinMeasure):
        return type(measure)(config=BASINS, tolerance=0.5)
    if isinstance(measure, CurvatureMeasure):
        return type(measure)(noise=NOISE)
    return FlowLogDensity(noise=NOISE, probes=2, steps=4) if isinstance(measure, FlowLogDensity) else measure


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_on_every_model(name, given):
    denoiser, x, _, _ = given
    found = small(name)(denoiser, x, generator=random("draws"))
    assert found.values.dtype == torch.float64
    assert found.values.shape == found.status.shape == (2,)
    assert torch.equal(found.values.isfinite(), found.has("measured"))
    assert not found.has("failed").any()


def test_curvature_is_that_of_the_whole_jacobian(given):
    denoiser, x, matrix, (t, alpha, sigma) = given
    rho = torch.linalg.eigvalsh((matrix + matrix.mT) / 2)
    trace = matrix.diagonal(dim1=1, dim2=2).sum(1)
    score = (x * alpha - alpha * denoiser(alpha * x, t).detach()).flatten(1) / sigma
    expected = {
        "mean-curvature": trace / matrix.shape[1],
        "soft-directions": (rho < 0.5).double().sum(1),
        "intrinsic-dimension": matrix.shape[1] - trace + score.square().sum(1),
        "log-determinant": torch.linalg.slogdet(matrix).logabsdet,
    }
    assert set(expected) == {name for name, one in MEASURES.items() if isinstance(one, CurvatureMeasure)}
    for name, values in expected.items():
        found = small(name)(denoiser, x, generator=random("draws")).values
        torch.testing.assert_close(found, values, atol=1e-8, rtol=1e-9, msg=name)


def test_log_density_is_that_of_a_plain_integration(given):
    denoiser, x, _, (t, alpha, _) = given
    found = flow_log_density(denoiser, x, generator=random("probes"), noise=NOISE, probes=2, steps=4)
    signs = random_signs(2, x, generator=random("probes"))
    nodes = nodes_of(denoiser.schedule, t, 4)
    fine, coarse = (plain(denoiser, alpha * x, some, signs) for some in (nodes, nodes[::2]))
    torch.testing.assert_close(found.measured.values, (4 * fine - coarse) / 3, atol=1e-7, rtol=1e-9)


def nodes_of(schedule, t, steps):
    """Steps evenly spaced in log r, as near as there are any."""
    times = torch.arange(t, 1000)
    log_r = (schedule.sigma(times) / schedule.alpha(times)).log()
    wanted = torch.linspace(float(log_r[0]), float(log_r[-1]), steps + 1, dtype=torch.float64)
    return [int(times[(log_r - level).abs().argmin()]) for level in wanted]


def plain(denoiser, x_t, nodes, signs):
    """Heun's method for the flow and the trapezoidal rule for v^T J v, with whole Jacobians; means over v."""
    alpha, sigma = coefficients(denoiser.schedule, nodes[0])
    y, r, dim = x_t / alpha, sigma / alpha, x_t[0].numel()
    flat = signs.flatten(2)

    def slope_and_trace(y, t):
        alpha, sigma = coefficients(denoiser.schedule, t)
        matrix = jacobian(lambda items: denoiser(alpha * items, t), y)
        forms = torch.einsum("mni,nij,mnj->mn", flat, matrix, flat).mean(0)
        return (y - denoiser(alpha * y, t).detach()) * alpha / sigma, forms

    value = torch.full((len(y),), -dim * math.log(alpha), dtype=torch.float64)
    slope, trace = slope_and_trace(y, nodes[0])
    for t in nodes[1:]:
        alpha, sigma = coefficients(denoiser.schedule, t)
        ratio = sigma / alpha
        guess = y + (ratio - r) * slope
        y = y + (ratio - r) / 2 * (slope + (guess - denoiser(alpha * guess, t).detach()) / ratio)
        slope, further = slope_and_trace(y, t)
        value += math.log(ratio / r) * (dim - (trace + further) / 2)
        r, trace = ratio, further
    end = -(alpha * y).flatten(1).square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)
    return value + end + dim * math.log(alpha)


def test_relative_energy_is_the_work_along_the_path(given):
    denoiser, x, _, _ = given
    found = MEASURES["relative-energy"](denoiser, x, generator=random("draws"))
    if isinstance(denoiser, ExactDenoiser):  # its score jumps along the path, but its potential is known
        gray = torch.zeros_like(x)
        torch.testing.assert_close(
            found.values, potential(denoiser, x) - potential(denoiser, gray), rtol=1e-4, atol=1e-7
        )
        return
    angle = ((torch.arange(200, dtype=torch.float64) + 0.5) * math.pi / 400).view(-1, 1, 1, 1)
    beta = float(denoiser.schedule.betas[0])
    for point, value in zip(x, found.values, strict=True):
        path, velocity = angle.cos() * point, -angle.sin() * point  # to mid-gray, which is 0
        with torch.no_grad():
            gradient = -beta * denoiser.score(path, 0) - beta / 2 * path
        power = (gradient * velocity).flatten(1).sum(1)
        # The midpoint rule, whose error is second order in the step, as a share of all rise and fall.
        bound = 5e-3 * float(power.abs().mean())
        assert float(value) == pytest.approx(-float(power.mean()) * math.pi / 2, rel=0, abs=bound)


def potential(denoiser, x):
    """The potential u of the drift at step 0, up to a constant."""
    (alpha, sigma), beta = coefficients(denoiser.schedule, 0), float(denoiser.schedule.betas[0])
    apart = (x.unsqueeze(1) - alpha * denoiser.patterns).flatten(2).square().sum(2)
    log_density = torch.logsumexp(-apart / (2 * sigma**2), dim=1)
    return -beta * (log_density + x.flatten(1).square().sum(1) / 4)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("kind", ["mlp", "attention"])
def test_a_model_that_answers_nan_fails_point_by_point(name, kind):
    denoiser = model(kind)
    for parameter in denoiser.network.parameters():
        parameter.data.fill_(torch.nan)
    found = small(name)(denoiser, points(denoiser.shape), generator=random("draws"))
    assert found.status.tolist() == [STATUSES.index("failed")] * 2
    assert found.values.isnan().all()

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.special import i0, i1

from spurion.circle.ring import (
    RingEnergy,
    _bessel_ratio,
    _bessel_slope,
    paper_circle,
    ring_memory_capacity,
    ring_minima,
    ring_radius,
    ring_ripple,
)
from spurion.core.random import generator
from spurion.memory.dense import DenseAM
from spurion.memory.patterns import random_circle


def test_sets_of_the_paper_are_reproduced_and_nested():
    patterns = paper_circle(9)
    angles = torch.rad2deg(torch.atan2(patterns[:, 1], patterns[:, 0])).remainder(360).sort().values
    expected = [129.15, 138.86, 151.88, 161.73, 213.83, 220.65, 324.39, 325.52, 356.42]
    assert angles.tolist() == pytest.approx(expected, abs=0.005)
    assert torch.equal(paper_circle(1000)[:9], patterns)
    assert torch.allclose(paper_circle(1000).norm(dim=1), torch.ones(1).double())


def test_a_random_set_has_a_pattern():
    with pytest.raises(ValueError, match=r"`count` must be at least 1, got 0\."):
        random_circle(0, generator=generator(0, "none"))


def test_the_stream_is_that_of_the_global_seeds():
    state = np.random.get_state()
    try:
        np.random.seed(9)
        angles = np.random.uniform(0, 2 * np.pi, 60000)
    finally:
        np.random.set_state(state)
    parts = torch.utils.data.random_split(range(60000), [50, 59950], torch.Generator().manual_seed(42))
    chosen = angles[parts[0].indices]
    assert np.allclose(paper_circle(50).numpy(), np.stack([np.cos(chosen), np.sin(chosen)], 1), atol=1e-15)


def test_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()
    paper_circle(60_000)
    assert np.array_equal(before, np.random.get_state()[1])


def test_fresh_sets_are_uniform():
    patterns = random_circle(10_000, generator=generator(0, "circle"))
    assert torch.allclose(patterns.norm(dim=1), torch.ones(1).double())
    assert patterns.mean(0).abs().max() < 5 * math.sqrt(0.5 / 10_000)
    assert ((patterns[:, 0] > 0).double().mean() - 0.5).abs() < 5 * 0.5 / 100


@pytest.mark.parametrize(
    ("beta", "radius", "curvature"),
    [
        (1.1, 0.41339, 0.352),
        (2, 0.83146, 1.531),
        (10 / 3, 0.91376, 1.800),
        (20, 0.98726, 1.974),
        (1e3, 0.99975, 1.9995),
    ],
)
def test_radius_and_stiffness_of_the_ring(beta, radius, curvature):
    ring = RingEnergy(float(beta))
    assert ring.radius == pytest.approx(radius, abs=5e-6)
    bottom = ring.hessian(torch.tensor([[ring.radius, 0.0]], dtype=torch.float64))[0]
    assert bottom[0, 0].item() == pytest.approx(curvature, abs=6e-4)


@pytest.mark.parametrize("beta", [1.0001, 1.01, 1.5, 3.0, 30.0, 300.0])
def test_radius_solves_its_equation(beta):
    radius = ring_radius(beta)
    assert radius == pytest.approx(i1(2 * beta * radius) / i0(2 * beta * radius), rel=1e-9)


def test_radius_at_the_ends():
    assert ring_radius(1.0) == 0
    assert ring_radius(0.2) == 0
    assert ring_radius(1.0001) == pytest.approx(
        math.sqrt(2e-4), rel=1e-4
    )  # 2 (beta - 1) = R^2 to first order
    for beta in (1e4, 1e6, 1e9):
        assert ring_radius(beta) == pytest.approx(1 - 1 / (4 * beta), abs=1 / beta**2 + 1e-14)


@pytest.mark.parametrize("beta", [0.3, 1.0, 3.0, 20.0, 1e3, 1e6])
def test_energy_score_and_hessian_agree_with_autograd(beta):
    ring = RingEnergy(beta)
    x = torch.randn(40, 2, generator=generator(0, "ring"), dtype=torch.float64)
    x = torch.cat([x, x / 30, torch.nn.functional.normalize(x, dim=1) * max(ring.radius, 0.1)])
    energy = torch.func.grad(lambda y: ring.energy(y).sum())(x)
    assert torch.allclose(ring.gradient(x), energy, rtol=0, atol=1e-9)
    assert torch.allclose(ring.score(x), -beta * energy, rtol=0, atol=1e-9 * max(1, beta))
    log_density = torch.func.grad(lambda y: ring.log_density(y).sum())(x)
    assert torch.allclose(ring.score(x), log_density, rtol=0, atol=1e-9 * max(1, beta))
    hessian = torch.func.vmap(torch.func.jacfwd(lambda y: ring.gradient(y[None])[0]))(x)
    assert torch.allclose(ring.hessian(x), hessian, rtol=0, atol=1e-9)


def test_energy_is_the_formula_without_overflow():
    ring = RingEnergy(20.0)
    radius = torch.tensor([0.0, 0.5, 1.0, 2.0], dtype=torch.float64)
    x = torch.stack([radius, torch.zeros(4).double()], 1)
    formula = radius**2 + 1 - torch.from_numpy(np.log(i0(40 * radius.numpy()))) / 20
    assert torch.allclose(ring.energy(x), formula, rtol=0, atol=1e-12)
    # The published figure: energy at the center and at the corner above the minimum.
    points = torch.tensor([[0.0, 0.0], [1.5, 1.5], [ring.radius, 0.0]], dtype=torch.float64)
    low = float(ring.energy(points)[2])
    assert (ring.energy(points)[:2] - low).tolist() == pytest.approx([0.862, 1.276], abs=5e-4)
    far = RingEnergy(1e6)  # 2 beta R = 4e6: exp overflows from 709 on
    x = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    assert float(far.energy(x)) == pytest.approx(1 + math.log(4e6 * math.pi * 2) / 2e6, abs=1e-9)
    assert RingEnergy(5.0).hessian(torch.zeros(1, 2).double()).tolist() == [[[-8.0, 0.0], [0.0, -8.0]]]
    assert RingEnergy(5.0).gradient(torch.zeros(1, 2).double()).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("z", [0.0, 5e-5, 9.99e-5, 1.01e-4, 0.3, 8.0, 39.9, 40.1, 200.0, 1e4, 4e6, 1e12])
def test_bessel_ratio_and_slope_against_sixty_digits(z):
    with mpmath.workdps(60):
        a = mpmath.besseli(1, z) / mpmath.besseli(0, z) if z < 1e5 else _hankel_ratio(z)
        ratio = a / z if z else mpmath.mpf("0.5")
        slope = 1 - a * a - ratio
    argument = torch.tensor([z], dtype=torch.float64)
    assert _bessel_ratio(argument).item() == pytest.approx(float(ratio), rel=1e-14)
    cancels = 4e-16 if z < 40 else 0  # by subtraction below 40, by the series beyond
    assert _bessel_slope(argument).item() == pytest.approx(float(slope), rel=1e-13, abs=cancels)


def _hankel_ratio(z):
    """A(z) by Hankel's expansions of the two Bessel functions."""

    def expansion(order):
        total = term = mpmath.mpf(1)
        for k in range(1, 25):
            term *= -(4 * order**2 - (2 * k - 1) ** 2) / (8 * k * mpmath.mpf(z))
            total += term
        return total

    return expansion(1) / expansion(0)


def test_the_ring_is_the_limit_of_many_patterns():
    angles = torch.arange(4000, dtype=torch.float64) * 2 * math.pi / 4000
    even = torch.stack([angles.cos(), angles.sin()], 1)
    x = torch.randn(20, 2, generator=generator(0, "limit"), dtype=torch.float64)
    for beta in (0.5, 10 / 3, 200.0):
        memory, ring = DenseAM(even, beta), RingEnergy(beta)
        assert torch.allclose(memory.log_density(x), ring.log_density(x), rtol=1e-10, atol=1e-10)
        assert torch.allclose(memory.score(x), ring.score(x), rtol=1e-8, atol=1e-10)
        assert torch.allclose(memory.hessian(x), ring.hessian(x), atol=1e-8)


def test_ripple_law():
    # Relative fluctuation of the density along the ring over many random sets.
    angles = torch.arange(360, dtype=torch.float64) * math.pi / 180
    for beta in (10 / 3, 50.0):
        ring = RingEnergy(beta)
        x = ring.radius * torch.stack([angles.cos(), angles.sin()], 1)
        ratios = []
        for index in range(30):
            memory = DenseAM(random_circle(1000, generator=generator(index, "ripple")), beta)
            ratios.append((memory.log_density(x) - ring.log_density(x)).exp())
        spread = float((torch.stack(ratios) - 1).square().mean().sqrt())
        assert spread == pytest.approx(ring_ripple(1000, beta), rel=0.2)


def test_laws_at_the_temperatures_of_the_table():
    betas = (10 / 3, 10.0, 50.0, 200.0, 1000.0)
    assert [round(ring_memory_capacity(b), 1) for b in betas] == [2.8, 4.9, 10.9, 21.8, 48.7]
    assert [ring_minima(b) for b in betas] == pytest.approx([3.1, 5.4, 12, 24, 53.8], abs=0.1)


@pytest.mark.parametrize("count", [0, 60_001])
def test_bad_count(count):
    with pytest.raises(ValueError, match=rf"`count` must lie in 1\.\.60000, got {count}"):
        paper_circle(count)


@pytest.mark.parametrize("function", [RingEnergy, ring_radius, ring_minima, ring_memory_capacity])
@pytest.mark.parametrize("beta", [0.0, -2.0, math.nan, math.inf])
def test_bad_ring_temperature(function, beta):
    with pytest.raises(ValueError, match="`beta` must be positive and finite, got"):
        function(beta)


@pytest.mark.parametrize("shape", [(2,), (3, 3), (1, 2, 2)])
def test_states_are_points_of_the_plane(shape):
    for function in (_bare(RingEnergy.energy), _bare(RingEnergy.gradient), _bare(RingEnergy.hessian)):
        with pytest.raises(ValueError, match=r"`x` must hold points of the plane, with shape \(n, 2\)"):
            function(RingEnergy(2.0), torch.zeros(shape))


def _bare(function):
    """A method without the run-time check of its annotations, as users have it."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function

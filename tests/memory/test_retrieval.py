import math

import pytest
import torch
from scipy.optimize import brentq

from spurion.core.random import generator
from spurion.memory.dense import DenseAM
from spurion.memory.minima import find_minima
from spurion.memory.place import soft_modes
from spurion.memory.retrieval import retrieve


def draw(*shape):
    return torch.randn(*shape, generator=generator(0, "retrieval", *shape), dtype=torch.float64)


@pytest.mark.parametrize("product", [2.0001, 2.5, 4.0, 50.0])
def test_two_patterns_have_their_closed_form_minima(product):
    # On the line: u = h tanh(2 beta h u), E = u^2 + h^2 - log(2 cosh(2 beta h u)) / beta.
    distance = 0.8
    half, beta = distance / 2, product / distance**2
    memory = DenseAM(torch.tensor([[-half, 0.3], [half, 0.3]], dtype=torch.float64), beta)
    u = brentq(lambda v: v - half * math.tanh(2 * beta * half * v), 1e-4 * half, half, xtol=1e-16)
    start = torch.tensor([[0.9 * half, -1.0], [-0.9 * half, 2.0], [0.0, 0.3]], dtype=torch.float64)
    result = retrieve(memory, start)
    assert result.converged.all()
    expected = torch.tensor([u, -u, u], dtype=torch.float64)
    assert torch.allclose(result.attractors[:2, 0], expected[:2], atol=1e-9)
    assert torch.allclose(result.attractors[2, 0].abs(), expected[2], atol=1e-9)  # off the saddle, either way
    assert torch.allclose(result.attractors[:, 1], torch.full((3,), 0.3, dtype=torch.float64), atol=1e-9)
    z = 2 * beta * half * u
    energy = u**2 + half**2 - (z + math.log1p(math.exp(-2 * z))) / beta
    assert torch.allclose(result.energy, torch.full((3,), energy, dtype=torch.float64), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("dim", "beta"), [(2, 0.8), (2, 20.0), (10, 0.3), (80, 0.05), (80, 0.012)])
def test_energy_falls_at_every_step(dim, beta):
    memory = DenseAM(draw(40, dim), beta)
    start = memory.sample(20, generator=generator(0, "start"))
    before, energy = start, memory.energy(start)
    for steps in range(1, 16):
        now = retrieve(memory, start, steps=steps)
        assert (now.energy <= energy + 1e-10 / beta).all()
        assert torch.allclose(now.energy, memory.energy(now.attractors), rtol=0, atol=1e-9 / beta)
        assert ((now.steps == steps) | now.converged).all()
        if steps <= 8:  # attention, unless a state has come to rest
            moved = memory.posterior_mean(before)
            assert torch.allclose(now.attractors, torch.where(now.converged[:, None], now.attractors, moved))
        before, energy = now.attractors, now.energy
    final = retrieve(memory, start)
    assert final.converged.all()
    rest = 1e-12 * float(memory.patterns.norm(dim=1).max())
    assert (memory.posterior(final.attractors).shift.norm(dim=1) <= rest).all()
    assert (2 * beta * soft_modes(memory, final.attractors)[0][:, 0] < 1).all()


def test_newton_steps_are_needed_and_quick_near_a_merging_point():
    memory = DenseAM(torch.tensor([[0.0], [1.0]], dtype=torch.float64), 2 * (1 + 1e-4))
    x = torch.tensor([[0.9]], dtype=torch.float64)
    result = retrieve(memory, x)
    assert result.converged.all()
    assert int(result.steps) < 40
    for _ in range(200):
        x = memory.posterior_mean(x)
    assert float((x - result.attractors).abs()) > 1e-4  # attention alone is still far


def test_states_in_float32_reach_the_same_minima():
    patterns = draw(30, 2)
    start = draw(50, 2)
    exact = retrieve(DenseAM(patterns, 5.0), start)
    single = retrieve(DenseAM(patterns.float(), 5.0), start.float())
    assert single.converged.all()
    assert single.attractors.dtype == torch.float32
    assert float((single.attractors - exact.attractors).norm(dim=1).median()) < 1e-4


def test_a_state_that_may_not_move_enough_is_not_converged():
    memory = DenseAM(draw(30, 2), 5.0)
    result = retrieve(memory, draw(5, 2), steps=1)
    assert not result.converged.any()
    assert result.steps.tolist() == [1] * 5
    with pytest.raises(ValueError, match="`steps` must be at least 1, got 0"):
        retrieve(memory, draw(5, 2), steps=0)


def test_the_batch_does_not_matter():
    memory = DenseAM(draw(30, 2), 5.0)
    start = draw(10, 2)
    together = retrieve(memory, start)
    for i in range(10):
        alone = retrieve(memory, start[i : i + 1])
        assert torch.allclose(alone.attractors[0], together.attractors[i], atol=1e-10)
        assert int(alone.steps) == int(together.steps[i])


@pytest.mark.parametrize(("dim", "count"), [(3, 20), (70, 12), (70, 200)])
def test_soft_modes_are_the_spectrum_of_the_covariance(dim, count):
    memory = DenseAM(draw(count, dim), 0.02)
    x = draw(4, dim) * 0.1
    values, vectors = soft_modes(memory, x)
    truth = torch.linalg.eigvalsh(memory.posterior_covariance(x)).flip(1)
    assert torch.allclose(values, truth[:, : values.shape[1]], atol=1e-10)
    assert float(truth[:, values.shape[1] :].abs().sum()) < 1e-10
    strong = values > 1e-8
    product = memory.covariance_product(x, vectors)
    assert torch.allclose(product[strong], (values[:, :, None] * vectors)[strong], atol=1e-9)
    assert torch.allclose(vectors.norm(dim=2)[strong], torch.ones(1).double(), atol=1e-9)


def test_a_saddle_in_many_dimensions_is_left():
    # The mid-point of two isolated patterns in 70 dimensions, with beta d^2 = 8.
    patterns = torch.zeros(2, 70, dtype=torch.float64)
    patterns[0, 0], patterns[1, 0] = -1, 1
    result = retrieve(DenseAM(patterns, 2.0), torch.zeros(1, 70, dtype=torch.float64))
    assert result.converged.all()
    assert abs(float(result.attractors[0, 0])) == pytest.approx(0.99932, abs=1e-5)  # u = tanh(4 u)
    assert float(result.attractors[0, 1:].norm()) < 1e-9


@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (0, 3)])
def test_states_must_fit_the_memory(shape):
    memory = DenseAM(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]).double(), beta=1.0)
    with pytest.raises(ValueError, match=r"`x` must have shape \(n, 2\)"):
        retrieve(memory, torch.zeros(shape).double())
    with pytest.raises(ValueError, match=r"`starts` must have shape \(s, 2\)"):
        find_minima(memory, generator=torch.Generator(), starts=torch.zeros(shape).double())

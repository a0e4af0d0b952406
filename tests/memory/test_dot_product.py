import math

import pytest
import torch

from spurion.core.random import generator
from spurion.memory.dense import DenseAM
from spurion.memory.dot_product import DotProductAM


def draw(*shape):
    return torch.randn(*shape, generator=generator(0, "dot", len(shape)), dtype=torch.float64)


def energy_by_hand(x, patterns, beta, bias):
    return 0.5 * x.square().sum(-1) - torch.logsumexp(beta * x @ patterns.T + bias, -1) / beta


@pytest.mark.parametrize("beta", [0.01, 1.0, 50.0])
@pytest.mark.parametrize("biased", [False, True])
def test_energy_and_derivatives_against_the_formula(beta, biased):
    patterns, x = draw(8, 5) * torch.linspace(0.1, 3, 8)[:, None], draw(6, 5)
    bias = torch.linspace(-2, 1, 8, dtype=torch.float64) if biased else torch.zeros(8, dtype=torch.float64)
    memory = DotProductAM(patterns, beta, bias if biased else None)

    def by_hand(y):
        return energy_by_hand(y, patterns, beta, bias)

    assert torch.allclose(memory.energy(x), by_hand(x), rtol=1e-11, atol=1e-11)
    assert torch.allclose(memory.gradient(x), torch.func.vmap(torch.func.grad(by_hand))(x), atol=1e-10)
    assert torch.allclose(memory.hessian(x), torch.func.vmap(torch.func.hessian(by_hand))(x), atol=1e-9)
    attention = torch.softmax(beta * x @ patterns.T + bias, 1)
    assert torch.allclose(memory.weights(x), attention, atol=1e-10)
    assert torch.allclose(memory.update(x), attention @ patterns, atol=1e-10)


@pytest.mark.parametrize("beta", [0.1, 2.0, 100.0])
def test_conversion_is_exact_for_unequal_norms(beta):
    patterns, x = draw(8, 5) * torch.linspace(0.1, 3, 8)[:, None], draw(6, 5)
    dense = DenseAM(patterns, beta)
    dot = DotProductAM.from_dense(dense)
    assert dot.beta == 2 * beta
    assert torch.allclose(dense.energy(x), 2 * dot.energy(x), rtol=1e-11, atol=1e-11)
    assert torch.allclose(dense.gradient(x), 2 * dot.gradient(x), atol=1e-10)
    assert torch.allclose(dense.weights(x), dot.weights(x), atol=1e-11)


def test_without_bias_the_forms_agree_only_for_equal_norms():
    x, beta = draw(6, 5), 1.5
    for equal in (True, False):
        patterns = torch.nn.functional.normalize(draw(8, 5), dim=1)
        patterns[0] *= 1 if equal else 2
        difference = DenseAM(patterns, beta).energy(x) - 2 * DotProductAM(patterns, 2 * beta).energy(x)
        spread = float(difference.max() - difference.min())
        assert (spread < 1e-12) is equal
        if equal:  # the constant is the squared norm
            assert float(difference[0]) == pytest.approx(1)


def test_energy_is_the_variance_exploding_energy_of_the_workshop_version():
    # Eq. 12-13: with unit norms, -v log sum exp(-|x - y|^2 / 2v) = E_dot(1 / v) + 1/2 at variance v.
    patterns, x = torch.nn.functional.normalize(draw(8, 5), dim=1), draw(6, 5)
    variance = 0.3
    density = torch.logsumexp(-(x[:, None] - patterns).square().sum(-1) / (2 * variance), 1)
    difference = -variance * density - DotProductAM(patterns, 1 / variance).energy(x)
    assert torch.allclose(difference, torch.full_like(difference, 0.5), atol=1e-12)


def test_heights_make_the_lifted_norms_equal():
    memory = DotProductAM(draw(8, 5), 1.0)
    norms = memory.lifted.patterns.norm(dim=1)
    assert torch.allclose(norms, norms[:1].expand(8), rtol=1e-12)
    assert memory.lifted.beta == 0.5


def test_bad_input():
    with pytest.raises(ValueError, match=r"`patterns` must have shape \(K, D\)"):
        DotProductAM(torch.zeros(0, 2), 1.0)
    for beta in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="`beta` must be positive and finite, got"):
            DotProductAM(torch.zeros(1, 2), beta)
    with pytest.raises(ValueError, match=r"`bias` must be 2 finite numbers, got shape \(3,\)"):
        DotProductAM(torch.zeros(2, 2), 1.0, torch.zeros(3))
    with pytest.raises(ValueError, match="`bias` must be 2 finite numbers"):
        DotProductAM(torch.zeros(2, 2), 1.0, torch.tensor([0.0, math.nan]))
    with pytest.raises(ValueError, match=r"`x` must have shape \(n, 2\), got \(1, 3\)"):
        DotProductAM(torch.zeros(2, 2), 1.0).energy(torch.zeros(1, 3))

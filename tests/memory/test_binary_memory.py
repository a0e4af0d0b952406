import math

import pytest
import torch
from scipy.optimize import brentq

from spurion.core.random import generator
from spurion.memory.binary import BinaryDenseAM, HopfieldNetwork, recall
from spurion.memory.separation import Exponential, Polynomial, RectifiedPolynomial

SEPARATIONS = [Polynomial(2), Polynomial(3), RectifiedPolynomial(2), RectifiedPolynomial(4), Exponential()]


def signs(*shape, seed=0):
    return torch.randint(0, 2, shape, generator=generator(seed, "signs", *shape)).double() * 2 - 1


def brute_energy(separation, patterns, states):
    z = states @ patterns.T
    if isinstance(separation, Exponential):
        return -z.exp().sum(1).log()
    if isinstance(separation, RectifiedPolynomial):
        z = torch.where(z > 0, z, 0)
    return -(z**separation.degree).sum(1)


@pytest.mark.parametrize("separation", SEPARATIONS, ids=repr)
def test_each_neuron_takes_the_sign_of_lower_energy(separation):
    patterns, states = signs(5, 12), signs(20, 12, seed=1)
    memory = BinaryDenseAM(patterns, separation)
    assert torch.allclose(memory.energy(states), brute_energy(separation, patterns, states), rtol=1e-12)
    updated = memory.update(states)
    for i in range(12):
        up, down = states.clone(), states.clone()
        up[:, i], down[:, i] = 1, -1
        gain = brute_energy(separation, patterns, down) - brute_energy(separation, patterns, up)
        expected = torch.where(gain.abs() < 1e-9, states[:, i], gain.sign())
        assert torch.equal(updated[:, i], expected)


@pytest.mark.parametrize("separation", SEPARATIONS, ids=repr)
def test_asynchronous_updates_never_raise_the_energy_and_settle(separation):
    memory, states = BinaryDenseAM(signs(8, 20), separation), signs(30, 20, seed=2)
    rng = generator(0, "order")
    energy = memory.energy(states)
    for _ in range(50):
        result = memory.retrieve(states, generator=rng, sweeps=1)
        new = memory.energy(result.states)
        assert (new <= energy + 1e-9 * energy.abs()).all()
        assert torch.equal(result.converged, (result.states == states).all(1))
        states, energy = result.states, new
        if result.converged.all():
            break
    assert result.converged.all()
    assert torch.equal(memory.update(states), states)


def test_hopfield_is_the_quadratic_memory():
    # Odd K and even N: a field is a sum of 15 odd numbers over 16, never zero, so rounding decides nothing.
    patterns, states = signs(3, 16), signs(25, 16, seed=3)
    hopfield, quadratic = HopfieldNetwork(patterns), BinaryDenseAM(patterns, Polynomial(2))
    assert torch.allclose(hopfield.weights, hopfield.weights.T)
    assert torch.equal(hopfield.weights.diagonal(), torch.zeros(16).double())
    assert float(hopfield.weights[0, 1]) == pytest.approx(float((patterns[:, 0] * patterns[:, 1]).sum()) / 16)
    # -sum z^2 = 2 N E - K N, the last term from the diagonal.
    assert torch.allclose(quadratic.energy(states), 2 * 16 * hopfield.energy(states) - 3 * 16)
    assert torch.equal(hopfield.update(states), quadratic.update(states))
    a = hopfield.retrieve(states, generator=generator(0, "a"))
    b = quadratic.retrieve(states, generator=generator(0, "a"))
    assert torch.equal(a.states, b.states)
    assert torch.equal(a.sweeps, b.sweeps)
    in_order = hopfield.retrieve(states, sweeps=1).states
    by_hand = states.clone()
    for i in range(16):
        field = by_hand @ hopfield.weights[i]
        by_hand[:, i] = torch.where(field == 0, by_hand[:, i], field.sign())
    assert torch.equal(in_order, by_hand)


def test_neurons_without_a_field_keep_their_state():
    # Even K and odd N: many fields are sums of 14 even numbers, and some are exactly 0.
    patterns, states = signs(4, 15), signs(25, 15, seed=3)
    hopfield, quadratic = HopfieldNetwork(patterns), BinaryDenseAM(patterns, Polynomial(2))
    fields = states @ (patterns.T @ patterns).fill_diagonal_(0)
    assert (fields == 0).any()
    expected = torch.where(fields == 0, states, fields.sign())
    assert torch.equal(hopfield.update(states), expected)
    assert torch.equal(quadratic.update(states), expected)


def test_synchronous_updates_may_alternate_for_ever():
    # Two neurons that pull each other: (+, -) and (-, +) swap at every synchronous update.
    memory = HopfieldNetwork(torch.ones(1, 2))
    result = memory.retrieve(torch.tensor([[1.0, -1.0], [1.0, 1.0]]), synchronous=True, sweeps=7)
    assert result.converged.tolist() == [False, True]
    assert result.sweeps.tolist() == [7, 1]
    assert memory.retrieve(torch.tensor([[1.0, -1.0]])).converged.all()


def overlap_in_theory(load):
    """Amit et al. (1985) at zero temperature: erf(y) = y (sqrt(2 load) + 2 exp(-y^2) / sqrt(pi))."""

    def excess(y):
        return math.erf(y) - y * (math.sqrt(2 * load) + 2 / math.sqrt(math.pi) * math.exp(-y * y))

    ys = [1 + 0.01 * i for i in range(300)]
    best = max(ys, key=excess)
    return math.erf(brentq(excess, best, 100)) if excess(best) > 0 else math.nan


def test_hopfield_capacity_is_near_0138():
    assert not math.isnan(overlap_in_theory(0.137))
    assert math.isnan(overlap_in_theory(0.139))
    size, rng = 600, generator(0, "capacity")
    overlaps = {}
    for load in (0.05, 0.10, 0.22):
        memory = HopfieldNetwork(signs(round(load * size), size))
        overlaps[load] = recall(memory, count=30, generator=rng)
    for load in (0.05, 0.10):
        assert overlaps[load].shape == (30,)
        assert abs(float(overlaps[load].mean()) - overlap_in_theory(load)) < 0.01
    assert float(overlaps[0.22].mean()) < 0.6
    assert float((overlaps[0.22] > 0.9).double().mean()) < 0.2


def test_denser_memories_hold_more_patterns_than_neurons():
    size, rng = 40, generator(0, "dense")
    patterns = signs(2 * size, size)
    held = {s: float(recall(BinaryDenseAM(patterns, s), count=80, generator=rng).mean()) for s in SEPARATIONS}
    assert held[Polynomial(2)] < 0.6
    assert held[RectifiedPolynomial(4)] > 0.99
    assert held[Exponential()] == 1


def test_exponential_does_not_overflow():
    patterns = signs(3, 2000)
    memory = BinaryDenseAM(patterns, Exponential())
    corrupted = patterns.clone()
    corrupted[:, :600] *= -1
    assert torch.equal(memory.retrieve(corrupted, sweeps=3).states, patterns)
    assert torch.allclose(memory.energy(patterns), torch.full((3,), -2000.0).double())


def test_bad_input():
    with pytest.raises(ValueError, match=r"`patterns` must have shape \(K, N\), K, N >= 1, got \(0, 3\)"):
        HopfieldNetwork(torch.zeros(0, 3))
    with pytest.raises(ValueError, match=r"`patterns` must have entries -1 and \+1 only"):
        HopfieldNetwork(torch.zeros(1, 3))
    memory = HopfieldNetwork(torch.ones(1, 3))
    with pytest.raises(ValueError, match=r"`states` must have entries -1 and \+1 only"):
        memory.energy(torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"`states` must have shape \(n, 3\), got \(1, 2\)"):
        memory.update(torch.ones(1, 2))
    with pytest.raises(ValueError, match="`sweeps` must be at least 1, got 0"):
        memory.retrieve(torch.ones(1, 3), sweeps=0)
    for kind in (Polynomial, RectifiedPolynomial):
        with pytest.raises(ValueError, match="`degree` must be at least 2, got 1"):
            kind(1)


def test_degrees_that_cannot_be_computed_are_refused():
    patterns = torch.ones(3, 784)
    with pytest.raises(ValueError, match="`separation` overflows with 784 neurons, got Polynomial"):
        BinaryDenseAM(patterns, Polynomial(120))
    BinaryDenseAM(patterns, Polynomial(100))  # 786^100 = 3.5e289
    BinaryDenseAM(patterns, Exponential())

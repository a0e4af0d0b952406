"""The attractor census on planted clusters, and its estimators against their laws."""

from itertools import product

import numpy as np
import pytest
import torch

from spurion.core.random import generator
from spurion.neighbors import Pairs, within
from spurion.phases.attractors import census, components

MEMORIZED, SPURIOUS, GENERALIZED = 0, 1, 2


def pairs_of(states):
    """The pairs of samples that came out of equal states."""
    states = torch.as_tensor(states)
    near = (states[:, None] == states[None, :]) & ~torch.eye(len(states), dtype=torch.bool)
    return graph(near)


def graph(near):
    indptr = torch.cat([torch.zeros(1, dtype=torch.int64), near.sum(dim=1).cumsum(dim=0)])
    return Pairs(indptr, near.nonzero()[:, 1])


def edges(count, *joined):
    near = torch.zeros(count, count, dtype=torch.bool)
    for i, j in joined:
        near[i, j] = near[j, i] = True
    return graph(near)


def labels(*values):
    return torch.tensor(values, dtype=torch.int64)


def test_planted_attractors():
    states = [0] * 5 + [1] * 3 + [2] * 2 + [3, 4]
    order = torch.randperm(12, generator=generator(0, "order"))
    classes = labels(*[MEMORIZED] * 5, *[SPURIOUS] * 3, *[MEMORIZED] * 2, GENERALIZED, MEMORIZED)
    found = census(pairs_of(torch.tensor(states)[order]), classes[order])
    assert found.attractors == 3
    assert found.memorized == 2
    assert found.spurious == 1
    assert found.shares == (5 / 12, 3 / 12, 2 / 12)
    assert found.unseen_mass == 2 / 12
    assert found.chao1 == 5 + 2 * 1 / (2 * 2)
    assert (found.chains, found.chained_mass) == (0, 0.0)


def test_half_of_the_members_make_an_attractor_memorized():
    pairs = pairs_of([0, 0, 1, 1, 1])
    found = census(pairs, labels(MEMORIZED, SPURIOUS, SPURIOUS, SPURIOUS, MEMORIZED))
    assert (found.memorized, found.spurious) == (1, 1)


def test_a_string_of_neighbors_is_a_chain_and_no_attractor():
    line = edges(6, *[(i, i + 1) for i in range(5)])
    found = census(line, labels(*[SPURIOUS] * 6))
    assert found.attractors == found.memorized == found.spurious == 0
    assert found.shares == ()
    assert (found.chains, found.chained_mass) == (1, 1.0)
    assert found.unseen_mass == 0.0


def test_a_chain_begins_at_half_of_the_pairs():
    three_of_six = edges(4, (0, 1), (1, 2), (2, 3))
    assert census(three_of_six, labels(*[SPURIOUS] * 4)).chains == 1
    four_of_six = edges(4, (0, 1), (1, 2), (2, 3), (3, 0))
    assert census(four_of_six, labels(*[SPURIOUS] * 4)).attractors == 1
    two_of_three = edges(3, (0, 1), (1, 2))
    assert census(two_of_three, labels(*[SPURIOUS] * 3)).attractors == 1


def test_two_attractors_joined_by_one_pair_are_a_chain():
    near = [(i, j) for i, j in product(range(6), range(6)) if i < j and i // 3 == j // 3]
    assert census(edges(6, *near), labels(*[SPURIOUS] * 6)).attractors == 2
    bridged = census(edges(6, *near, (2, 3)), labels(*[SPURIOUS] * 6))
    assert (bridged.attractors, bridged.chains, bridged.chained_mass) == (0, 1, 1.0)


def test_a_dense_manifold_is_a_chain_where_attractors_of_equal_number_are_not():
    angle = 2 * torch.pi * torch.rand(2_000, generator=generator(0, "angle"), dtype=torch.float64)
    circle = torch.stack([angle.cos(), angle.sin()], dim=1)
    found = census(within(circle, circle, 0.05, exclude_self=True), labels(*[SPURIOUS] * 2_000))
    assert found.attractors == 0
    assert found.chains == 1
    assert found.chained_mass == 1.0
    whisper = 0.01 * torch.randn(2_000, 2, generator=generator(0, "whisper"), dtype=torch.float64)
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    blobs = corners[torch.arange(2_000) % 3] + whisper
    found = census(within(blobs, blobs, 0.05, exclude_self=True), labels(*[SPURIOUS] * 2_000))
    assert (found.attractors, found.chains) == (3, 0)


@pytest.mark.parametrize("seed", range(4))
def test_shares_chains_and_the_unseen_add_up_to_one(seed):
    x = torch.rand(300, 1, generator=generator(seed, "x"), dtype=torch.float64) ** 2
    found = census(within(x, x, 0.001, exclude_self=True), labels(*[GENERALIZED] * 300))
    assert found.chains > 0
    assert found.attractors == found.spurious == len(found.shares) > 0
    assert sum(found.shares) + found.chained_mass + found.unseen_mass == pytest.approx(1.0, abs=1e-12)
    assert list(found.shares) == sorted(found.shares, reverse=True)


def test_unseen_mass_is_the_expected_mass_of_states_not_among_the_other_samples():
    probability = np.array([0.5, 0.3, 0.2])
    count = 4
    expected = 0.0
    for states in product(range(3), repeat=count):  # every possible outcome, with its probability
        weight = probability[list(states)].prod()
        expected += weight * census(pairs_of(states), labels(*[SPURIOUS] * count)).unseen_mass
    assert expected == pytest.approx((probability * (1 - probability) ** (count - 1)).sum(), abs=1e-12)


def test_chao1_finds_the_number_of_equally_likely_states():
    draw = np.random.default_rng(0)
    estimates, seen = [], []
    for _ in range(100):
        states = draw.integers(0, 60, size=80)
        estimates.append(census(pairs_of(states), labels(*[SPURIOUS] * 80)).chao1)
        seen.append(len(np.unique(states)))
    error = np.std(estimates) / np.sqrt(100)
    assert np.mean(seen) < 47  # what is seen falls far short
    assert abs(np.mean(estimates) - 60) < 4 * error


def test_nothing_repeats():
    found = census(pairs_of(range(5)), labels(*[GENERALIZED] * 5))
    assert found.attractors == 0
    assert found.unseen_mass == 1.0
    assert found.chao1 is None


def test_everything_is_one_attractor():
    found = census(pairs_of([0] * 5), labels(*[MEMORIZED] * 5))
    assert (found.attractors, found.memorized, found.shares) == (1, 1, (1.0,))
    assert (found.unseen_mass, found.chao1) == (0.0, 1.0)


def test_one_sample():
    found = census(pairs_of([0]), labels(MEMORIZED))
    assert (found.attractors, found.unseen_mass, found.chao1, found.shares) == (0, 1.0, None, ())


def test_components_follow_chains():
    found = components(edges(6, (0, 4), (4, 2), (1, 5)))
    assert found[0] == found[4] == found[2]
    assert found[1] == found[5]
    assert len({int(found[0]), int(found[1]), int(found[3])}) == 3


def test_other_samples_than_labels_are_refused():
    with pytest.raises(ValueError, match="must be of the same samples, at least one, got 2 and 3"):
        census(pairs_of([0, 0]), labels(0, 0, 0))
    with pytest.raises(ValueError, match="at least one, got 0 and 0"):
        census(pairs_of(torch.zeros(0)), labels())


def test_pairs_of_an_item_with_itself_are_refused():
    with pytest.raises(ValueError, match="`pairs` must not pair an item with itself"):
        census(graph(torch.ones(2, 2, dtype=torch.bool)), labels(0, 0))

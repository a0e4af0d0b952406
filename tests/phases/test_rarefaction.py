"""The rarefaction curve against enumeration, fractions and its own definition."""

from fractions import Fraction
from itertools import combinations, pairwise
from math import comb

import pytest
import torch

from spurion.core.random import generator
from spurion.phases.rarefied import Rarefaction, collision_rate, rarefaction


def ones(count):
    return torch.ones(count, dtype=torch.bool)


def random_graph(count, seed, share=0.3):
    """A random symmetric relation "within delta_s" without the diagonal."""
    upper = torch.rand(count, count, generator=generator(seed, "graph")).triu(1)
    near = (upper > 0) & (upper < share)
    return near | near.T


def spurious_share(near, not_memorized, subset):
    """The definition, on one subset: not memorized, and a neighbor within the subset."""
    chosen = torch.tensor(subset)
    has_neighbor = near[chosen][:, chosen].any(dim=1)
    return Fraction(int((has_neighbor & not_memorized[chosen]).sum()), len(subset))


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_mean_over_all_subsets(seed):
    count = 7
    near = random_graph(count, seed)
    not_memorized = torch.rand(count, generator=generator(seed, "labels")) < 0.7
    curve = rarefaction(near.sum(dim=1), not_memorized, sizes=range(1, count + 1))
    for size, value in zip(curve.sample_sizes, curve.spurious, strict=True):
        subsets = list(combinations(range(count), size))
        mean = sum(spurious_share(near, not_memorized, subset) for subset in subsets) / len(subsets)
        assert value == pytest.approx(float(mean), abs=1e-15)


def test_binomials_as_fractions():
    count = 60
    duplicates = torch.arange(count)
    curve = rarefaction(duplicates, ones(count), sizes=range(1, count + 1))
    for size, value in zip(curve.sample_sizes, curve.spurious, strict=True):
        missed = sum(Fraction(comb(count - 1 - n, size - 1), comb(count - 1, size - 1)) for n in range(count))
        assert value == pytest.approx(float(1 - missed / count), abs=1e-14)


@pytest.mark.parametrize("size", [2, 3, 10, 1_000, 500_000, 999_000])
@pytest.mark.parametrize("neighbors", [1, 2, 50, 1_000])
def test_a_million_samples_are_exact_to_1e_12(neighbors, size):
    count = 1_000_000
    curve = Rarefaction(sample_sizes=(), spurious=(), samples=count, neighbors=((neighbors, count),))
    missed = Fraction(1)
    for j in range(neighbors):  # the same ratio of binomials, as a product of exact fractions
        missed *= Fraction(count - size - j, count - 1 - j)
        if missed.denominator.bit_length() > 4096:
            missed = Fraction(missed.numerator >> 2048, missed.denominator >> 2048)  # rounds at 1e-600
    assert curve.at(size) == pytest.approx(float(1 - missed), abs=1e-12)


@pytest.mark.parametrize("size", [2, 3, 4, 20])
@pytest.mark.parametrize("neighbors", [300_000, 700_000, 999_999])
def test_long_products_are_exact_to_1e_12(neighbors, size):
    count = 1_000_000
    missed = Fraction(comb(count - 1 - neighbors, size - 1), comb(count - 1, size - 1))
    curve = Rarefaction(sample_sizes=(), spurious=(), samples=count, neighbors=((neighbors, count),))
    assert curve.at(size) == pytest.approx(float(1 - missed), abs=1e-12)


def test_it_starts_at_zero_never_falls_and_ends_at_the_spurious_fraction():
    near = random_graph(300, seed=5, share=0.004)
    duplicates = near.sum(dim=1)
    not_memorized = torch.rand(300, generator=generator(5, "labels")) < 0.6
    curve = rarefaction(duplicates, not_memorized)
    assert curve.sample_sizes[0] == 1
    assert curve.sample_sizes[-1] == 300
    assert len(curve.sample_sizes) > 30
    assert curve.spurious[0] == 0.0
    assert list(curve.spurious) == sorted(curve.spurious)
    assert curve.spurious[-1] == float((not_memorized & (duplicates > 0)).double().mean())
    assert 0 < curve.spurious[-1] < 0.6


def test_default_sizes_are_even_in_the_logarithm():
    sizes = rarefaction(torch.zeros(10**6, dtype=torch.int64), ones(10**6)).sample_sizes
    assert sizes[0] == 1
    assert sizes[-1] == 10**6
    large = [size for size in sizes if size > 100]
    ratios = [b / a for a, b in pairwise(large)]
    assert max(ratios) / min(ratios) < 1.02


def test_memorized_samples_count_in_the_size_but_never_as_spurious():
    duplicates = torch.tensor([1, 1, 1, 1])
    not_memorized = torch.tensor([True, True, False, False])
    assert rarefaction(duplicates, not_memorized, sizes=[2]).spurious[0] == pytest.approx(0.5 / 3)


def test_any_size_can_be_read_from_the_stored_curve():
    duplicates = torch.randint(0, 90, (300,), generator=generator(0, "duplicates"))
    not_memorized = torch.rand(300, generator=generator(0, "labels")) < 0.6
    stored = Rarefaction.model_validate_json(rarefaction(duplicates, not_memorized).model_dump_json())
    sizes = [7, 91, 123, 299, 300]
    assert [stored.at(size) for size in sizes] == list(rarefaction(duplicates, not_memorized, sizes).spurious)
    with pytest.raises(ValueError, match="A sample size must lie between 1 and the 300 samples, got 301"):
        stored.at(301)


def test_one_sample():
    curve = rarefaction(torch.tensor([0]), ones(1))
    assert curve.sample_sizes == (1,)
    assert curve.spurious == (0.0,)
    assert collision_rate(torch.tensor([0])) is None


def test_collision_rate_is_the_share_of_pairs():
    near = random_graph(20, seed=1)
    pairs = list(combinations(range(20), 2))
    assert collision_rate(near.sum(dim=1)) == sum(bool(near[i, j]) for i, j in pairs) / len(pairs)


def test_collision_rate_is_unbiased_at_any_number_of_samples():
    near = random_graph(8, seed=2)
    whole = collision_rate(near.sum(dim=1))
    for size in (2, 3, 5):
        subsets = [torch.tensor(subset) for subset in combinations(range(8), size)]
        rates = [collision_rate(near[s][:, s].sum(dim=1)) for s in subsets]
        assert sum(rates) / len(rates) == pytest.approx(whole, abs=1e-15)


@pytest.mark.parametrize("duplicates", [[-1, 0], [0, 2], [5, 0]])
def test_impossible_counts_are_refused(duplicates):
    with pytest.raises(ValueError, match="`duplicates` must lie between 0 and the 1 other samples"):
        rarefaction(torch.tensor(duplicates), ones(2))
    with pytest.raises(ValueError, match="`duplicates` must lie between 0 and the 1 other samples"):
        collision_rate(torch.tensor(duplicates))


def test_no_sample_is_refused():
    with pytest.raises(ValueError, match="`duplicates` must hold at least one sample, got none"):
        rarefaction(torch.zeros(0, dtype=torch.int64), ones(0))


@pytest.mark.parametrize("sizes", [[0], [1, 3]])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="A sample size must lie between 1 and the 2 samples"):
        rarefaction(torch.tensor([1, 1]), ones(2), sizes=sizes)

"""Repetitions at a stated number of samples against exact binomials, drawn subsets and the rarefaction."""

import math
from fractions import Fraction
from math import comb

import pytest
import torch

from spurion.core.random import generator
from spurion.phases.classification import class_shares, classify
from spurion.phases.rarefied import rarefaction
from spurion.phases.repetition import depth, repeats, size_of
from spurion.phases.rules import Identifiable, ThresholdInfo

FAR = 9.0


def near(counts, others):
    """Distances to the nearest others, of which so many of each sample lie within 1."""
    ranks = torch.arange(others)
    return torch.where(ranks < torch.tensor(counts)[:, None], 0.5, FAR).double()


def exact(samples, duplicates, size):
    """The probability of the module, in exact fractions."""
    return 1 - Fraction(comb(samples - 1 - duplicates, size - 1), comb(samples - 1, size - 1))


def info(memorized, spurious, size):
    """Thresholds that hold for a number of samples."""
    return ThresholdInfo(
        rule="null:0.01",
        memorized=memorized,
        spurious=spurious,
        identifiable=Identifiable(memorized=True, spurious=True),
        sample_size=size,
    )


@pytest.mark.parametrize("samples", [2, 3, 7, 40])
def test_exact_binomials(samples):
    counts = list(range(samples))
    for size in range(1, samples + 1):
        found = repeats(near(counts, samples - 1), 1.0, size)
        assert found.tolist() == pytest.approx([float(exact(samples, n, size)) for n in counts], abs=1e-12)


@pytest.mark.parametrize(("samples", "size"), [(2000, 1000), (10_000, 1000), (1_000_000, 1000)])
def test_exact_binomials_of_many_samples(samples, size):
    counts = [0, 1, 2, 5]
    known = torch.where(torch.arange(depth(samples, size)) < torch.tensor(counts)[:, None], 0.5, FAR)
    rows = torch.full((samples, 1), 1.0).expand(samples, known.shape[1]).clone() if samples < 5000 else None
    if rows is None:  # the table is what counts; a million rows of 16,000 distances are not
        from spurion.phases.repetition import _met_again

        found = _met_again(samples, size, 5)[counts]
    else:
        rows[: len(counts)] = known
        found = repeats(rows, 0.9, size)[: len(counts)]
    assert found.tolist() == pytest.approx([float(exact(samples, n, size)) for n in counts], rel=1e-10)


def test_subsets_drawn_at_random():
    random, points = generator(0, "subsets"), torch.rand(30, 2, generator=generator(0, "points"))
    apart = torch.cdist(points, points).fill_diagonal_(torch.inf).double()
    expected = repeats(apart.sort(dim=1).values[:, :29], 0.2, 8)
    met, there = torch.zeros(30), torch.zeros(30)
    for _ in range(20_000):
        some = torch.randperm(30, generator=random)[:8]
        there[some] += 1
        met[some] += (apart[some][:, some] <= 0.2).any(dim=1).float()
    error = (expected * (1 - expected) / there).sqrt()
    assert (expected - met / there).abs().le(4 * error + 1e-9).all()  # 30 of them, so four standard errors
    assert float(expected.min()) == 0
    assert 0.9 < float(expected.max()) < 1


@pytest.mark.parametrize(("samples", "size"), [(200, 199), (200, 100), (500, 60), (1000, 40), (1000, 25)])
def test_more_neighbors_than_the_depth_say_nothing_more(samples, size):
    counts = torch.arange(samples).tolist()
    everyone = near(counts, samples - 1)
    cut = everyone[:, : depth(samples, size)]
    error = (repeats(everyone, 1.0, size) - repeats(cut, 1.0, size)).abs().max()
    assert float(error) < 1e-6


def test_the_depth():
    assert [depth(2000, size) for size in (None, 2000, 5000, 1000, 2, 1)] == [1, 1, 1, 33, 1999, 1]
    assert depth(1, None) == 0
    assert depth(2, 1) == 1
    # 16 duplicates are expected among the 26 others of a subset of 27, so all are surely met
    assert depth(1000, 27) == -(-16 * 999 // 26)
    assert size_of(None, 7) == size_of(9, 7) == 7
    assert size_of(5, 7) == 5


@pytest.mark.parametrize("size", [1, 2, 50, 150, 299, 300])
def test_the_share_is_that_of_the_rarefaction(size):
    random = generator(0, "rarefaction")
    points = torch.rand(300, 2, generator=random, dtype=torch.float64)
    apart = torch.cdist(points, points).fill_diagonal_(torch.inf)
    to_train = torch.rand(300, generator=random, dtype=torch.float64)
    thresholds = info(0.3, 0.04, size)
    expected = rarefaction((apart <= 0.04).sum(dim=1), to_train > 0.3).at(size)
    memorized, spurious, generalized = class_shares(to_train, apart.sort(dim=1).values[:, :299], thresholds)
    assert spurious == pytest.approx(expected, abs=1e-12)
    assert memorized == float((to_train <= 0.3).double().mean())
    assert memorized + spurious + generalized == pytest.approx(1, abs=1e-14)


def test_all_samples_are_the_plain_definition():
    apart = near([0, 1, 3, 0], 3)
    assert repeats(apart, 1.0).tolist() == repeats(apart, 1.0, 4).tolist() == [0, 1, 1, 0]
    assert repeats(apart[:, :1], 0.5).tolist() == [0, 1, 1, 0]  # at the threshold itself
    assert repeats(apart[:, :1], 0.4999).tolist() == [0, 0, 0, 0]


def test_several_thresholds_at_once():
    apart = torch.rand(20, 19, generator=generator(0, "several")).double().sort(dim=1).values
    values = torch.tensor([0.0, 0.2, 0.9], dtype=torch.float64)
    found = repeats(apart, values, 7)
    assert found.shape == (3, 20)
    assert all((found[i] == repeats(apart, float(values[i]), 7)).all() for i in range(3))


def test_a_sample_is_called_by_the_odds_of_meeting_it_again():
    # among 3 of 5 samples one duplicate is met with probability 1/2, which is enough; among 2 with 1/4
    to_train = torch.full((5,), FAR, dtype=torch.float64)
    apart = near([0, 1, 2, 1, 4], 4)
    assert classify(to_train, apart, info(1.0, 1.0, 3)).tolist() == [2, 1, 1, 1, 1]
    assert classify(to_train, apart, info(1.0, 1.0, 2)).tolist() == [2, 2, 1, 2, 1]
    to_train[2] = 0.5
    assert classify(to_train, apart, info(1.0, 1.0, 3)).tolist() == [2, 1, 0, 1, 1]


def test_too_few_neighbors():
    with pytest.raises(
        ValueError, match=r"`to_samples` must hold the 33 nearest others of each of 2000 samples, .* got 32\."
    ):
        repeats(torch.ones(2000, 32), 1.0, 1000)


@pytest.mark.parametrize(
    ("thresholds", "sample_size", "words"),
    [
        (0.1, 0, "`sample_size` must be at least 1"),
        (-1.0, None, "`thresholds`"),
        (math.nan, None, "`thresholds`"),
    ],
)
def test_values_out_of_range_are_one_sentence(thresholds, sample_size, words):
    with pytest.raises(ValueError, match=words):
        repeats(torch.ones(5, 4), thresholds, sample_size)

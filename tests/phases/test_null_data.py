"""Samples that are held-out images: nothing may be found, but for the promised share of the time."""

import math

import pytest
import torch
from scipy import stats

from spurion.core.random import generator
from spurion.phases.classification import classify
from spurion.phases.detection import power
from spurion.phases.gate import decide
from spurion.phases.null import null_test
from spurion.phases.repetition import depth
from spurion.phases.thresholds import holdout
from spurion.statistics.intervals import class_fractions, proportion

SEEDS = 200


def draw(count, dim, *path):
    return torch.randn(count, dim, generator=generator(0, "null data", *path))


def nearest_distance(queries, reference, exclude_self=False):
    distances = torch.cdist(queries.double(), reference.double())
    if exclude_self:
        distances.fill_diagonal_(torch.inf)
    return distances.min(dim=1).values


def to_others(samples, count):
    return (
        torch.cdist(samples.double(), samples.double())
        .fill_diagonal_(torch.inf)
        .sort(dim=1)
        .values[:, :count]
    )


@pytest.fixture(scope="module")
def tests():
    """The held-out null on sets of 50 training, 40 held-out images and 55 samples, all alike."""
    found = []
    for seed in range(SEEDS):
        train, held_out, samples = draw(145, 4, seed).split((50, 40, 55))
        found.append(null_test(samples, train, held_out, seed=seed))
    return found


def test_the_share_closer_to_train_has_one_half_in_its_interval(tests):
    shares = [test.share_closer_to_train for test in tests]
    covered = sum(share.low <= 0.5 <= share.high for share in shares) / SEEDS
    # 95 %, within two points for the approximation and three standard errors of 200 trials
    assert abs(covered - 0.95) < 0.02 + 3 * math.sqrt(0.95 * 0.05 / SEEDS)
    values = torch.tensor([share.value for share in shares])
    assert abs(values.mean() - 0.5) < 4 * values.std() / SEEDS**0.5


@pytest.mark.parametrize("name", ["share_p_value", "ct_p_value"])
def test_p_values_are_uniform(tests, name):
    values = [getattr(test, name) for test in tests]
    assert stats.kstest(values, "uniform").pvalue > 0.01


def test_the_p_value_of_authpct_is_never_too_small(tests):
    # Fisher's exact test is conservative: above the diagonal, not on it
    values = [test.authpct_p_value for test in tests]
    assert stats.kstest(values, "uniform", alternative="greater").pvalue > 0.01


@pytest.fixture(scope="module")
def false_alarms():
    """For each seed what `holdout:0.01` from 299 held-out images calls 300 honest samples."""
    found = []
    for seed in range(SEEDS):
        train, held_out, samples = draw(799, 6, "alarms", seed).split((200, 299, 300))
        thresholds = holdout(
            0.01, nearest_distance(held_out, train), nearest_distance(held_out, held_out, exclude_self=True)
        )
        labels = classify(
            nearest_distance(samples, train),
            to_others(samples, depth(300, thresholds.sample_size)),
            thresholds,
        )
        found.append(labels)
    return found


def test_false_memorized_stay_within_the_promised_share(false_alarms):
    shares = torch.tensor([(labels == 0).double().mean() for labels in false_alarms])
    # rank 3 of 300: exactly 1 % on average over held-out sets, not in every one of them
    assert abs(shares.mean() - 0.01) < 3 * shares.std() / SEEDS**0.5
    called = torch.tensor([int((labels == 0).sum()) for labels in false_alarms])
    needed = power(300, false_positive_rate=0.01, held_out=299).count_needed
    assert (called >= needed).double().mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / SEEDS)


def test_the_gate_seldom_fails_an_honest_model_at_twice_the_promised_share(false_alarms):
    outcomes = [
        decide("memorized > 0.02", {"memorized": class_fractions(labels, seed=0).memorized}, 300).outcome
        for labels in false_alarms
    ]
    assert outcomes.count("fail") <= SEEDS * 0.05 + 3 * math.sqrt(SEEDS * 0.05 * 0.95)


def test_nothing_in_n_is_three_over_n():
    for n in (100, 1000, 10_000):
        assert class_fractions(torch.full((n,), 2), seed=0).memorized == proportion(0, n)
        assert proportion(0, n).high == pytest.approx(3 / n, rel=0.02)

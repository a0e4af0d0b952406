"""Intervals against exact binomial tails and their own promise of coverage."""

import numpy as np
import pytest
import torch
from scipy.stats import binom

from spurion.phases.intervals import FEW, Interval, class_fractions, proportion


def labels(memorized, spurious, generalized):
    return torch.tensor([0] * memorized + [1] * spurious + [2] * generalized, dtype=torch.int64)


def ends(interval):
    return interval.low, interval.high


@pytest.mark.parametrize(("successes", "n"), [(1, 20), (7, 20), (19, 20), (3, 2000), (1000, 2000)])
def test_proportion_inverts_the_binomial_tails(successes, n):
    found = proportion(successes, n)
    assert found.value == successes / n
    assert binom.sf(successes - 1, n, found.low) == pytest.approx(0.025, rel=1e-9)
    assert binom.cdf(successes, n, found.high) == pytest.approx(0.025, rel=1e-9)


@pytest.mark.parametrize("n", [1, 10, 300, 10_000])
def test_nothing_seen_bounds_the_share_by_three_over_n(n):
    nothing, everything = proportion(0, n), proportion(n, n)
    assert nothing.value == nothing.low == 0
    assert nothing.high == pytest.approx(1 - 0.05 ** (1 / n), rel=1e-12)
    assert n < 100 or nothing.high == pytest.approx(3 / n, rel=0.01)
    assert everything.value == everything.high == 1
    assert everything.low == pytest.approx(1 - nothing.high, rel=1e-12)


def test_fractions_are_the_shares_of_the_labels():
    found = class_fractions(labels(100, 60, 40), seed=0)
    assert [found.memorized.value, found.spurious.value, found.generalized.value] == [0.5, 0.3, 0.2]


def test_bootstrap_is_the_binomial_percentile():
    n, counts = 2000, (400, 600, 1000)
    found = class_fractions(labels(*counts), seed=0)
    for count, interval in zip(counts, (found.memorized, found.spurious, found.generalized), strict=True):
        exact = binom.ppf([0.025, 0.975], n, count / n) / n
        # 10,000 resamples place a 2.5 % quantile to about 0.07 standard deviations; 0.001 is over 0.09
        assert ends(interval) == pytest.approx(tuple(exact), abs=0.001)


def test_classes_with_few_samples_or_lacking_few_are_exact():
    found = class_fractions(labels(FEW - 1, 0, 300), seed=0)
    assert found.memorized == proportion(FEW - 1, 300 + FEW - 1)
    assert found.spurious == proportion(0, 300 + FEW - 1)
    assert found.generalized == proportion(300, 300 + FEW - 1)
    enough = class_fractions(labels(FEW, 0, 300), seed=0)
    assert enough.memorized != proportion(FEW, 300 + FEW)
    assert enough.generalized != proportion(300, 300 + FEW)


def test_one_sample_says_little():
    found = class_fractions(labels(0, 0, 1), seed=0)
    assert ends(found.generalized) == pytest.approx((0.05, 1.0))
    assert ends(found.memorized) == pytest.approx((0.0, 0.95))


def coverage(n, p):
    """Probability that the interval of a class of probability p covers p, summed over its count."""
    counts = np.arange(n + 1)
    weights = binom.pmf(counts, n, p)
    likely = counts[weights > 1e-5]
    covered = [
        interval.low <= p <= interval.high
        for count in likely
        for interval in [
            class_fractions(labels(int(count), 0, int(n - count)), seed=7, resamples=4000).memorized
        ]
    ]
    return float(weights[likely] @ np.array(covered))


@pytest.mark.parametrize("n", [50, 200, 2000])
@pytest.mark.parametrize("p", [0.01, 0.05, 0.3, 0.5, 0.95, 0.99])
def test_coverage(n, p):
    # With 20 expected on either side or more, 93 % to 97 %. With fewer, the counts are too coarse for
    # any interval to hit 95 %, and the exact interval errs on the safe side.
    found = coverage(n, p)
    assert found >= 0.93
    if n * min(p, 1 - p) >= 20:
        assert found <= 0.97


def test_same_seed_same_interval():
    these = labels(300, 300, 400)
    assert class_fractions(these, seed=3) == class_fractions(these, seed=3)
    assert class_fractions(these, seed=3) != class_fractions(these, seed=4)


def test_few_resamples_are_allowed():
    found = class_fractions(labels(50, 50, 50), seed=0, resamples=1).memorized
    assert found.low == found.high


def test_intervals_are_configurations():
    assert Interval.model_validate_json(proportion(3, 10).model_dump_json()) == proportion(3, 10)


class TestBadInput:
    def test_nothing_counted(self):
        with pytest.raises(ValueError, match="`n` must be at least 1, got 0"):
            proportion(0, 0)
        with pytest.raises(ValueError, match="`labels` must hold at least one label"):
            class_fractions(labels(0, 0, 0), seed=0)

    @pytest.mark.parametrize("successes", [-1, 11])
    def test_successes_out_of_range(self, successes):
        with pytest.raises(ValueError, match=f"`successes` must be from 0 to 10, got {successes}"):
            proportion(successes, 10)

    @pytest.mark.parametrize("label", [-1, 3])
    def test_unknown_label(self, label):
        with pytest.raises(ValueError, match="`labels` must be 0, 1 or 2"):
            class_fractions(torch.tensor([0, 1, 2, label]), seed=0)

    def test_no_resamples(self):
        with pytest.raises(ValueError, match="`resamples` must be at least 1, got 0"):
            class_fractions(labels(1, 1, 1), seed=0, resamples=0)

"""Intervals against exact binomial tails and their own promise of coverage."""

import numpy as np
import pytest
import torch
from scipy.stats import binom

from spurion.statistics.intervals import FEW, MANY, Interval, class_fractions, proportion


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


@pytest.mark.parametrize("count", [FEW, 30, MANY - 1])
def test_classes_with_some_samples_invert_the_mid_p_tails(count):
    n = 300
    for found, successes in (
        (class_fractions(labels(count, 0, n - count), seed=0).memorized, count),
        (class_fractions(labels(n - count, 0, count), seed=0).memorized, n - count),
    ):
        half = 0.5 * binom.pmf(successes, n, np.array(ends(found)))
        assert binom.sf(successes, n, found.low) + half[0] == pytest.approx(0.025, rel=1e-6)
        assert binom.cdf(successes - 1, n, found.high) + half[1] == pytest.approx(0.025, rel=1e-6)


def test_from_many_samples_on_the_bootstrap_decides():
    # one resample has no width; the exact intervals do not look at it
    bootstrapped = class_fractions(labels(MANY, 0, 300), seed=0, resamples=1).memorized
    assert bootstrapped.low == bootstrapped.high
    exact = class_fractions(labels(MANY - 1, 0, 300), seed=0, resamples=1).memorized
    assert exact.low < exact.value < exact.high


def test_one_sample_says_little():
    found = class_fractions(labels(0, 0, 1), seed=0)
    assert ends(found.generalized) == pytest.approx((0.05, 1.0))
    assert ends(found.memorized) == pytest.approx((0.0, 0.95))


def coverage(n, shares):
    """Probability that the interval of a class covers its share, summed over all counts."""
    counts = np.arange(n + 1)
    reached = counts[binom.pmf(counts, n, max(shares)) + (counts < n * max(shares)) > 1e-6]
    reached = reached[reached >= binom.ppf(1e-6, n, min(shares))]
    found = [
        ends(class_fractions(labels(int(k), 0, int(n - k)), seed=7, resamples=4000).memorized)
        for k in reached
    ]
    low, high = np.array(found).T
    covered = (low <= shares[:, None]) & (shares[:, None] <= high)
    return (binom.pmf(reached, n, shares[:, None]) * covered).sum(axis=1)


@pytest.mark.parametrize("n", [50, 200, 1000])
def test_coverage(n):
    # Every expected number from 0.05 to 80 in steps of 0.05, not a few lucky ones. From 20 expected on 93 %
    # to 97 %; with fewer the counts are too coarse for any interval, and the rule errs on the safe side. The
    # quantiles of 4,000 resamples move single counts in or out: 0.3 % beside the exact bootstrap.
    expected = np.arange(0.05, min(n / 2, 80), 0.05)
    found = coverage(n, expected / n)
    assert found.min() >= 0.93
    assert found[expected >= 20].max() <= 0.973
    assert found[expected >= 10].max() <= 0.975


@pytest.mark.parametrize("share", [0.95, 0.99])
def test_coverage_is_the_same_seen_from_the_other_side(share):
    n = 200
    assert coverage(n, np.array([share])) == pytest.approx(coverage(n, np.array([1 - share])), abs=0.01)


def test_no_rule_can_cover_95_percent_of_one_expected_sample():
    inside = binom.cdf(np.arange(5), 1000, 1 / 1000)
    assert not ((inside >= 0.93) & (inside <= 0.97)).any()
    assert inside[2:4] == pytest.approx([0.92, 0.98], abs=0.002)


def test_same_seed_same_interval():
    these = labels(300, 300, 400)
    assert class_fractions(these, seed=3) == class_fractions(these, seed=3)
    assert class_fractions(these, seed=3) != class_fractions(these, seed=4)


def test_few_resamples_are_allowed():
    found = class_fractions(labels(60, 60, 60), seed=0, resamples=1).memorized
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

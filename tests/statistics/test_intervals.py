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


def coverages(n):
    """Coverage of the interval of a class at all shares where it can be least, and these shares.

    Coverage jumps at the ends of the intervals of the n + 1 counts; it is looked up on both sides of every
    end. From `MANY` samples on an interval is that of infinitely many resamples.
    """
    found = []
    for k in range(n + 1):
        exact = min(k, n - k) < MANY  # does not look at the resamples
        one = class_fractions(labels(k, 0, n - k), seed=0, resamples=1).memorized
        found.append(ends(one) if exact else tuple(binom.ppf([0.025, 0.975], n, k / n) / n))
    low, high = np.array(found).T
    shares = np.unique(np.concatenate([low, high]))[1:-1]
    shares = np.concatenate([shares - 1e-9, shares + 1e-9])
    covered = (low <= shares[:, None]) & (shares[:, None] <= high)
    return (binom.pmf(np.arange(n + 1), n, shares[:, None]) * covered).sum(axis=1), shares


@pytest.mark.parametrize(
    ("n", "least", "where"),
    [
        (10, 0.9266, 0.7411),
        (50, 0.9251, 0.9418),
        (51, 0.9337, 0.4501),
        (120, 0.9348, 0.6667),
        (1000, 0.9384, 0.003),
    ],
)
def test_coverage(n, least, where):
    found, shares = coverages(n)
    assert found.min() == pytest.approx(least, abs=1e-4)
    # the rule treats a class and its complement alike, so the least is found on either side
    assert min(abs(shares[found.argmin()] - share) for share in (where, 1 - where)) < 1e-3
    assert found.min() >= (0.933 if n > 50 else 0.925)
    assert n < 50 or found[n * np.minimum(shares, 1 - shares) >= 20].max() <= 0.97


def test_3_expected_samples_are_missed_as_often_as_any():
    """Just above the end 1 - 0.05^(1/n) of no sample seen, 5 % have none and up to 2.5 % have too many."""
    n = 50
    share = 1 - 0.05 ** (1 / n) + 1e-9
    assert binom.pmf(0, n, share) == pytest.approx(0.05, abs=1e-6)
    assert binom.cdf(6, n, share) - binom.pmf(0, n, share) == pytest.approx(0.9251, abs=1e-4)


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

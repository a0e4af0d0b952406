"""The excess risk against enumeration; fractions with the intervals of replicates."""

import numpy as np
import pytest
from scipy.stats import binom

from spurion.statistics.counts import clopper_pearson
from spurion.statistics.excess import excess
from spurion.statistics.intervals import drawn_fractions, proportion


@pytest.mark.parametrize(("risk", "honest"), [(0.0, 0.01), (0.0, 0.3), (0.05, 0.01), (0.3, 0.2), (0.9, 0.5)])
@pytest.mark.parametrize(("samples", "images"), [(40, 25), (90, 60)])
def test_coverage_by_enumeration(risk, honest, samples, images):
    """Every outcome, weighted by its probability: the interval misses with a probability of .05 at most."""
    share = honest + (1 - honest) * risk
    ours, theirs = np.arange(samples + 1), np.arange(images + 1)
    likely = np.outer(binom.pmf(ours, samples, share), binom.pmf(theirs, images, honest))
    held = 0.0
    for k, j in np.argwhere(likely > 1e-7):
        found = excess(int(k), samples, int(j), images)
        held += likely[k, j] * (found.low - 1e-12 <= risk <= found.high + 1e-12)
    assert held >= 0.95


def test_by_hand():
    found = excess(30, 100, 10, 50)
    assert found.value == pytest.approx(0.1 / 0.8, rel=1e-14)
    low, high = clopper_pearson(30, 100, 0.0125)
    honest_low, honest_high = clopper_pearson(10, 50, 0.0125)
    assert found.low == pytest.approx((low - honest_high) / (1 - honest_high), rel=1e-12)
    assert found.high == pytest.approx((high - honest_low) / (1 - honest_low), rel=1e-12)
    assert found.low < 0 < found.value < found.high


def test_more_samples_say_more():
    widths = [excess(3 * n, 10 * n, n, 10 * n) for n in (1, 10, 100)]
    assert [round(found.value, 12) for found in widths] == [round(2 / 9, 12)] * 3
    assert widths[0].high - widths[0].low > widths[1].high - widths[1].low > widths[2].high - widths[2].low


@pytest.mark.parametrize("honest_count", [0, 3, 49])
def test_the_ends(honest_count):
    all_copies = excess(100, 100, honest_count, 50)
    assert all_copies.value == 1.0
    assert all_copies.high == 1.0
    none = excess(0, 100, 0, 50)
    assert none.value == 0
    assert none.low < 0 < none.high
    below = excess(0, 100, 40, 50)
    assert below.value == pytest.approx(-4.0)  # honest images lie there more often
    assert below.low < below.value < below.high < 0


@pytest.mark.parametrize("count", [0, 70, 100])
def test_all_honest_images_there_leave_nothing_to_tell(count):
    with pytest.raises(ValueError, match=r"All 50 honest images lie below the threshold, so no excess"):
        excess(count, 100, 50, 50)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((1, 0, 0, 1), r"number of `samples` must be at least 1 and hold the 1, got 0\."),
        ((-1, 5, 0, 1), r"number of `samples` must be at least 1 and hold the -1, got 5\."),
        ((0, 0, 0, 1), "number of `samples` must be at least 1"),
        ((0, 1, 2, 1), r"number of `honest` must be at least 1 and hold the 2, got 1\."),
        ((0, 1, 0, 0), "number of `honest` must be at least 1"),
    ],
)
def test_numbers_out_of_range(numbers, message):
    with pytest.raises(ValueError, match=message):
        excess(*numbers)


class TestDrawnFractions:
    def test_replicates_wider_than_the_samples_alone(self):
        drawn = np.linspace([0.1, 0.3, 0.6], [0.5, 0.3, 0.2], 1001)
        found = drawn_fractions((0.3, 0.3, 0.4), drawn, 10_000)
        assert (found.memorized.value, found.generalized.value) == (0.3, 0.4)
        assert (found.memorized.low, found.memorized.high) == pytest.approx((0.11, 0.49), rel=1e-12)
        assert (found.generalized.low, found.generalized.high) == pytest.approx((0.21, 0.59), rel=1e-12)
        exact = proportion(3000, 10_000)
        assert (found.spurious.low, found.spurious.high) == pytest.approx((exact.low, exact.high), rel=1e-12)

    def test_never_narrower_than_the_samples_alone(self):
        drawn = np.tile([0.0, 0.25, 0.75], (500, 1))
        found = drawn_fractions((0.0, 0.25, 0.75), drawn, 400)
        assert found.memorized == proportion(0, 400)
        assert found.spurious == proportion(100, 400)
        assert found.generalized == proportion(300, 400)
        assert drawn_fractions((1.0, 0.0, 0.0), np.tile([1.0, 0.0, 0.0], (9, 1)), 50).memorized == proportion(
            50, 50
        )

    def test_a_share_beyond_its_replicates_is_held(self):
        found = drawn_fractions((0.5, 0.5, 0.0), np.tile([0.9, 0.1, 0.0], (100, 1)), 1_000_000)
        assert (found.memorized.low, found.memorized.high) == pytest.approx((0.499, 0.9), abs=1e-3)
        assert found.memorized.low < 0.5 < found.memorized.high
        assert found.spurious.low == pytest.approx(0.1)

    def test_expected_shares_need_not_be_counts(self):
        found = drawn_fractions((0.0, 0.0004, 0.9996), np.tile([0.0, 0.0004, 0.9996], (10, 1)), 500)
        low, high = clopper_pearson(0.2, 500, 0.025)
        assert (found.spurious.low, found.spurious.high) == pytest.approx((low, high), rel=1e-12)
        assert 0 < found.spurious.low < 0.0004 < found.spurious.high < 0.02

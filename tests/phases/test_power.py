"""What samples could have missed: closed forms, brute-force binomials and simulation."""

import math

import numpy as np
import pytest
from scipy.stats import beta, betabinom, binom

from spurion.phases.detection import MISS, QUADRATURE, Power, _rates, power, samples_needed
from spurion.statistics.intervals import proportion


@pytest.mark.parametrize("n", [1, 10, 300, 10_000])
def test_the_rate_that_would_have_been_seen(n):
    found = power(n)
    assert (1 - found.seen_rate) ** n == pytest.approx(MISS, rel=1e-9)
    assert found.seen_rate == pytest.approx(proportion(0, n).high, rel=1e-9)
    assert n < 100 or found.seen_rate == pytest.approx(3 / n, rel=0.01)
    assert (found.false_positive_rate, found.count_needed, found.detectable_excess) == (None, None, None)


def test_copies_at_that_rate_are_seen_in_95_of_100_simulations():
    n, trials = 400, 20_000
    copies = np.random.default_rng(0).binomial(n, power(n).seen_rate, trials)
    # three standard errors of 20,000 trials
    assert (copies > 0).mean() == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / trials))


def test_without_false_positives_one_copy_is_enough():
    found = power(250, false_positive_rate=0.0)
    assert found.count_needed == 1
    assert found.detectable_excess == pytest.approx(found.seen_rate, abs=1e-9)


@pytest.mark.parametrize(("n", "alpha"), [(100, 0.01), (1000, 0.01), (2000, 0.05), (60, 0.3)])
def test_the_count_and_the_excess_are_those_of_the_binomial(n, alpha):
    found = power(n, false_positive_rate=alpha)
    counts = np.arange(n + 2)
    assert found.count_needed == counts[binom.sf(counts - 1, n, alpha) <= MISS][0]
    rate = alpha + (1 - alpha) * found.detectable_excess
    assert binom.sf(found.count_needed - 1, n, rate) == pytest.approx(0.95, abs=1e-8)


def test_the_excess_is_detected_and_nothing_is_not_in_simulations():
    n, alpha, trials = 500, 0.02, 4000
    found = power(n, false_positive_rate=alpha)
    draw = np.random.default_rng(1)
    honest = draw.random((trials, n)) < alpha
    copied = draw.random((trials, n)) < found.detectable_excess
    assert (honest.sum(1) >= found.count_needed).mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)
    detected = ((honest | copied).sum(1) >= found.count_needed).mean()
    assert detected == pytest.approx(0.95, abs=3 * math.sqrt(0.05 * 0.95 / trials))


@pytest.mark.parametrize(("n", "held_out"), [(200, 150), (1000, 1000)])
def test_a_threshold_from_few_held_out_images_costs_power(n, held_out):
    alpha = 0.02
    found = power(n, false_positive_rate=alpha, held_out=held_out)
    exact = power(n, false_positive_rate=alpha)
    assert found.count_needed > exact.count_needed
    assert found.detectable_excess > exact.detectable_excess
    # the number of false positives is beta-binomial; 2,000 points of its Beta law are within 0.001
    rank = math.floor(alpha * (held_out + 1))
    false_positives = betabinom(n, rank, held_out + 1 - rank)
    assert false_positives.sf(found.count_needed - 1) <= MISS + 0.001
    assert false_positives.sf(found.count_needed - 2) >= MISS - 0.001


def test_a_threshold_from_held_out_images_in_simulation():
    n, held_out, alpha, trials = 200, 150, 0.02, 3000
    found = power(n, false_positive_rate=alpha, held_out=held_out)
    draw = np.random.default_rng(2)
    rank = math.floor(alpha * (held_out + 1))
    thresholds = np.sort(draw.random((trials, held_out)), axis=1)[:, rank - 1]
    called = draw.random((trials, n)) <= thresholds[:, None]
    error = 3 * math.sqrt(0.05 * 0.95 / trials)
    assert (called.sum(1) >= found.count_needed).mean() <= 0.05 + error
    copied = draw.random((trials, n)) < found.detectable_excess
    assert ((called | copied).sum(1) >= found.count_needed).mean() == pytest.approx(0.95, abs=error + 0.001)


def test_where_false_positives_drown_everything_nothing_is_detectable():
    found = power(1, false_positive_rate=0.2)
    assert (found.count_needed, found.detectable_excess) == (None, None)
    assert found.seen_rate == pytest.approx(0.95)


def test_a_count_could_be_chance_below_the_one_that_is_needed():
    promised = power(1000, false_positive_rate=0.01)
    needed = promised.count_needed
    assert [promised.could_be_chance(count) for count in (0, needed - 1, needed, needed + 1)] == [
        *(True, True),
        *(False, False),
    ]
    assert power(2, false_positive_rate=0.05).count_needed == 2  # 1 - 0.95^2 = 0.0975, and 0.05^2 = 0.0025
    drowned = power(1, false_positive_rate=0.2)
    assert drowned.could_be_chance(1)
    assert not power(1000).could_be_chance(0)  # no false positives are promised, so none are excused
    assert not power(1000).could_be_chance(5)


@pytest.mark.parametrize(("alpha", "held_out", "rank"), [(0.02, 150, 3), (0.01, 99, 1), (0.05, 999, 50)])
def test_the_law_of_the_rate_is_cut_into_equal_shares(alpha, held_out, rank):
    """The threshold is the distance of that rank, so a new image lies below it with a Beta probability."""
    shares = beta.cdf(_rates(alpha, held_out, None), rank, held_out + 1 - rank)
    assert shares == pytest.approx((np.arange(QUADRATURE) + 0.5) / QUADRATURE, abs=1e-9)
    assert _rates(alpha, None, None).tolist() == [alpha]


def test_the_rate_of_a_threshold_that_was_carried_on_is_scaled():
    """From rank 30 of 359 to a share of .01: the same law, smaller by .01 * 360 / 30."""
    scaled = _rates(0.01, 359, 30) / (0.01 * 360 / 30)
    assert beta.cdf(scaled, 30, 330) == pytest.approx((np.arange(QUADRATURE) + 0.5) / QUADRATURE, abs=1e-9)
    assert _rates(0.01, 359, 30).mean() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.01, 0.0003])
def test_samples_needed_is_the_least_number_that_bounds_the_rate(rate):
    n = samples_needed(rate)
    assert proportion(0, n).high <= rate
    assert n == 1 or proportion(0, n - 1).high > rate


def test_it_survives_json():
    found = power(100, false_positive_rate=0.01, held_out=500)
    assert Power.model_validate_json(found.model_dump_json()) == found


class TestBadInput:
    def test_no_samples(self):
        with pytest.raises(ValueError, match="`samples` must be at least 1, got 0"):
            power(0)

    @pytest.mark.parametrize("alpha", [-0.1, 1.0, math.nan])
    def test_a_share_out_of_range(self, alpha):
        with pytest.raises(ValueError, match=r"`false_positive_rate` must be in \[0, 1\)"):
            power(10, false_positive_rate=alpha)

    def test_too_few_held_out_images(self):
        with pytest.raises(ValueError, match=r"`held_out` must be at least 99 to promise a share of 0\.01"):
            power(10, false_positive_rate=0.01, held_out=98)
        assert power(10, false_positive_rate=0.01, held_out=99).count_needed == 2
        with pytest.raises(ValueError, match="`held_out` must be at least infinite"):
            power(10, false_positive_rate=0.0, held_out=98)

    @pytest.mark.parametrize("rate", [0.0, 1.0])
    def test_a_rate_that_no_number_reaches(self, rate):
        with pytest.raises(ValueError, match=r"`rate` must be inside \(0, 1\)"):
            samples_needed(rate)

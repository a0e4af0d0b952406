"""Capacities against their definitions, isotonic regression and simulated studies."""

import numpy as np
import pytest
from sklearn.isotonic import isotonic_regression

from spurion.phases.passage import falling_fit
from spurion.phases.transitions import capacities

GRID = [2, 8, 32, 128, 512]
MEMORIZED = np.array([1.0, 0.95, 0.6, 0.1, 0.0])
SPURIOUS = np.array([0.0, 0.04, 0.3, 0.15, 0.02])


def counts_of(memorized, spurious, total=1000):
    """Counts (P, 3) of given fractions."""
    m, s = np.round(np.multiply(memorized, total)), np.round(np.multiply(spurious, total))
    return np.stack([m, s, total - m - s], axis=1).astype(int).tolist()


def test_a_clean_study():
    found = capacities(GRID, counts_of(MEMORIZED, SPURIOUS), seed=0)
    # f_M falls from 0.95 to 0.6 between 8 and 32: 0.9 lies 1/7 of the way in log K
    assert found.memorization.value == pytest.approx(8 * 4 ** (1 / 7), rel=1e-12)
    assert found.memorization.bracket == (8, 32)
    # f_G rises from 0.75 to 0.98 between 128 and 512: 0.9 lies 15/23 of the way
    assert found.generalization.value == pytest.approx(128 * 4 ** (15 / 23), rel=1e-12)
    assert found.generalization.bracket == (128, 512)
    # the parabola in log_4 K has -2 bend = 0.41 and rises by 0.11 from left to right: its top lies at 11/82
    assert found.spurious.value == pytest.approx(32 * 4 ** (0.11 / 0.82), rel=1e-12)
    assert found.spurious.bracket == (8, 128)
    assert found.epsilon == 0.1
    for capacity in (found.memorization, found.spurious, found.generalization):
        assert capacity.low <= capacity.value <= capacity.high
        assert capacity.note == ""
    assert found.memorization.high < found.spurious.low <= found.spurious.high < found.generalization.low


def test_epsilon_moves_the_line():
    found = capacities(GRID, counts_of(MEMORIZED, SPURIOUS), epsilon=0.4, seed=0)
    assert found.memorization.value == 32.0  # f_M = 0.6 exactly: the definition holds there with equality
    assert found.memorization.bracket == (32, 128)
    strict = capacities(GRID, counts_of(MEMORIZED, SPURIOUS), epsilon=0.02, seed=0)
    assert strict.generalization.value == pytest.approx(512.0)
    assert strict.generalization.bracket == (128, 512)


def test_a_single_stray_crossing_does_not_move_the_capacity_to_it():
    memorized = [1.0, 0.99, 0.89, 0.91, 0.3, 0.0]
    found = capacities([2, 4, 8, 16, 32, 64], counts_of(memorized, np.zeros(6)), seed=0).memorization
    # pooled, both points in the middle are 0.9, so the curve leaves 0.9 at the second of them
    assert found.value == pytest.approx(16.0)
    assert (
        found.note
        == "The memorized fraction crosses 0.9 more than once; the capacity is that of its monotone fit."
    )
    stray = [1.0, 0.99, 0.5, 0.91, 0.3, 0.0]
    found = capacities([2, 4, 8, 16, 32, 64], counts_of(stray, np.zeros(6)), seed=0).memorization
    assert found.bracket == (4, 8)


@pytest.mark.parametrize("seed", range(5))
def test_the_monotone_fit_is_isotonic_regression(seed):
    draw = np.random.default_rng(seed)
    total = draw.integers(1, 50, size=12)
    counts = draw.binomial(total, 0.5, size=(4, 12))
    expected = [isotonic_regression(row / total, sample_weight=total, increasing=False) for row in counts]
    assert np.allclose(falling_fit(counts, total), expected, atol=1e-13)


def test_the_monotone_fit_leaves_a_monotone_curve_alone():
    counts = np.array([[10, 9, 9, 3, 0]])
    assert (falling_fit(counts, np.array([10, 10, 10, 7, 3])) == counts / [10, 10, 10, 7, 3]).all()


def test_intervals_cover_the_truth_of_simulated_studies():
    draw = np.random.default_rng(0)
    probabilities = np.stack([MEMORIZED, SPURIOUS, 1 - MEMORIZED - SPURIOUS], axis=1)
    studies = 1_000
    hits = np.zeros(2)
    for seed in range(studies):
        found = capacities(GRID, draw.multinomial(500, probabilities).tolist(), seed=seed, resamples=400)
        truths = (8 * 4 ** (1 / 7), 128 * 4 ** (15 / 23))
        pairs = zip((found.memorization, found.generalization), truths, strict=True)
        hits += [capacity.low <= truth <= capacity.high for capacity, truth in pairs]
    assert (abs(hits / studies - 0.95) < 0.02).all()  # three standard errors of 1,000 studies


def test_the_spurious_interval_holds_all_peaks_that_noise_cannot_tell_apart():
    spurious = [0.0, 0.30, 0.29, 0.1, 0.0]
    close = capacities(GRID, counts_of(np.zeros(5), spurious, total=200), seed=0).spurious
    clear = capacities(GRID, counts_of(np.zeros(5), spurious, total=200_000), seed=0).spurious
    top = 8 * 4 ** (0.29 / 0.62)  # the parabola through 0, 0.30 and 0.29
    for found in (close, clear):
        assert found.value == pytest.approx(top, rel=1e-12)
        assert found.low < top < found.high
    assert close.low < 12
    assert close.high > 20
    assert clear.high / clear.low < 1.03


def test_capacities_outside_the_grid_are_open_on_one_side():
    never = capacities([10, 100], [[50, 10, 40], [0, 50, 50]], seed=0)
    assert never.memorization.value is None
    assert never.memorization.bracket == (None, 10)
    assert (never.memorization.low, never.memorization.high) == (None, 10.0)
    where = "training size; the capacity lies"
    assert never.memorization.note == (
        f"The memorized fraction is under 0.9 even at the smallest {where} below the grid."
    )
    assert never.generalization.value is None
    assert never.generalization.bracket == (100, None)
    assert (never.generalization.low, never.generalization.high) == (100.0, None)
    assert never.generalization.note == (
        f"The generalized fraction is under 0.9 even at the largest {where} above the grid."
    )
    always = capacities([10, 100], [[100, 0, 0], [95, 0, 5]], epsilon=0.2, seed=0).memorization
    assert (always.value, always.low, always.high, always.bracket) == (None, 100.0, None, (100, None))
    assert "at least 0.8 even at the largest training size; the capacity lies above" in always.note
    early = capacities([10, 100], [[0, 0, 100], [0, 0, 100]], seed=0).generalization
    assert (early.value, early.low, early.high, early.bracket) == (None, None, 10.0, (None, 10))
    assert "at least 0.9 even at the smallest training size; the capacity lies below" in early.note


def test_an_interval_may_leave_the_grid_although_the_value_does_not():
    found = capacities([10, 100, 1000], [[91, 0, 9], [50, 0, 50], [9, 0, 91]], seed=0)
    assert found.memorization.low is None
    assert 10 < found.memorization.value < found.memorization.high < 100
    assert found.generalization.high is None
    assert 100 < found.generalization.low < found.generalization.value < 1000


def test_no_spurious_sample():
    found = capacities([10, 100], [[100, 0, 0], [0, 0, 100]], seed=0).spurious
    assert (found.value, found.low, found.high, found.bracket) == (None, None, None, (None, None))
    assert found.note == "No sample is spurious."


def test_one_spurious_sample_that_resampling_often_loses():
    found = capacities([10, 100, 1000], [[99, 0, 1], [0, 1, 99], [0, 0, 100]], seed=0).spurious
    assert (found.value, found.low, found.high) == pytest.approx((100.0, 100.0, 100.0), rel=1e-12)
    assert found.bracket == (10, 1000)


@pytest.mark.parametrize(("spurious", "bracket"), [([3, 1], (None, 100)), ([1, 3], (10, None))])
def test_a_peak_at_an_end_says_so(spurious, bracket):
    found = capacities([10, 100], [[10 - s, s, 0] for s in spurious], seed=0).spurious
    assert found.bracket == bracket
    assert found.note == "The largest spurious fraction is at an end of the grid; the peak may lie beyond."


def test_equal_peaks_say_so():
    found = capacities([10, 20, 40, 80], [[10, 0, 0], [6, 4, 0], [6, 4, 0], [0, 0, 10]], seed=0).spurious
    assert found.value == pytest.approx(800**0.5, rel=1e-12)  # halfway between 20 and 40 in log K
    assert found.bracket == (10, 40)
    assert found.note == (
        "Several training sizes share the largest spurious fraction; this is by the smallest."
    )


def test_a_single_point():
    found = capacities([64], [[95, 5, 0]], seed=0)
    assert found.memorization.bracket == (64, None)
    assert found.memorization.value is None
    assert found.generalization.bracket == (64, None)
    assert (found.spurious.value, found.spurious.bracket) == (64.0, (None, None))


def test_failed_points_are_left_out():
    whole = counts_of(MEMORIZED, SPURIOUS)
    with_hole = [*whole[:2], [0, 0, 0], *whole[2:]]
    expected = capacities(GRID, whole, seed=0)
    assert capacities([2, 8, 16, 32, 128, 512], with_hole, seed=0) == expected


def test_different_sample_sizes_weigh_in_the_fit_and_the_noise():
    few = capacities([10, 100], [[19, 0, 1], [1, 0, 19]], seed=0).memorization
    many = capacities([10, 100], [[1900, 0, 100], [100, 0, 1900]], seed=0).memorization
    assert many.value == pytest.approx(few.value)
    assert few.low is None
    assert many.low is not None
    mixed = capacities([10, 100, 1000], [[10, 0, 0], [85, 0, 15], [10, 0, 0]], seed=0).memorization
    assert mixed.bracket == (10, 100)  # pooled, the last two are 95 of 110


def test_the_same_seed_gives_the_same_interval():
    counts = counts_of(MEMORIZED, SPURIOUS)
    assert capacities(GRID, counts, seed=3) == capacities(GRID, counts, seed=3)
    assert capacities(GRID, counts, seed=3) != capacities(GRID, counts, seed=4)


@pytest.mark.parametrize(
    ("sizes", "counts", "message"),
    [
        ([], [], "`counts` must hold three numbers of at least 0"),
        ([1], [[1, 2]], "`counts` must hold three numbers of at least 0"),
        ([1, 2], [[1, 2, 3]], "`counts` must hold three numbers of at least 0"),
        ([1], [[1, -2, 3]], "`counts` must hold three numbers of at least 0"),
        ([2, 2], [[1, 2, 3], [1, 2, 3]], "`train_sizes` must increase from at least 1, got"),
        ([0, 2], [[1, 2, 3], [1, 2, 3]], "`train_sizes` must increase from at least 1, got"),
        ([2], [[0, 0, 0]], "`counts` must hold samples at one training size at least, got none"),
    ],
)
def test_bad_counts_are_refused(sizes, counts, message):
    with pytest.raises(ValueError, match=message):
        capacities(sizes, counts, seed=0)


@pytest.mark.parametrize("epsilon", [0.0, 1.0, -1.0])
def test_a_bad_epsilon_is_refused(epsilon):
    with pytest.raises(ValueError, match="`epsilon` must lie between 0 and 1"):
        capacities([1], [[1, 0, 0]], epsilon=epsilon, seed=0)

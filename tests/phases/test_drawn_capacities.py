"""Capacities of studies drawn anew, the top of the parabola, and the capacities of a leak."""

import numpy as np
import pytest

from spurion.phases.transitions import _tops, capacities

GRID = [16, 32, 64, 128, 256]
LOGS = np.log(GRID)


def shares(memorized, spurious):
    """Class shares with shape (P, 3)."""
    m, s = np.array(memorized, float), np.array(spurious, float)
    return np.stack([m, s, 1 - m - s], axis=1)


MEMORIZED, SPURIOUS = [1.0, 0.95, 0.5, 0.1, 0.0], [0.0, 0.05, 0.3, 0.4, 0.05]


class TestTheTop:
    @pytest.mark.parametrize("seed", range(4))
    def test_of_polyfit(self, seed):
        random = np.random.default_rng(seed)
        sizes = np.unique(random.integers(1, 5000, size=9))
        fractions = random.random((30, len(sizes)))
        found = _tops(sizes, fractions)
        for place, row in zip(found, fractions, strict=True):
            best = int(row.argmax())
            if best in (0, len(sizes) - 1):
                assert place == sizes[best]
                continue
            near = slice(best - 1, best + 2)
            a, b, _ = np.polyfit(np.log(sizes[near]), row[near], 2)
            assert place == pytest.approx(np.exp(-b / (2 * a)), rel=1e-8)
            assert sizes[best - 1] < place < sizes[best + 1]

    def test_of_a_parabola_itself(self):
        curve = 0.8 - 0.1 * (LOGS - np.log(75)) ** 2
        assert _tops(np.array(GRID), curve[None])[0] == pytest.approx(75, rel=1e-12)

    @pytest.mark.parametrize("sizes", [[7], [7, 20]])
    def test_of_one_or_two_points(self, sizes):
        for best in range(len(sizes)):
            curve = np.eye(len(sizes))[best]
            assert _tops(np.array(sizes), curve[None])[0] == sizes[best]

    @pytest.mark.parametrize(("curve", "place"), [
        ([0.0, 0.3, 0.3, 0.0, 0.0], np.sqrt(32 * 64)),  # two equal ones: halfway in log K
        ([0.2, 0.2, 0.2, 0.2, 0.2], 16),
        ([0.0, 0.2, 0.2, 0.2, 0.0], 32 * 2**0.5),
    ])  # fmt: skip
    def test_of_flat_ones(self, curve, place):
        assert _tops(np.array(GRID), np.array([curve]))[0] == pytest.approx(place, rel=1e-12)

    def test_does_not_depend_on_other_points(self):
        whole = _tops(np.array(GRID), np.array([SPURIOUS]))[0]
        assert _tops(np.array(GRID[2:]), np.array([SPURIOUS[2:]]))[0] == pytest.approx(whole, rel=1e-12)


class TestStudiesDrawnAnew:
    def test_the_interval_is_that_of_what_was_drawn(self):
        study = shares(MEMORIZED, SPURIOUS)
        # f_M between 32 and 64 falls from .95 to .5, which drawn studies shift evenly
        shift = np.linspace(-0.1, 0.1, 201)
        drawn = np.tile(study, (201, 1, 1))
        drawn[:, 2, 0] += shift
        drawn[:, 2, 2] -= shift
        found = capacities(GRID, (500 * study).tolist(), seed=0, drawn=drawn)
        places = []
        for row in drawn:
            one = capacities(GRID, (500 * row).tolist(), seed=0, resamples=1)
            places.append(one.memorization.value or 0.0)
        ordered = np.sort(places)
        assert found.memorization.low == pytest.approx(ordered[5], rel=1e-6)
        assert found.memorization.high == pytest.approx(ordered[-6], rel=1e-6)
        assert found.memorization.low < found.memorization.value < found.memorization.high
        alone = capacities(GRID, (500 * study).tolist(), seed=0)
        assert found.memorization.value == alone.memorization.value
        assert found.spurious.value == alone.spurious.value

    def test_ends_beyond_the_grid_are_open(self):
        study = shares(MEMORIZED, SPURIOUS)
        drawn = np.tile(study, (100, 1, 1))
        drawn[:10, :, 0], drawn[:10, :, 2] = 0.5, 0.0  # a tenth never memorizes, nor generalizes
        found = capacities(GRID, (500 * study).tolist(), seed=0, drawn=drawn)
        assert found.memorization.low is None
        assert found.memorization.value == pytest.approx(found.memorization.high)
        assert found.generalization.high is None
        assert found.generalization.value == pytest.approx(found.generalization.low)
        assert found.memorization.bracket == (32, 64)

    def test_points_without_samples_are_left_out_of_what_was_drawn(self):
        study = shares(MEMORIZED, SPURIOUS)
        random = np.random.default_rng(0)
        drawn = random.dirichlet([5, 3, 2], size=(60, 5))
        whole = capacities(GRID, (500 * study).tolist(), seed=0, drawn=drawn)
        counts = (500 * study).tolist()
        counts.insert(2, [0, 0, 0])
        holed = capacities([16, 32, 48, 64, 128, 256], counts, seed=0, drawn=np.insert(drawn, 2, 0, axis=1))
        assert holed == whole

    def test_drawn_studies_without_a_spurious_sample_have_no_top(self):
        study = shares(MEMORIZED, SPURIOUS)
        drawn = np.tile(study, (50, 1, 1))
        drawn[:25, :, 2] += drawn[:25, :, 1]
        drawn[:25, :, 1] = 0
        found = capacities(GRID, (500 * study).tolist(), seed=0, drawn=drawn).spurious
        assert found.low == found.value == found.high

    def test_expected_counts_need_not_be_whole(self):
        study = shares(MEMORIZED, SPURIOUS)
        whole, parts = (capacities(GRID, (n * study).tolist(), seed=0) for n in (1000, 333.3))
        assert parts.memorization.value == pytest.approx(whole.memorization.value, rel=1e-12)
        assert parts.spurious.value == pytest.approx(whole.spurious.value, rel=1e-12)

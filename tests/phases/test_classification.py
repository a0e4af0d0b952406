"""Classes by distance and by ratio, from examples worked by hand."""

import pytest
import torch

from spurion.phases.classification import CLASSES, classify, classify_by_ratio
from spurion.phases.thresholds import fixed, valley_thresholds

M, S, G = range(3)


def distances(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_names():
    assert CLASSES == ("memorized", "spurious", "generalized")


class TestByDistance:
    def test_every_case(self):
        to_train = distances(0.0, 0.5, 0.4, 0.6, 0.6, 0.6)
        to_sample = distances(0.0, 9.0, 0.1, 0.2, 0.1, 0.3)
        labels = classify(to_train, to_sample, fixed(0.5, 0.2))
        assert labels.tolist() == [M, M, M, S, S, G]
        assert labels.dtype == torch.int64

    def test_thresholds_belong_to_the_classes(self):
        below, at, above = 0.35999999999999999, 0.36, 0.36000000000000004
        to_train, to_sample = distances(below, at, above, 1, 1, 1), distances(1, 1, 1, below, at, above)
        assert classify(to_train, to_sample, fixed(0.36, 0.36)).tolist() == [M, M, G, S, S, G]

    def test_the_two_thresholds_are_not_mixed_up(self):
        assert classify(distances(0.3, 3), distances(3, 0.3), fixed(0.5, 0.1)).tolist() == [M, G]
        assert classify(distances(0.3, 3), distances(3, 0.3), fixed(0.1, 0.5)).tolist() == [G, S]

    def test_zero_thresholds_find_exact_copies(self):
        assert classify(distances(0, 1, 1), distances(1, 0, 1), fixed(0, 0)).tolist() == [M, S, G]

    def test_a_lone_sample_is_no_repetition(self):
        assert classify(distances(1), distances(torch.inf), fixed(0.5, 0.5)).tolist() == [G]

    def test_no_samples(self):
        assert classify(distances(), distances(), fixed(1, 1)).shape == (0,)

    def test_without_thresholds(self):
        nothing = valley_thresholds(distances(1.0), distances(1.0))
        with pytest.raises(ValueError, match=r"the rule `valley` found no threshold .*; use another rule"):
            classify(distances(1), distances(1), nothing)

    def test_lengths_differ(self):
        with pytest.raises(ValueError, match=r"one distance for each sample, got 2 and 1\."):
            classify(distances(1, 2), distances(1), fixed(1, 1))

    @pytest.mark.parametrize("bad", [-0.1, torch.nan])
    def test_bad_distance(self, bad):
        with pytest.raises(ValueError, match="`distance_train` must hold distances of at least 0"):
            classify(distances(bad), distances(1), fixed(1, 1))
        with pytest.raises(ValueError, match="`distance_sample` must hold distances of at least 0"):
            classify(distances(1), distances(bad), fixed(1, 1))


class TestByRatio:
    def test_every_case(self):
        first, second = distances(1.0, 1.0, 1.0, 1.0), distances(3.0, 2.9, 2.0, 2.0)
        sample = distances(0.1, 1.0, 0.42, 0.43)  # ratios to 1: 0.09, 0.5, 0.2958, 0.3007
        assert classify_by_ratio(first, second, sample).tolist() == [M, G, S, G]

    def test_ratios_of_the_user(self):
        first, second, sample = distances(1.0), distances(2.0), distances(1.0)
        assert classify_by_ratio(first, second, sample, memorized=0.5).tolist() == [M]
        assert classify_by_ratio(first, second, sample, memorized=0.49).tolist() == [G]
        assert classify_by_ratio(first, second, sample, spurious=0.5).tolist() == [S]
        assert classify_by_ratio(first, second, sample, spurious=0.49).tolist() == [G]
        assert classify_by_ratio(first, second, sample, spurious=1.0).tolist() == [S]

    def test_epsilon_counts_where_distances_are_tiny(self):
        # 5e-7 / (1e-6 + 1e-6) = 1/4, and 2e-7 / (4e-7 + 2e-7 + 1e-6) = 1/8
        assert classify_by_ratio(
            distances(5e-7), distances(1e-6), distances(1.0), memorized=0.26
        ).tolist() == [M]
        assert classify_by_ratio(
            distances(5e-7), distances(1e-6), distances(1.0), memorized=0.24
        ).tolist() == [G]
        tiny = distances(4e-7), distances(4e-7), distances(2e-7)
        assert classify_by_ratio(*tiny, memorized=0.1, spurious=0.126).tolist() == [S]
        assert classify_by_ratio(*tiny, memorized=0.1, spurious=0.124).tolist() == [G]

    def test_copy_of_a_duplicated_training_image_is_memorized(self):
        assert classify_by_ratio(distances(0.0), distances(0.0), distances(1.0)).tolist() == [M]

    def test_near_copy_of_a_duplicated_training_image_is_missed(self):
        assert classify_by_ratio(distances(0.01), distances(0.01), distances(1.0)).tolist() == [G]

    def test_a_lone_sample_is_no_repetition(self):
        assert classify_by_ratio(distances(1.0), distances(2.0), distances(torch.inf)).tolist() == [G]

    @pytest.mark.parametrize("second", [None, torch.tensor([torch.inf], dtype=torch.float64)])
    def test_one_training_image(self, second):
        with pytest.raises(ValueError, match="ratio rules need a second nearest training image"):
            classify_by_ratio(distances(1.0), second, distances(1.0))

    def test_bad_ratios(self):
        for bad in (0.0, -1.0):
            with pytest.raises(ValueError, match=r"`memorized` must be a positive ratio, got"):
                classify_by_ratio(distances(1.0), distances(2.0), distances(1.0), memorized=bad)
        for bad in (0.0, 1.1):
            with pytest.raises(ValueError, match="`spurious` must be above 0 and at most 1, got"):
                classify_by_ratio(distances(1.0), distances(2.0), distances(1.0), spurious=bad)

    def test_lengths_differ(self):
        one, two = distances(1), distances(1, 2)
        with pytest.raises(ValueError, match="one distance for each sample, got 2, 1 and 2"):
            classify_by_ratio(two, one, two)
        with pytest.raises(ValueError, match="got 2, 2 and 1"):
            classify_by_ratio(two, two, one)

    def test_bad_distances(self):
        with pytest.raises(ValueError, match="`distance_train` must hold distances of at least 0"):
            classify_by_ratio(distances(-1.0), distances(2.0), distances(1.0))
        with pytest.raises(ValueError, match="`distance_sample` must hold distances of at least 0"):
            classify_by_ratio(distances(1.0), distances(2.0), distances(torch.nan))
        with pytest.raises(ValueError, match="`distance_train_2` must not be smaller than `distance_train`"):
            classify_by_ratio(distances(1.0), distances(0.9), distances(1.0))

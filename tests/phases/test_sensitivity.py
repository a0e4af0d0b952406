"""The sensitivity curve against classification at scaled thresholds."""

from itertools import pairwise

import pytest
import torch

from spurion.core.random import generator
from spurion.phases.classification import classify
from spurion.phases.rules import Identifiable, ThresholdInfo
from spurion.phases.scaled import FACTORS, sensitivity


def thresholds(memorized, spurious):
    both = Identifiable(memorized=True, spurious=True)
    return ThresholdInfo(rule="fixed", memorized=memorized, spurious=spurious, identifiable=both)


def test_the_factors_run_evenly_from_a_quarter_to_four_through_one():
    assert FACTORS[0] == 0.25
    assert FACTORS[-1] == 4.0
    assert FACTORS[len(FACTORS) // 2] == 1.0
    assert len(FACTORS) == 33
    assert all(b / a == pytest.approx(2 ** (1 / 8)) for a, b in pairwise(FACTORS))


def test_it_is_classification_at_scaled_thresholds():
    a, b = torch.rand(2, 500, generator=generator(0, "distances"), dtype=torch.float64)
    curve = sensitivity(a, b, thresholds(0.2, 0.1))
    assert curve.factors == FACTORS
    for i, factor in enumerate(FACTORS):
        labels = classify(a, b, thresholds(0.2 * factor, 0.1 * factor))
        shares = (labels.bincount(minlength=3) / 500).tolist()
        assert [curve.memorized[i], curve.spurious[i], curve.generalized[i]] == pytest.approx(
            shares, abs=1e-7
        )
    assert list(curve.memorized) == sorted(curve.memorized)
    assert list(curve.generalized) == sorted(curve.generalized, reverse=True)


def test_an_empty_valley_makes_a_flat_curve():
    a = torch.tensor([0.01, 0.01, 9.0, 9.0])
    b = torch.tensor([9.0, 9.0, 0.01, 9.0])
    curve = sensitivity(a, b, thresholds(0.3, 0.3))
    assert set(curve.memorized) == {0.5}
    assert set(curve.spurious) == {0.25}
    assert set(curve.generalized) == {0.25}


def test_both_thresholds_scale():
    curve = sensitivity(torch.tensor([2.5, 9.0]), torch.tensor([9.0, 0.5]), thresholds(1.0, 0.2))
    assert curve.memorized[FACTORS.index(2.0)] == 0.0
    assert curve.memorized[-1] == 0.5
    assert curve.spurious[FACTORS.index(2.0)] == 0.0
    assert curve.spurious[-1] == 0.5


def test_no_sample_is_refused():
    with pytest.raises(ValueError, match="`distance_train` must hold at least one sample, got none"):
        sensitivity(torch.zeros(0), torch.zeros(0), thresholds(1.0, 1.0))


def test_a_missing_threshold_is_refused():
    with pytest.raises(ValueError, match="found no threshold"):
        sensitivity(torch.ones(1), torch.ones(1), thresholds(1.0, None))

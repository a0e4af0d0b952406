"""Judging detectors: ranks, pairs of labels, copies and halves, on planted scores."""

import numpy as np
import pytest

from spurion.prompts.detectors import DETECTORS
from spurion.prompts.judgment import LEAST, TOGETHER, comparisons, halves, oriented, rank_means, rises
from spurion.prompts.table import Entry
from spurion.statistics.roc import call_above


def entries_of(*labels, groups=None, copies=None):
    names = groups or [""] * len(labels)
    counts = copies or [None] * len(labels)
    return [
        Entry(f"prompt {i}", label=label, group=group, copies=count)
        for i, (label, group, count) in enumerate(zip(labels, names, counts, strict=True))
    ]


def test_ranks_are_means_over_detectors_and_a_missing_value_stands_in_the_middle():
    values = {"a": np.array([3.0, 2.0, 1.0]), "b": np.array([1.0, 2.0, np.nan])}
    # b ranks two prompts: 1 and 3 stretched to all three, and 2 for the one that it does not know
    assert rank_means(values).tolist() == [(1 + 3) / 2, (2 + 1) / 2, (3 + 2) / 2]
    assert rank_means({"a": np.full(3, np.nan)}).tolist() == [2, 2, 2]
    assert rank_means({"a": np.array([5.0])}).tolist() == [1]


def test_values_are_turned_where_a_detector_reads_lower_at_memorized_prompts():
    for name, detector in DETECTORS.items():
        assert oriented(name, np.array([2.0]))[0] == (2.0 if detector.higher else -2.0)


def test_pairs_of_labels_are_compared_where_both_are_there():
    entries = entries_of("memorized", "memorized", "generalized", "generalized", "other", None)
    found = comparisons(entries, {"a": np.array([3.0, 2.0, 1.0, np.nan, 0.0, 99.0])}, seed=0)
    assert [(one.higher, one.lower) for one in found] == [
        ("memorized", "generalized"),
        ("memorized", "other"),
        ("generalized", "other"),
    ]
    assert [one.auc.value for one in found] == [1, 1, 1]
    assert found[0].n == (2, 1)
    assert found[0].sensitivity.value == 1
    assert found[1].sensitivity is None


def test_groups_are_counted_and_widen_the_interval():
    rng = np.random.default_rng(0)
    labels = ["memorized"] * 40 + ["generalized"] * 40
    values = np.concatenate([np.repeat(rng.normal(1, 1, 8), 5), np.repeat(rng.normal(0, 1, 8), 5)])
    groups = [f"{i // 5}" for i in range(80)]
    alone = comparisons(entries_of(*labels), {"a": values}, seed=0)[0]
    together = comparisons(entries_of(*labels, groups=groups), {"a": values}, seed=0)[0]
    assert together.groups == (8, 8)
    assert together.auc.high - together.auc.low > 1.5 * (alone.auc.high - alone.auc.low)


def test_rises_are_over_prompts_that_the_training_set_holds():
    copies = [0, 1, 1, 5, 5, 20, 20, None]
    entries = entries_of(*[None] * 8, copies=copies)
    found = rises(entries, {"a": np.array([99.0, 1, 2, 3, 4, 5, 6, 99]), "b": np.array([np.nan] * 8)})
    assert [one.detector for one in found] == ["a"]
    assert found[0].medians == {1: 1.5, 5: 3.5, 20: 5.5}
    assert found[0].trend.p_value < 0.01
    assert found[0].trend.tau > 0.8
    assert rises(entries_of("memorized", copies=[5]), {"a": np.array([1.0])}) == ()


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(1)
    labels = ["memorized"] * 30 + ["generalized"] * 150 + ["other"] * 20
    entries = entries_of(*labels)
    strong = np.concatenate([rng.normal(6, 1, 30), rng.normal(0, 1, 170)])
    weak = np.concatenate([rng.normal(0.3, 1, 30), rng.normal(0, 1, 170)])
    return entries, {"strong": strong, "weak": weak}


def test_halves_judge_what_was_fitted_on_the_other_one(planted):
    entries, values = planted
    found = halves(entries, values, seed=0)
    assert [half.detector for half in found.halves] == ["strong", "weak", TOGETHER] * 2
    for half in found.halves:
        assert half.n == (15, 75)
        if half.detector != "weak":
            assert half.found.value > 0.9
            assert half.false.value < 0.1
            assert half.auc.value > 0.99
        weights = half.weights
        assert bool(weights) == (half.detector == TOGETHER)
        assert not weights or weights["strong"] > 5 * abs(weights["weak"])
    assert np.isfinite(found.fitted).all()


def test_the_threshold_is_that_of_the_fitted_half_alone(planted):
    entries, values = planted
    first = halves(entries, values, seed=0).halves[0]
    strong = values["strong"]
    negatives = np.array([entry.label == "generalized" for entry in entries])
    candidates = np.sort(strong[negatives])
    assert first.threshold in candidates
    assert first.threshold <= call_above(strong[negatives], 0.0)
    changed = {**values, "strong": np.where(np.array([e.label == "memorized" for e in entries]), 9.0, strong)}
    assert halves(entries, changed, seed=0).halves[0].threshold == first.threshold


def test_prompts_of_one_group_are_in_one_half(planted):
    entries, values = planted
    grouped = [Entry(e.prompt, label=e.label, group=str(i // 3)) for i, e in enumerate(entries)]
    found = halves(grouped, values, seed=0)
    sizes = {half.n for half in found.halves}
    assert all(count % 3 == 0 for half in sizes for count in half)


def test_a_half_needs_ten_groups_of_either_kind():
    def judged(memorized, generalized):
        entries = entries_of(*["memorized"] * memorized, *["generalized"] * generalized)
        return halves(entries, {"a": np.arange(len(entries), dtype=float)}, seed=0)

    assert judged(2 * LEAST, 2 * LEAST).halves
    few = judged(2 * LEAST - 2, 2 * LEAST)
    assert few.halves == ()
    assert np.isnan(few.fitted).all()
    assert judged(2 * LEAST, 2 * LEAST - 2).halves == ()


def test_missing_and_infinite_values_are_judged_by_what_there_is(planted):
    entries, values = planted
    holes = values["strong"].copy()
    holes[::7] = np.nan
    holes[3] = np.inf
    found = halves(entries, {"strong": holes, "none": np.full(len(holes), np.nan)}, seed=0)
    assert {half.detector for half in found.halves} == {"strong", TOGETHER}
    assert np.isfinite(found.fitted).all()


def test_weights_do_not_depend_on_units(planted):
    entries, values = planted
    other = {"strong": 1000 * values["strong"] - 7, "weak": values["weak"] / 1000}
    first, second = halves(entries, values, seed=0), halves(entries, other, seed=0)
    for one, two in zip(first.halves, second.halves, strict=True):
        assert one.weights == pytest.approx(two.weights, rel=1e-3, abs=1e-6)  # where the solver stops


def test_what_equals_the_threshold_is_not_called(planted):
    """Generalized prompts that all read 1 set the threshold at 1: none is called, nor a memorized 1."""
    entries, _ = planted
    memorized = np.array([entry.label == "memorized" for entry in entries])
    values = np.where(memorized, np.where(np.arange(len(entries)) % 2, 1.0, 2.0), 1.0)
    found = [half for half in halves(entries, {"a": values}, seed=0).halves if half.detector == "a"]
    assert [half.threshold for half in found] == [1.0, 1.0]
    assert [half.false.value for half in found] == [0.0, 0.0]
    assert sum(half.found.value * half.n[0] for half in found) == pytest.approx(15)

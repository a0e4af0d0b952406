import pytest
import torch

from planted import planted
from spurion import audit
from spurion.audits.classes import AuditRules, classified, labels_of
from spurion.audits.ground import all_shares, ground_for
from spurion.audits.measurement import measure
from spurion.data import ImageSet
from spurion.neighbors.distances.l2 import L2


@pytest.mark.parametrize("seed", range(3))
def test_planted_classes_are_found_exactly(seed):
    sets = planted(seed)
    found = measure(sets.train, sets.samples, sets.holdout)
    ground = ground_for("fixed:0.5,0.5", found, anchor=None, distance=L2())
    assert torch.equal(labels_of(found, ground.thresholds), sets.labels)
    assert torch.equal(found.nearest_train[sets.labels == 0], sets.source[sets.labels == 0])
    shares = all_shares(found, ground, seed=0)
    result = classified(found, ground, sets.samples, AuditRules(), shares=shares)
    assert result.counts == (30, 15, 25)
    values = [getattr(result.fractions, name).value for name in ("memorized", "spurious", "generalized")]
    assert values == pytest.approx([30 / 70, 15 / 70, 25 / 70])
    assert result.rarefaction.at(70) == pytest.approx(15 / 70)
    assert result.controls.noisy_copies.value == 1
    assert result.controls.held_out.value == 0
    assert found.duplicates == 0
    multiple = torch.bincount(sets.source[sets.labels == 0], minlength=20)
    assert result.census.spurious == 3
    assert result.census.memorized == int((multiple >= 2).sum())
    assert result.duplicated_memorized == pytest.approx(float(multiple[multiple >= 2].sum() / 30))
    pairs = float((multiple * (multiple - 1)).sum() + 3 * 5 * 4)
    assert result.collision_rate == pytest.approx(pairs / (70 * 69))


def test_the_public_function_takes_tensors_and_image_sets():
    sets = planted()
    by_tensor = audit(sets.train, sets.samples, sets.holdout, thresholds="fixed:0.5,0.5")
    by_set = audit(
        ImageSet(sets.train, "a"),
        ImageSet(sets.samples, "b"),
        ImageSet(sets.holdout, "c"),
        thresholds="fixed:0.5,0.5",
    )
    assert by_tensor.model_copy(update={"inputs": by_set.inputs}) == by_set
    named = [getattr(by_set.inputs, role).name for role in ("train", "samples", "holdout")]
    assert named == ["a", "b", "c"]
    assert by_tensor.inputs.train.name == "training images"
    assert by_tensor.counts == (30, 15, 25)


def test_the_default_rule_with_and_without_held_out_images():
    sets = planted(train=200, copies=100)
    found = audit(sets.train, sets.samples, sets.holdout)
    assert (found.thresholds.rule, found.thresholds.null.held_out) == ("null:0.01", True)
    without = audit(sets.train, sets.samples)
    assert (without.thresholds.rule, without.thresholds.null.held_out) == ("null:0.01", False)
    assert found.counts == without.counts == (100, 15, 25)  # what was planted
    assert without.null is None
    assert without.holdout_fractions is None
    assert without.controls.held_out is None


def test_what_cannot_be_identified_is_said():
    sets = planted(train=59)
    result = audit(sets.train, sets.samples, sets.holdout)
    assert result.thresholds.memorized is None
    assert not result.thresholds.identifiable.memorized
    assert (result.fractions, result.counts, result.excess, result.listed) == (None, None, None, None)
    assert result.by_alpha == ()
    assert any("No threshold could be identified" in note for note in result.notes)


def test_one_training_image_leaves_the_ratio_rule_out():
    sets = planted(train=1, copies=10)
    result = audit(sets.train, sets.samples, thresholds="fixed:0.5,0.5")
    assert result.ratio_fractions is None
    assert any("second training image" in note for note in result.notes)
    assert result.counts == (10, 15, 25)


def test_exact_copies_and_training_duplicates():
    sets = planted()
    train = torch.cat([sets.train, sets.train[:4]])
    result = audit(train, sets.train, thresholds="fixed:0,0")
    assert result.counts == (20, 0, 0)
    assert result.train_duplicates == tuple((i, 20 + i) for i in range(4))
    assert result.counts == (20, 0, 0)


def test_bad_rules():
    sets = planted()
    with pytest.raises(ValueError, match="held-out"):
        audit(sets.train, sets.samples, thresholds="holdout:0.01")
    with pytest.raises(ValueError, match="threshold rule must be"):
        audit(sets.train, sets.samples, thresholds="peaks")

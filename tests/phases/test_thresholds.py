"""Rules for thresholds: what they find, and that they say so when they find nothing."""

import pytest
import torch

from spurion.core.random import generator
from spurion.phases.anchor import Anchor
from spurion.phases.rules import FixedRule, HoldoutRule, NullRule, ThresholdInfo, ValleyRule, parse_rule
from spurion.phases.thresholds import (
    fixed,
    holdout,
    null_thresholds,
    thresholds_by_rule,
    valley_thresholds,
)

DATA = {"olive": torch.ones(5), "gray": torch.ones(5)}


def normal(n, *path):
    return torch.randn(n, generator=generator(0, "thresholds", *path), dtype=torch.float64)


def two_modes(n, *path, low=0.1, high=1.0):
    """Half of the distances around `low`, half around `high`."""
    middle = torch.where(torch.arange(n) < n // 2, low, high)
    return middle * (0.2 * normal(n, *path)).exp()


def anchor():
    """The anchor of 99 points on a line."""
    near = torch.arange(1.0, 100.0, dtype=torch.float64)
    distances = near[:, None] * torch.arange(1.0, 11.0, dtype=torch.float64)
    return Anchor(near, distances, (torch.arange(99)[:, None] + torch.arange(1, 11)) % 99, held_out=True)


class TestParse:
    def test_every_rule(self):
        assert parse_rule("fixed:0.36,0.3") == FixedRule(memorized=0.36, spurious=0.3)
        assert parse_rule("fixed:0, 1e-3") == FixedRule(memorized=0.0, spurious=0.001)
        assert parse_rule("valley") == ValleyRule()
        assert parse_rule("holdout:0.01") == HoldoutRule(alpha=0.01)
        assert parse_rule("null:0.01") == NullRule(alpha=0.01)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "mean",
            "valley:1",
            "valley:",
            "fixed",
            "fixed:",
            "fixed:0.3",
            "fixed:1,2,3",
            "holdout",
            "holdout:",
            "null",
            "null:",
        ],
    )
    def test_unknown(self, text):
        with pytest.raises(
            ValueError, match=r"must be `null:ALPHA`, `holdout:ALPHA`, `fixed:DM,DS` or `valley`"
        ):
            parse_rule(text)

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("fixed:a,1", "threshold rule `fixed:a,1`: `memorized`: .*valid number.* got 'a'"),
            ("fixed:1,", "`spurious`: .*valid number"),
            ("fixed:-1,1", "`memorized`: .*greater than or equal to 0, got '-1'"),
            ("fixed:1,-1", "`spurious`: .*greater than or equal to 0"),
            ("fixed:nan,1", "`memorized`: .*finite|`memorized`: .*greater"),
            ("fixed:inf,1", "`memorized`: .*finite"),
            ("holdout:0", "`alpha`: .*greater than 0, got '0'"),
            ("holdout:1", "`alpha`: .*less than 1, got '1'"),
            ("holdout:x", "`alpha`: .*valid number"),
            ("null:0", "`null:0`: `alpha`: .*greater than 0, got '0'"),
            ("null:1", "`alpha`: .*less than 1, got '1'"),
        ],
    )
    def test_bad_numbers(self, text, sentence):
        with pytest.raises(ValueError, match=sentence):
            parse_rule(text)

    @pytest.mark.parametrize("text", ["fixed:0.36,0.5", "valley", "holdout:0.05", "null:0.05"])
    def test_thresholds_name_a_rule_that_finds_them_again(self, text):
        data = {"olive": two_modes(400), "gray": two_modes(400, "g"), "holdout_to_train": normal(99).abs()}
        data["anchor"] = anchor()
        info = thresholds_by_rule(text, **data)
        assert info.rule == text
        assert thresholds_by_rule(info.rule, **data) == info
        assert ThresholdInfo.model_validate_json(info.model_dump_json()) == info


def test_fixed():
    info = fixed(0.36, 0.5)
    assert (info.memorized, info.spurious, info.notes) == (0.36, 0.5, ())
    assert info.identifiable.memorized
    assert info.identifiable.spurious
    for bad in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="fixed thresholds: `memorized`"):
            fixed(bad, 1.0)


class TestValleyRule:
    def test_both_valleys(self):
        olive = two_modes(4000)
        gray = two_modes(4000, "gray").flip(0) * 3  # memorized samples are the far ones here
        gray[2000:] = torch.where(torch.arange(2000) < 700, 0.2, 2.0) * (0.2 * normal(2000, "novel")).exp()
        info = valley_thresholds(olive, gray)
        assert info.identifiable.memorized
        assert info.identifiable.spurious
        assert info.memorized == info.memorized_valley.value == pytest.approx(0.316, rel=0.1)
        assert info.spurious == info.spurious_valley.value == pytest.approx(0.632, rel=0.15)
        assert info.notes == ()

    def test_gray_of_memorized_samples_is_not_looked_at(self):
        olive = two_modes(4000)
        gray = torch.where(olive < 0.4, 0.01, 1.0) * (0.2 * normal(4000, "gray")).exp()
        info = valley_thresholds(olive, gray)  # two modes in all of gray, one among samples not memorized
        assert info.identifiable.memorized
        assert not info.identifiable.spurious
        assert info.spurious == info.memorized
        assert info.notes == (
            "The spurious threshold is not identifiable: among samples that are not memorized, the "
            "histogram of log distance has one mode. It is set equal to the memorized one.",
        )

    def test_no_valley_no_threshold(self):
        olive = normal(2000).mul(0.3).exp()
        info = valley_thresholds(olive, two_modes(2000))
        assert (info.memorized, info.spurious) == (None, None)
        assert not info.identifiable.memorized
        assert not info.identifiable.spurious
        assert info.notes == (
            "The memorized threshold is not identifiable: the histogram of log distance has one mode.",
        )
        assert not info.memorized_valley.identifiable
        assert info.spurious_valley is None

    def test_refused_where_training_images_lie_as_near_to_each_other(self):
        olive, gray = two_modes(2000), two_modes(2000, "gray")
        alone = valley_thresholds(olive, gray)
        info = valley_thresholds(olive, gray, two_modes(1000, "among"))
        assert (info.memorized, info.spurious) == (None, None)
        assert info.memorized_valley == alone.memorized_valley
        assert info.notes == (
            "The memorized threshold is not identifiable: 50% of the training images lie as near to each "
            "other as 50% of the samples.",
        )
        assert thresholds_by_rule("valley", olive=olive, gray=gray, among=two_modes(1000, "among")) == info

    @pytest.mark.parametrize(("near", "refused"), [(0, False), (250, False), (260, True)])
    def test_half_as_many_are_enough(self, near, refused):
        among = torch.where(torch.arange(1000) < near, 0.1, 1.0)  # against half of the samples
        info = valley_thresholds(two_modes(2000), two_modes(2000, "gray"), among)
        assert (info.memorized is None) == refused
        assert valley_thresholds(two_modes(2000), two_modes(2000, "gray"), torch.empty(0)).memorized

    def test_lengths_differ(self):
        with pytest.raises(ValueError, match=r"must be of the same samples, got 3 and 4\."):
            valley_thresholds(torch.ones(3), torch.ones(4))


class TestHoldout:
    def test_ranks(self):
        distances = torch.arange(1.0, 100.0)  # 99 of them: alpha of 0.01 is rank 1
        assert holdout(0.01, distances).memorized == 1
        assert holdout(0.0199, distances).memorized == 1
        assert holdout(0.02, distances).memorized == 2
        assert holdout(0.5, distances).memorized == 50
        assert holdout(0.999, distances).memorized == 99

    def test_order_does_not_matter(self):
        distances = normal(200).abs()
        assert holdout(0.1, distances).memorized == holdout(0.1, distances.sort().values).memorized

    def test_both(self):
        info = holdout(0.1, torch.arange(1.0, 20.0), torch.arange(101.0, 130.0))
        assert (info.memorized, info.spurious) == (2.0, 103.0)
        assert info.identifiable.memorized
        assert info.identifiable.spurious
        assert info.notes == ()
        assert info.sample_size == 29  # repetitions are counted among as many samples
        assert holdout(0.1, torch.arange(1.0, 20.0)).sample_size is None

    @pytest.mark.parametrize("repeated", [None, torch.empty(0), torch.ones(3)])
    def test_too_few_for_duplicates(self, repeated):
        info = holdout(0.1, torch.arange(1.0, 20.0), repeated)
        assert (info.memorized, info.spurious) == (2.0, 2.0)
        assert info.identifiable.memorized
        assert not info.identifiable.spurious
        reason = "3 held-out images cannot tell a share of 0.1, 9 or more could"
        if repeated is None or not len(repeated):
            reason = "there are too few samples or held-out images to count repetitions among as many of both"
        assert info.notes == (
            f"The spurious threshold is not identifiable: {reason}. It is set equal to the memorized one.",
        )

    @pytest.mark.parametrize(("alpha", "least"), [(0.01, 99), (0.2, 4), (0.03, 33)])
    def test_too_few(self, alpha, least):
        info = holdout(alpha, torch.arange(1.0, least), torch.arange(1.0, 500.0))
        assert (info.memorized, info.spurious) == (None, None)
        assert not info.identifiable.memorized
        assert not info.identifiable.spurious
        assert info.notes == (
            f"The memorized threshold is not identifiable: {least - 1} held-out images cannot tell a share "
            f"of {alpha:g}, {least} or more could.",
        )
        assert holdout(alpha, torch.arange(1.0, least + 1)).memorized == 1

    def test_ties_step_down(self):
        distances = torch.tensor([1.0, 2.0, 2.0, 2.0, 5.0, 6.0, 7.0, 8.0, 9.0])
        assert holdout(0.2, distances).memorized == 1  # rank 2 ties with rank 3
        assert holdout(0.4, distances).memorized == 2  # rank 4 ties with nothing above
        assert holdout(0.9, torch.ones(9)).memorized == 1  # rank 9 is the last

    def test_held_out_copies_of_training_images(self):
        info = holdout(0.2, torch.tensor([0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
        assert info.memorized is None
        assert info.notes == (
            "The memorized threshold is not identifiable: 3 or more held-out images share the smallest "
            "distance of 0.",
        )

    @pytest.mark.parametrize("levels", [None, 4])
    def test_honest_images_are_called_memorized_with_probability_alpha_at_most(self, levels):
        g = generator(0, "honest")
        alpha, called, trials = 0.1, 0, 2000
        for _ in range(trials):
            distances = torch.rand(30, generator=g)
            if levels:  # heavy ties
                distances = (levels * distances).floor()
            threshold = holdout(alpha, distances[:29]).memorized
            called += threshold is not None and float(distances[29]) <= threshold
        error = (alpha * (1 - alpha) / trials) ** 0.5
        assert called / trials <= alpha + 3 * error
        assert levels or called / trials >= alpha - 3 * error  # and not more careful than needed

    def test_bad_input(self):
        for bad in (0.0, 1.0):
            with pytest.raises(ValueError, match="holdout thresholds: `alpha`"):
                holdout(bad, torch.ones(10))
        for bad in (-1.0, torch.nan):
            with pytest.raises(ValueError, match="held-out distances must be at least 0"):
                holdout(0.1, torch.tensor([1.0, bad]))


class TestByRule:
    def test_holdout_uses_the_held_out_distances(self):
        info = thresholds_by_rule(
            "holdout:0.1",
            **DATA,
            holdout_to_train=torch.arange(1.0, 20.0),
            holdout_to_holdout=torch.arange(101.0, 130.0),
        )
        assert (info.memorized, info.spurious) == (2.0, 103.0)

    @pytest.mark.parametrize("none", [None, torch.empty(0)])
    def test_holdout_without_held_out_images(self, none):
        with pytest.raises(ValueError, match=r"the threshold rule `holdout:0\.1` needs held-out images"):
            thresholds_by_rule("holdout:0.1", **DATA, holdout_to_train=none)

    def test_null_looks_at_its_anchor_alone(self):
        info = thresholds_by_rule("null:0.3", **DATA, anchor=anchor(), sample_size=99)
        assert (info.memorized, info.spurious, info.sample_size) == (30.0, 30.0, 99)
        assert info == null_thresholds(0.3, anchor(), sample_size=99)
        assert (info.alpha, info.held_out) == (0.3, True)
        assert thresholds_by_rule("null:0.3", **DATA).memorized is None

    def test_fixed_looks_at_nothing(self):
        assert thresholds_by_rule("fixed:0.1,0.2", **DATA) == fixed(0.1, 0.2)

    def test_valley(self):
        olive = two_modes(1000)
        assert thresholds_by_rule("valley", olive=olive, gray=olive) == valley_thresholds(olive, olive)

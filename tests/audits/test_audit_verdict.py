"""Verdicts that must not be believed: passes on spoiled sets, fails for the share that the rule allows."""

import numpy as np
import pytest
import torch

from spurion import audit
from spurion.audits.checks import checked
from spurion.audits.checks.instrument import BROKEN
from spurion.audits.claims import of_kind
from spurion.audits.findings import Controls, DistanceInfo, Findings, SourceInfo
from spurion.audits.overlap import warning as warned
from spurion.audits.results import AuditResult, Inputs
from spurion.audits.verdict import verdict
from spurion.core.random import generator
from spurion.phases.detection import power
from spurion.phases.gate import parse_condition
from spurion.phases.rules import ThresholdInfo
from spurion.phases.separation import Separation
from spurion.phases.signs import Sign
from spurion.report import write_report
from spurion.statistics.intervals import ClassFractions, proportion

ABOVE = parse_condition("memorized > 0.02")


def images(count, name):
    return torch.rand(count, 1, 6, 6, generator=generator(0, "verdict", name)) * 2 - 1


def with_noise(found, name, scale):
    noise = torch.randn(found.shape, generator=generator(0, "verdict", "noise", name))
    return (found + scale * noise).clamp(-1, 1)


TRAIN, HOLDOUT = images(300, "train"), images(300, "holdout")


def copying(count, *, of=500, scale=0.05):
    """Samples of which so many are noisy copies."""
    return torch.cat([with_noise(TRAIN[:count], "copies", scale), images(of - count, "new")])


def test_held_out_images_that_are_training_images_set_no_threshold():
    leaked = torch.cat([TRAIN[:6], HOLDOUT[6:]])
    found = audit(TRAIN, copying(100), leaked, fail_if="memorized > 0.02")
    clean = audit(TRAIN, copying(100), HOLDOUT[6:], fail_if="memorized > 0.02")
    assert found.thresholds.memorized == clean.thresholds.memorized > 0.3
    assert found.counts[0] >= 100
    assert (found.verdict.outcome, clean.verdict.outcome) == ("fail", "fail")
    assert [warning.kind for warning in warnings_of(found)] == ["holdout_in_train"]
    assert found.power == clean.power


def test_held_out_images_that_are_near_copies_forbid_a_pass_and_are_named():
    leaked = torch.cat([HOLDOUT[:200], with_noise(TRAIN[:6], "leak", 0.001), HOLDOUT[206:]])
    how = {"thresholds": "holdout:0.01", "fail_if": "memorized > 0.02"}
    found = audit(TRAIN, copying(100), leaked, **how)
    assert found.counts[0] == 0  # the leaks have pulled the threshold down
    (warning,) = warnings_of(found)
    assert (warning.kind, sorted(warning.numbers["images"])) == ("holdout_near_train", list(range(200, 206)))
    assert warning.sentence.startswith("6 held-out images lie within 0.00")
    assert found.verdict.outcome == "inconclusive"
    assert "It would pass, but: " in found.verdict.reason
    assert warning.sentence in found.verdict.reason
    by_null = audit(TRAIN, copying(100), leaked, fail_if="memorized > 0.02")
    assert by_null.counts[0] >= 100  # a threshold carried on from thirty images stays where it is
    by_hand = audit(TRAIN, copying(100), leaked, thresholds="fixed:0.6,0.6", fail_if="memorized > 0.02")
    assert by_hand.verdict.outcome == "fail"
    clean = audit(TRAIN, copying(0), leaked, thresholds="fixed:0.6,0.6", fail_if="memorized > 0.02")
    assert warning.sentence not in clean.verdict.reason  # held-out images made no threshold here


def test_a_denser_kind_of_image_is_no_leak():
    """Faint scans in all sets: held-out ones lie near training images, and these near each other."""
    faint = torch.ones(300, 1, 1, 1)
    faint[::10] = 0.05
    sets = [images(300, name) * faint for name in ("train", "new", "holdout")]
    kinds = {warning.kind for warning in warnings_of(audit(*sets))}
    assert kinds.isdisjoint({"holdout_near_train", "near_copies"})
    leaked = torch.cat([sets[2][:250], with_noise(sets[0][:50], "leak", 0.001)])
    assert "holdout_near_train" in [warning.kind for warning in warnings_of(audit(*sets[:2], leaked))]


def test_samples_that_equal_training_images_are_copies_even_without_a_threshold():
    samples, train = torch.cat([TRAIN[[5, 5, 9]], images(37, "new")]), TRAIN[:50]  # too few for any
    found = audit(train, samples, fail_if="memorized > 0.01")
    assert found.counts is None
    assert found.exact_copies == (0, 1, 2)
    assert [(image.train_index, image.count) for image in found.exposure] == [(5, 2), (9, 1)]
    assert found.verdict.outcome == "fail"
    assert found.verdict.reason.startswith(
        "3 of 40 samples equal training images byte for byte, copies under any rule; "
    )
    assert audit(train, samples, fail_if="memorized > 0.1").verdict.outcome == "inconclusive"
    assert audit(train, train[1:], fail_if="memorized > 0.5").verdict.outcome == "fail"


def findings(memorized, samples, **given):
    """Findings of which only the share of memorized samples is known."""
    share, none = proportion(memorized, samples), proportion(0, samples)
    rest = proportion(samples - memorized, samples)
    return Findings(
        distance=DistanceInfo(name="l2", unit="pixels"),
        fractions=ClassFractions(memorized=share, spurious=none, generalized=rest),
        counts=(memorized, 0, samples - memorized),
        **given,
    )


def judged(condition, found, might, warnings, exact_copies, held_out=300):
    return verdict(condition, case(found, might, warnings, exact_copies, held_out))


def case(found, might, warnings=(), exact_copies=0, held_out=300, **more):
    """An audit of which only the evidence is known, with all that is said of it."""

    def source(count):
        return SourceInfo(name="images", count=count, shape=(1, 6, 6), sha256="")

    return checked(
        AuditResult.model_construct(
            **dict(found),
            inputs=Inputs(train=source(300), samples=source(might.samples), holdout=source(held_out)),
            power=might,
            claims=tuple(warnings),
            exact_copies=tuple(range(exact_copies)),
            **more,
        )
    )


def said(audit, *kinds):
    return [claim.sentence for claim in of_kind(audit.claims, *kinds)]


def warnings_of(audit):
    return [claim for claim in audit.claims if claim.severity == "warning"]


def test_honest_models_do_not_fail_for_the_share_that_the_rule_allows():
    """The false positives of a threshold from h images are Bin(n, q) with q ~ Beta(r, h + 1 - r)."""
    draw, condition = np.random.default_rng(0), parse_condition("memorized > 0.01")
    for held_out, samples in ((99, 2000), (1000, 10_000), (10_000, 10_000)):
        might = power(samples, false_positive_rate=0.01, held_out=held_out)
        rank = (held_out + 1) // 100
        counts = draw.binomial(samples, draw.beta(rank, held_out + 1 - rank, size=2000))
        outcomes = [
            judged(condition, findings(count, samples), might, (), 0).outcome
            for count in np.unique(counts).tolist()
        ]
        failed = [
            count for count, got in zip(np.unique(counts).tolist(), outcomes, strict=True) if got == "fail"
        ]
        rate = np.isin(counts, failed).mean()
        assert rate <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)


def test_a_fail_needs_more_than_chance():
    might = power(2000, false_positive_rate=0.01, held_out=1000)
    for count, outcome in ((might.count_needed, "fail"), (might.count_needed - 1, "inconclusive")):
        assert (
            judged(parse_condition("memorized > 0.005"), findings(count, 2000), might, (), 0).outcome
            == outcome
        )
    doubted = judged(
        parse_condition("memorized > 0.005"), findings(might.count_needed - 1, 2000), might, (), 0
    )
    assert doubted.reason.endswith(
        f" But: The threshold calls up to 1% of new images memorized; fewer than {might.count_needed} are no "
        "more than chance."
    )
    assert (
        judged(parse_condition("memorized > 0.005"), findings(20, 2000), power(2000), (), 0).outcome == "fail"
    )
    drowned = power(20, false_positive_rate=0.9)
    assert drowned.count_needed is None
    assert judged(ABOVE, findings(20, 20), drowned, (), 0).outcome == "inconclusive"
    assert judged(ABOVE, findings(20, 20), drowned, (), 20).outcome == "fail"


def test_chance_and_exact_copies_speak_of_memorized_samples_alone():
    might, few = power(2000, false_positive_rate=0.01, held_out=1000), proportion(5, 2000)
    spurious = findings(5, 2000).model_copy(
        update={"fractions": ClassFractions(memorized=few, spurious=proportion(500, 2000), generalized=few)}
    )
    assert judged(parse_condition("spurious > 0.1"), spurious, might, (), 0).outcome == "fail"
    assert judged(parse_condition("spurious > 0.3"), spurious, might, (), 2000).outcome == "pass"
    honest = findings(5, 2000)
    assert judged(parse_condition("memorized < 0.5"), honest, might, (), 0).outcome == "fail"
    few = judged(parse_condition("memorized < 0.0005"), honest, might, (), 0)
    assert (few.outcome, "no more than chance" in few.reason) == ("inconclusive", True)
    assert judged(parse_condition("memorized < 0.0005"), honest, power(2000), (), 0).outcome == "pass"


@pytest.mark.parametrize(
    ("kind", "rule", "asked", "outcome"),
    [
        ("holdout_near_train", "holdout:0.01", "memorized > 0.02", "inconclusive"),
        ("holdout_near_train", "fixed:1.0,1.0", "memorized > 0.02", "pass"),
        ("holdout_near_train", "fixed:1.0,1.0", "closer_to_train > 0.9", "inconclusive"),
        ("holdout_in_train", "holdout:0.01", "memorized > 0.02", "pass"),
        ("holdout_in_train", "holdout:0.01", "closer_to_train > 0.9", "inconclusive"),
        ("swapped_holdout", "fixed:1.0,1.0", "memorized > 0.02", "inconclusive"),
        ("samples_in_holdout", "fixed:1.0,1.0", "memorized > 0.02", "inconclusive"),
    ],
)
def test_which_warnings_forbid_which_pass(kind, rule, asked, outcome):
    thresholds = ThresholdInfo(
        rule=rule, memorized=1.0, spurious=1.0, identifiable={"memorized": True, "spurious": True}
    )
    found = findings(0, 1000, thresholds=thresholds, null=null(0.5, 1000))
    near = kind == "holdout_near_train" and not rule.startswith("holdout")
    warning = warned(kind, "A sentence.", touches=("closer_to_train",) if near else None)
    got = judged(parse_condition(asked), found, power(1000), (warning,), 0)
    assert got.outcome == outcome
    assert judged(parse_condition(asked), found, power(1000), (), 0).outcome == "pass"


def null(share, samples):
    from spurion.phases.null import NullTest

    values = {name: None for name in NullTest.model_fields}
    return NullTest.model_construct(
        **values | {"share_closer_to_train": proportion(round(share * samples), samples)}
    )


@pytest.mark.parametrize(("share", "outcome"), [(1.0, "pass"), (BROKEN, "pass"), (0.98, "inconclusive")])
def test_a_threshold_that_misses_known_copies_cannot_pass(share, outcome):
    controls = Controls(noisy_copies=proportion(round(share * 200), 200), noise=0.01, held_out=None)
    got = judged(ABOVE, findings(0, 1000, controls=controls), power(1000), (), 0)
    assert got.outcome == outcome
    assert ("with a whisper of noise 98% are called memorized" in got.reason) == (outcome != "pass")
    # more copies than the threshold sees cannot turn a fail
    assert judged(ABOVE, findings(100, 1000, controls=controls), power(1000), (), 0).outcome == "fail"


def test_images_that_equal_others_by_nature_are_no_copies():
    """386 of 1,000 held-out images and 402 of 1,000 samples equal training images: no sign of copying."""
    leaks = warned("holdout_in_train", "A sentence.", tuple(range(386)))
    found, asked = findings(402, 1000), parse_condition("memorized > 0.02")
    alike = judged(asked, found, power(1000), (leaks,), 402, held_out=1000)
    assert alike.outcome == "inconclusive"
    assert alike.reason.endswith(
        " But: 386 of 1000 held-out images equal training images too, as often as samples do as far as these "
        "numbers tell."
    )
    assert judged(asked, findings(0, 1000), power(1000), (leaks,), 0, held_out=1000).outcome == "pass"
    assert judged(asked, findings(600, 1000), power(1000), (leaks,), 600, held_out=1000).outcome == "fail"
    assert judged(asked, found, power(1000), (), 402, held_out=1000).outcome == "fail"


def test_one_leak_and_one_equal_sample_do_not_excuse_many_near_copies():
    leak = warned("holdout_in_train", "A sentence.", (0,))
    asked, might = parse_condition("memorized > 0.02"), power(1000, false_positive_rate=0.01, held_out=999)
    assert judged(asked, findings(300, 1000), might, (leak,), 1).outcome == "fail"
    few = might.count_needed  # with the equal one: without it, one less than is more than chance
    lower = parse_condition("memorized > 0.001")
    assert judged(lower, findings(few, 1000), might, (leak,), 1).outcome == "inconclusive"
    assert judged(lower, findings(few + 1, 1000), might, (leak,), 1).outcome == "fail"


def test_false_alarms_in_words():
    some = power(2000, false_positive_rate=0.01, held_out=1000)

    def told(memorized, exact, might=some):
        told = said(
            case(findings(memorized, max(memorized, might.samples)), might, (), exact),
            "chance",
            "false_alarms",
        )
        assert len(told) < 2
        return told[0] if told else None

    assert told(500, 500) is None
    assert told(505, 495).endswith("besides equal images are no more than chance.")
    assert told(500, 455).endswith("so some 20 may be false alarms.")
    assert told(60, 22, power(2000, false_positive_rate=0.015)).endswith("no more than chance.")
    assert told(5, 0, power(100)) is None
    assert told(0, 0) is None
    assert told(500, 0) == (
        "The threshold calls up to 1% of new images memorized, so some 20 may be false alarms."
    )
    assert told(3, 0, power(20, false_positive_rate=0.9)) == (
        "The threshold calls up to 90% of new images memorized; among so few samples that may be all of them."
    )


def test_one_reading_against_a_pass_is_enough_and_is_named():
    sign = Sign(name="ratio", sentence="83% of the samples are too near", p_value=1e-9, copy_rate=0.83)
    transformed = {"shift": proportion(0, 100), "mirror": proportion(100, 100)}
    blind = Controls(noisy_copies=proportion(9, 9), noise=0.01, held_out=None, transformed=transformed)

    def answer(text, given=(sign,), **more):
        condition = parse_condition(text)
        return verdict(
            condition, case(findings(0, 1000, null=null(0.5, 1000), **more), power(1000), signs=given)
        )

    for text in ("memorized > 0.02", "generalized < 0.9", "closer_to_train > 0.9"):
        assert answer(text, ()).outcome == "pass"
        got = answer(text)
        assert got.outcome == "inconclusive"
        assert got.reason.endswith(" It would pass, but: 83% of the samples are too near.")
        unseen = answer(text, (), controls=blind)
        assert unseen.outcome == "inconclusive"
        assert "would be missed (called memorized: shifted 0%); add `--transforms all`, or a" in unseen.reason
    assert answer("memorized < 0.02").outcome == "inconclusive"  # a fail says that there are few
    assert answer("memorized < 0.02", ()).outcome == "fail"
    for text in ("spurious > 0.02", "memorized > 0.83", "generalized < 0.17", "closer_to_train > 0.92"):
        assert answer(text).outcome == "pass"
    assert answer("spurious > 0.02", (), controls=blind).outcome == "pass"


def test_transforms_that_were_looked_at_are_not_advised():
    shares = {"shift": proportion(0, 100), "crop": proportion(89, 100), "jpeg": proportion(90, 100)}
    found = findings(
        0, 9, controls=Controls(noisy_copies=None, noise=0.01, held_out=None, transformed=shares)
    )

    def told(*covered):
        (sentence,) = said(case(found, power(9), transforms=covered), "unseen_transforms")
        return sentence

    assert "(called memorized: shifted 0%, cropped 89%); add `--transforms all`, or" in told()
    assert "`--transforms all`" in told("shift")
    assert told("shift", "crop").endswith("; add a `--distance` that sees them.")
    assert said(case(findings(0, 9), power(9)), "unseen_transforms") == []


def test_a_fail_counts_what_samples_have_beyond_others():
    """Of 1,000 samples at least 46.9 % are memorized, and 10 % of others: 40.9 % are surely copies."""
    beyond = Separation(samples=0.5, others=0.1, often_p_value=1e-9, near_p_value=1.0, held_out=True)
    found = findings(500, 1000)
    low = (proportion(500, 1000).low - 0.1) / 0.9
    for bound, outcome in ((low - 0.001, "fail"), (low + 0.001, "inconclusive")):
        for text in (f"memorized > {bound}", f"generalized < {1 - bound}"):
            got = verdict(parse_condition(text), case(found, power(1000), separation=beyond))
            assert (text, got.outcome) == (text, outcome)
    assert got.reason.endswith(
        " But: 10.0% of held-out images lie as near to a training image, so no more than a share of "
        "40.9% is surely copies."
    )
    everybody = beyond.model_copy(update={"others": 1.0})
    assert verdict(ABOVE, case(found, power(1000), separation=everybody)).outcome == "inconclusive"


def test_a_threshold_that_separates_nothing_cannot_fail():
    apart = Separation(samples=0.5, others=0.1, often_p_value=1e-9, near_p_value=1.0, held_out=True)
    mixed = apart.model_copy(update={"others": 0.49, "often_p_value": 0.4})
    found = findings(500, 1000)
    for text in ("memorized > 0.02", "generalized < 0.9"):
        condition = parse_condition(text)
        assert verdict(condition, case(found, power(1000), separation=apart)).outcome == "fail"
        got = verdict(condition, case(found, power(1000), separation=mixed))
        assert got.outcome == "inconclusive"
        assert got.reason.endswith(
            " But: 49.0% of held-out images lie as near to a training image as 50.0% of the samples do, "
            "which does not tell copies from chance (p = 0.80)."
        )
    doubted = case(found, power(1000), separation=mixed)
    assert doubted.only_near
    assert said(doubted, "not_separated")[0].startswith("49.0% of held-out images lie as near")
    assert not case(found, power(1000), separation=apart).only_near
    assert not case(found, power(1000), exact_copies=500, separation=mixed).only_near  # equal is equal
    sure = verdict(ABOVE, case(found, power(1000), exact_copies=100, separation=mixed))
    assert sure.outcome == "fail"
    spurious = findings(500, 1000).model_copy(
        update={
            "fractions": ClassFractions(
                memorized=proportion(100, 1000),
                spurious=proportion(800, 1000),
                generalized=proportion(100, 1000),
            ),
            "counts": (100, 800, 100),
        }
    )
    few = parse_condition("generalized < 0.5")  # fails without the memorized samples too
    assert verdict(few, case(spurious, power(1000), separation=mixed)).outcome == "fail"


def test_a_sign_is_a_doubt_where_it_says_more_than_the_memorized_share_allows():
    sign = Sign(name="ratio", sentence="a sentence", p_value=1e-9, copy_rate=0.2)
    for memorized, severity in ((0, "doubt"), (300, "note")):
        found = case(findings(memorized, 1000), power(1000), signs=(sign,))
        assert [claim.severity for claim in of_kind(found.claims, "sign_ratio")] == [severity]
        assert ("copies cannot be excluded" in found.said("answer")[0]) == (memorized == 0)
    for quiet in ({"p_value": 0.02}, {"copy_rate": 0.0}):
        found = case(findings(0, 1000), power(1000), signs=(sign.model_copy(update=quiet),))
        assert said(found, "sign_ratio") == []


def test_twenty_images_and_copies_with_much_noise_are_no_pass():
    train = images(20, "twenty")
    samples = with_noise(train[torch.arange(300) % 20], "much", 0.3)
    found = audit(train, samples, images(300, "unseen"), fail_if="memorized > 0.02")
    assert found.null.share_closer_to_train.value > 0.9
    assert found.verdict.outcome != "pass"
    by_hand = {"thresholds": "fixed:0.1,0.1", "fail_if": "memorized > 0.02"}
    for held_out in (images(300, "unseen"), None):
        alone = audit(train, samples, held_out, **by_hand)
        assert alone.counts[0] == 0
        assert alone.verdict.outcome == "inconclusive"
        assert "nearer to the training set than" in alone.verdict.reason


def test_held_out_images_that_are_saved_again_do_not_hide_that_every_sample_is_a_copy():
    """A threshold below every copy: four readings name what the samples are; the null rule takes none."""
    levels = torch.linspace(0.003, 0.06, 30)[:, None, None, None]
    leaked = torch.cat(
        [HOLDOUT[30:], with_noise(TRAIN[:30], "again", 1.0) * levels + TRAIN[:30] * (1 - levels)]
    )
    samples = with_noise(TRAIN[torch.arange(500) % 300], "copies", 0.2)
    by_null = audit(TRAIN, samples, leaked, fail_if="memorized > 0.02")
    assert (by_null.verdict.outcome, by_null.counts[0]) == ("fail", 500)
    found = audit(TRAIN, samples, leaked, fail_if="memorized > 0.02", thresholds="holdout:0.01")
    assert found.verdict.outcome == "inconclusive"
    for words in ("C_T is -", "are closer to the training set", "p < 0.0001", "than a third of the distance"):
        assert words in found.verdict.reason
    assert found.counts[0] == 0


def test_an_honest_generator_of_two_kinds_of_images_never_fails():
    """The gap between flat and busy images is not the gap between copies and the rest."""

    def draw(n, name):
        amplitude = torch.where(images(n, name)[:, :1, :1, :1] < 0, 0.02, 0.3)
        return images(n, f"{name} pixels") * amplitude

    found = audit(draw(300, "flat train"), draw(400, "flat samples"), fail_if="memorized > 0.02")
    assert found.thresholds.memorized is not None
    assert found.fractions.memorized.value <= 0.03
    assert found.verdict.outcome != "fail"


def test_transformed_copies_are_found_where_they_are_looked_for(tmp_path, words_only):
    samples = torch.cat(
        [with_noise(TRAIN[:30].flip(3), "mirrored", 0.02), with_noise(-TRAIN[:5], "dark", 0.02)]
    )
    samples = torch.cat([samples, with_noise(TRAIN[7:8], "plain", 0.02), images(64, "new")])
    how = {"fail_if": "memorized > 0.02", "thresholds": "fixed:0.5,0.5"}
    blind = audit(TRAIN, samples, HOLDOUT, **how)
    assert (blind.counts[0], blind.verdict.outcome) == (1, "inconclusive")
    found = audit(TRAIN, samples, HOLDOUT, transforms="invert,mirror", out=tmp_path, **how)
    assert (found.counts[0], found.verdict.outcome, found.transforms) == (36, "fail", ("mirror", "invert"))
    assert found.copied_by == {"mirror": 30, "invert": 5, "": 1}
    assert [image.train_index for image in found.exposure] == [*(0, 1, 2, 3, 4, 7), *(5, 6), *range(8, 30)]
    assert found.controls.transformed["mirror"].value == found.controls.transformed["invert"].value == 1
    assert found.controls.transformed["shift"].value < 0.5
    assert blind.controls.transformed["mirror"].value == 0
    rows = (tmp_path / "samples.csv").read_text().splitlines()
    assert rows[0].endswith(",listed,transform")
    assert [row.rpartition(",")[2] for row in (rows[1], rows[31], rows[36])] == ["mirror", "invert", ""]
    assert "mirrored 100%" in write_report(tmp_path).read_text()


@pytest.mark.slow
def test_honest_samples_pass_where_every_reading_is_silent():
    sets = (TRAIN[:100], images(200, "honest"), HOLDOUT[:120])
    found = audit(*sets, fail_if="memorized > 0.2", transforms="all")
    assert found.verdict.outcome == "pass"
    assert not any({"pass", "few"} & set(claim.forbids) for claim in found.claims)
    assert audit(*sets, fail_if="memorized > 0.2").verdict.outcome == "inconclusive"

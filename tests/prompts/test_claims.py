"""What is said of an examination: each check where it must speak, and where it must not."""

import pytest

from spurion.phases.thresholds import fixed
from spurion.prompts.claims import PROMPT_CHECKS, claims
from spurion.prompts.found import Found
from spurion.prompts.judgment import TOGETHER
from spurion.prompts.results import Answered, Comparison, Half, PromptReading, Rise
from spurion.prompts.table import Entry
from spurion.statistics.intervals import Interval
from spurion.statistics.roc import Trend


def reading(label, outcome=None, prompt="a cat", cut=""):
    known = None
    if outcome is not None:
        known = Answered(outcome=outcome, own=None, training=0.0, repeated=0.0, nearest=1.0)
    return PromptReading(prompt=prompt, label=label, values={}, rank=1.0, answered=known, cut=cut)


def interval(value, low=None, high=None):
    return Interval(value=value, low=value if low is None else low, high=value if high is None else high)


def comparison(detector, value, low, high, pair=("memorized", "generalized"), groups=(50, 200), p=0.5):
    return Comparison(
        detector=detector,
        higher=pair[0],
        lower=pair[1],
        n=groups,
        groups=groups,
        auc=interval(value, low, high),
        p_value=p,
        sensitivity=interval(0.5) if pair == ("memorized", "generalized") else None,
    )


def found(prompts=(), **more):
    values = {
        "entries": [Entry(f"{i}") for i, _ in enumerate(prompts)],
        "prompts": prompts,
        "comparisons": (),
        "halves": (),
        "rises": (),
        "thresholds": fixed(1.0, 1.0),
        "seeds": 4,
        "notes": (),
    }
    return Found(**(values | more))


def said(found, kind):
    return [claim for claim in claims(found) if claim.kind == kind]


LABELED = (reading("memorized", "memorized"), reading("generalized", "generalized"))


def test_nothing_odd_says_what_is_never_looked_at_and_the_answer_alone():
    assert [claim.kind for claim in claims(found(LABELED))] == ["answers", "other_images"]


def test_answers_are_counted():
    prompts = [reading(None, name) for name in ("memorized", "memorized", "spurious", "generalized")]
    claim = said(found(prompts), "answers")[0]
    assert claim.numbers == {"prompts": 4, "memorized": 2, "spurious": 1}
    assert claim.sentence.startswith(
        "2 of 4 prompts are answered with copies of training images, 1 with images"
    )
    assert not said(found([reading(None)]), "answers")


@pytest.mark.parametrize(
    ("areas", "words"),
    [
        ([(0.99, 0.97, 1.0), (0.96, 0.9, 0.99), (0.6, 0.4, 0.8)], "Of 3 detectors d0 tells"),
        ([(0.99, 0.49, 1.0), (0.9, 0.6, 0.95)], "Of 2 detectors d1 tells"),
        ([(0.55, 0.49, 0.6), (0.5, 0.4, 0.6)], "No detector surely tells"),
        ([(0.55, 0.49, 0.6)], "d0 does not surely tell"),
        ([(0.55, 0.51, 0.6)], "d0 tells memorized from generalized prompts: AUC 0.55"),
    ],
)
def test_the_best_detector_is_named_if_it_surely_tells(areas, words):
    ours = [comparison(f"d{i}", *area) for i, area in enumerate(areas)]
    claim = said(found(LABELED, comparisons=ours), "told_apart")[0]
    assert claim.sentence.startswith(words)
    assert ("d0 and d1 reach 0.95" in claim.sentence) == (len(areas) > 2)


def test_halves_are_averaged():
    halves = [
        Half(
            detector=TOGETHER,
            threshold=1,
            n=(5, 5),
            found=interval(share),
            false=interval(false),
            auc=interval(0.9),
        )
        for share, false in ((0.8, 0.0), (0.6, 0.02))
    ]
    claim = said(found(LABELED, halves=halves), "judged")[0]
    assert claim.numbers == {"found": pytest.approx(0.7), "false": pytest.approx(0.01)}
    assert claim.sentence.startswith("All detectors together find 70% of the memorized prompts")


def test_rises_are_counted_with_their_number():
    rises = [
        Rise(detector=f"{p}", trend=Trend(tau=0.5, p_value=p, clusters=9), medians={1: 0.0, 5: 1.0})
        for p in (1e-6, 0.02, 0.03)
    ]
    claim = said(found(LABELED, rises=rises), "rising")[0]
    assert claim.numbers == {"rising": 1, "detectors": 3}
    assert "(1 and 5)" in claim.sentence


@pytest.mark.parametrize("label", ["memorized", "generalized"])
def test_labels_that_samples_contradict_are_doubted(label):
    other = "generalized" if label == "memorized" else "memorized"
    few = [reading(label, label)] * 8 + [reading(label, other)] * 2
    assert not said(found(few), "disputed")
    many = [reading(label, label)] * 7 + [reading(label, other)] * 3
    assert said(found(many), "disputed")[0].numbers == {"prompts": 3, "of": 10}


def never_trained_on(copies):
    other = reading("other").model_copy(update={"copies": copies})
    return (*LABELED, other)


def test_detectors_that_tell_what_is_no_memorization_are_doubted():
    """Two detectors: each may be wrong in half of 5 % of cases."""
    pair = ("generalized", "other")
    fair = comparison("fair", 0.6, 0.51, 0.7, pair, p=0.026)
    unfair = comparison("unfair", 0.7, 0.6, 0.8, pair, p=0.024)
    assert not said(found(never_trained_on(0), comparisons=[fair, fair]), "trained_or_not")
    claim = said(found(never_trained_on(0), comparisons=[fair, unfair]), "trained_or_not")[0]
    assert claim.sentence.startswith("unfair (0.60 to 0.80) tells")
    for copies in (None, 1):  # what others are is not known then
        assert not said(found(never_trained_on(copies), comparisons=[fair, unfair]), "trained_or_not")


def test_detectors_that_read_the_other_way_round_are_doubted():
    right, wrong = comparison("right", 0.9, 0.8, 1.0, p=1e-9), comparison("wrong", 0.1, 0.0, 0.2, p=0.024)
    chance = comparison("chance", 0.4, 0.2, 0.6, p=0.026)
    assert not said(found(LABELED, comparisons=[right, chance]), "reversed")
    claim = said(found(LABELED, comparisons=[right, wrong]), "reversed")[0]
    assert claim.sentence.startswith("wrong (0.10) reads the other way round")
    assert claim.severity == "doubt"


def test_style_is_a_warning():
    shouting = [reading("memorized", prompt=f"A CAT {i}") for i in range(30)]
    plain = [reading("generalized", prompt=f"a cat {i}") for i in range(30)]
    assert {claim.severity for claim in said(found(shouting + plain), "style")} == {"warning"}
    assert not said(found(plain), "style")


def test_what_is_cut_or_failed_is_told():
    prompts = [reading("memorized", cut="and so on"), reading("generalized")]
    assert "1 prompt is longer" in said(found(prompts), "cut")[0].sentence
    assert said(found(LABELED, notes=["sharpness: by differences."]), "unmeasured")[0].severity == "warning"


def test_limits_are_told_where_they_hold():
    assert said(found([reading("memorized")]), "no_labels")
    assert not said(found(LABELED), "no_labels")
    few = comparison("d", 0.9, 0.8, 1.0, groups=(50, 99))
    assert said(found(LABELED, comparisons=[few]), "few_negatives")[0].numbers == {"groups": 99}
    enough = comparison("d", 0.9, 0.8, 1.0, groups=(50, 100))
    assert not said(found(LABELED, comparisons=[enough]), "few_negatives")
    assert "no training images are known" in said(found(LABELED, thresholds=None), "no_ground")[0].sentence
    assert said(found(LABELED, seeds=3), "few_seeds")
    assert not said(found(LABELED, seeds=4), "few_seeds")


def test_every_limit_has_a_title_and_claims_come_as_they_are_read():
    every = claims(found([reading("memorized", cut="x")], thresholds=None, seeds=1))
    order = [claim.severity for claim in every]
    assert order == sorted(order, key=["answer", "doubt", "warning", "limit", "note"].index)
    assert all(claim.title for claim in every if claim.severity == "limit")
    assert len(PROMPT_CHECKS) == 15

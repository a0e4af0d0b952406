"""What an audit says of itself holds together: counts, order, and what is made anew."""

import pytest
import torch

from planted import planted
from spurion import audit
from spurion.audits.checks import CHECKS, checked
from spurion.audits.checks.not_shown import PROMISE
from spurion.audits.claims import Claim, against, of_kind
from spurion.core.random import generator

SETS = planted()


def images(count, name):
    return torch.rand(count, 1, 6, 6, generator=generator(0, "claims", name)) * 2 - 1


@pytest.fixture(scope="module")
def found():
    return audit(SETS.train, SETS.samples, SETS.holdout, thresholds="fixed:0.5,0.5")


def test_the_promise_is_the_first_limit_whatever_else_is_said(found):
    assert found.said("limit")[0] == PROMISE
    dense = audit(SETS.train, SETS.samples, SETS.holdout, thresholds="fixed:100,100")
    assert of_kind(dense.claims, "accused_held_out")
    assert dense.said("limit")[0] == PROMISE


def test_claims_come_in_the_order_of_their_severity(found):
    order = ("answer", "doubt", "warning", "limit", "note")
    places = [order.index(claim.severity) for claim in found.claims]
    assert places == sorted(places)


def test_the_images_that_were_copied_are_counted_once(found):
    (copies,), (images_of,) = of_kind(found.claims, "copies"), of_kind(found.claims, "copied_images")
    assert copies.numbers == {"samples": 70, "memorized": found.counts[0]}
    assert images_of.numbers["images"] == len(found.exposure)
    assert f"copies of {len(found.exposure)} training images" in images_of.sentence


def test_claims_are_made_anew_and_those_of_the_sets_stay(found, monkeypatch):
    assert checked(found) == found
    leaked = audit(
        SETS.train, SETS.samples, torch.cat([SETS.holdout, SETS.train[:1]]), thresholds="fixed:0.5,0.5"
    )
    monkeypatch.setitem(CHECKS, "late", lambda audit: [Claim(kind="late", severity="note", sentence="Late.")])
    again = checked(leaked)
    assert [claim.kind for claim in again.claims if claim not in leaked.claims] == ["late"]
    assert len(of_kind(again.claims, "holdout_in_train")) == 1


def test_a_threshold_that_takes_everything_says_that_nothing_is_sure():
    """All held-out images lie below it too: as near as copies, and no more is said."""
    found = audit(images(60, "train"), images(60, "samples"), images(60, "new"), thresholds="fixed:100,100")
    assert found.counts[0] == 60
    assert found.only_near
    assert "lie as near to a training image as a copy: 100%" in found.said("answer")[0]
    assert not of_kind(found.claims, "copied_images")
    assert found.said("doubt")


def test_one_held_out_image_in_the_training_set_excuses_no_copies():
    train, held_out = images(200, "train"), images(120, "new")
    samples = torch.cat([train[:5], images(75, "samples")])
    found = audit(
        train, samples, torch.cat([held_out[1:], train[:1]]), thresholds="fixed:0.1,0.1",
        transforms="all", fail_if="memorized > 0.02",
    )  # fmt: skip
    assert not of_kind(found.claims, "equal_by_nature")
    assert found.verdict.outcome == "fail"


@pytest.mark.parametrize(
    ("numbers", "limit", "stands"),
    [({}, 0.1, True), ({"copy_rate": 0.2}, 0.1, True), ({"copy_rate": 0.2}, 0.2, False),
     ({"surely": 0.1}, 0.1, True), ({"surely": 0.1}, 0.05, False)],
)  # fmt: skip
def test_how_far_a_claim_reaches(numbers, limit, stands):
    claim = Claim(
        kind="a", severity="doubt", sentence="A.", numbers=numbers, touches=("memorized",), forbids=("few",)
    )
    assert (list(against([claim], "memorized", ["few"], limit)) == [claim]) is stands
    assert list(against([claim], "memorized", ["many", "pass"], limit)) == []
    assert list(against([claim], "generalized", ["few"], limit)) == []

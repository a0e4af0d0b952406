"""Notes on how the sets of an audit were read."""

import pytest

import spurion
from planted import planted
from spurion.audits.readings import readings
from spurion.audits.sources import Images
from spurion.data import ImageSet

SETS = planted()


def of(scaled, clipped=0, held_out=True):
    sets = [ImageSet(scaled(x), clipped=clipped) for x in (SETS.train, SETS.samples, SETS.holdout)]
    return readings(Images(sets[0], sets[1], sets[2] if held_out else None))


@pytest.mark.parametrize("held_out", [True, False])
def test_a_range_that_all_sets_use_alike_is_a_note(held_out):
    assert of(lambda x: x, held_out=held_out) == ()
    assert of(lambda x: 0.62 * x, held_out=held_out) == ()  # 0.62 * 1.8 is more than 1.1
    (note,) = of(lambda x: (x + 1) / 2, held_out=held_out)
    assert note.startswith("All images have values from 0.0")
    assert note.endswith("say with `value_range` what stands for black and white.")


def test_it_is_no_warning_and_changes_no_class():
    """All distances are halved, and the thresholds that are made from them."""
    rule = {"thresholds": "holdout:0.05", "fail_if": "memorized > 0.7", "transforms": "all"}
    found = [
        spurion.audit(scaled(SETS.train), scaled(SETS.samples), scaled(SETS.holdout), **rule)
        for scaled in (lambda x: x, lambda x: (x + 1) / 2)
    ]
    assert found[0].counts == found[1].counts
    assert found[0].verdict.outcome == found[1].verdict.outcome == "pass"
    assert found[0].said("warning") == found[1].said("warning") == []
    assert len(found[1].notes) == len(found[0].notes) + 1


def test_clipped_images_are_counted_by_set():
    assert of(lambda x: x, clipped=2) == (
        "2 of the 20 training images reached beyond their range and were clipped.",
        "2 of the 70 samples reached beyond their range and were clipped.",
        "2 of the 20 held-out images reached beyond their range and were clipped.",
    )


def test_samples_of_another_range_never_pass():
    rule = {"thresholds": "fixed:0.2,0.2", "fail_if": "memorized > 0.6"}
    found = spurion.audit(SETS.train, (SETS.samples + 1) / 2, SETS.holdout, **rule)
    assert [warning.kind for warning in found.claims if warning.severity == "warning"] == ["other_range"]
    assert found.verdict.outcome == "inconclusive"
    assert found.said("warning")[0] in found.verdict.reason
    half = spurion.audit(
        SETS.train, (SETS.samples + 1) / 2, SETS.holdout, value_range={"samples": (0, 1)}, **rule
    )
    assert half.said("warning") == []
    assert half.fractions.memorized.value == pytest.approx((SETS.labels == 0).double().mean())


def clipped(beyond, count, role="samples", transforms=None):
    sets = {"train": SETS.train, "samples": SETS.samples.clone(), "holdout": SETS.holdout.clone()}
    sets[role][:count, 0, 0, 0] = 1 + beyond
    rule = {"thresholds": "fixed:0.2,0.2", "transforms": transforms, "fail_if": "memorized > 0.6"}
    return spurion.audit(**sets, clip=True, **rule)


def test_many_clipped_images_forbid_a_pass():
    """More than a tenth of 70 samples or of 20 held-out images, by more than a gray level."""
    for beyond, count, role, expected in (
        (0.1, 8, "samples", ["clipped"]),
        (0.1, 7, "samples", []),
        (0.009, 8, "samples", ["clipped"]),
        (0.007, 70, "samples", []),
        (0.1, 3, "holdout", ["clipped"]),
        (0.1, 2, "holdout", []),
    ):
        found = clipped(beyond, count, role)
        assert [warning.kind for warning in found.claims if warning.severity == "warning"] == expected
        assert ("declare what it is instead" in found.verdict.reason) is bool(expected)
    found = clipped(0.1, 8, transforms="all")  # with all that a pass needs
    assert found.verdict.outcome == "inconclusive"
    assert found.said("warning")[0] == (
        "8 of the 70 samples reached far beyond their range and were clipped: declare what it is instead."
    )


def test_all_samples_of_another_range_that_were_clipped_never_pass():
    ends = {"samples": (0, 1)}
    rule = {"thresholds": "fixed:0.2,0.2", "fail_if": "memorized > 0.6"}
    found = spurion.audit(SETS.train, SETS.samples, SETS.holdout, value_range=ends, clip=True, **rule)
    assert "clipped" in [warning.kind for warning in found.claims if warning.severity == "warning"]
    assert found.verdict.outcome == "inconclusive"

"""The terminal, the stored numbers and the first page say the same."""

import random
from html import unescape

import pytest
from spurion.report.audit.answer import answer
from spurion.report.audit.overview import audit_overview

from planted import planted
from spurion import audit
from spurion.cli.audit import _show
from spurion.statistics.numbers import p_words, percent, size, value

RULES = ("fixed:0.5,0.5", "fixed:0,0", "holdout:0.05", "valley", "fixed:1.9,1.9")
CASES = range(20)


def _audit(case):
    """A small audit: copies or none, held-out images or none, the right or the wrong way round."""
    draw = random.Random(case)
    copies = draw.choice((0, 1, 2, 30, 60))
    sets = planted(case, train=60, copies=copies, groups=draw.choice((0, 3)), noise=draw.choice((0.0, 0.01)))
    train, holdout = sets.train, sets.holdout
    if draw.random() < 0.2:
        train, holdout = holdout, train
    rule = RULES[case % len(RULES)]
    known = rule.startswith("holdout") or draw.random() < 0.6
    return audit(
        train, sets.samples, holdout if known else None, thresholds=rule, fail_if="memorized > 0.02"
    )  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_terminal_and_first_page_agree(case, capsys):
    found = _audit(case)
    capsys.readouterr()
    _show(found, None)
    terminal = " ".join(capsys.readouterr().out.split())
    top = audit_overview(found)
    page = unescape(" ".join([*top.answer, *(f"{t.name} {t.text} {' '.join(t.notes)}" for t in top.tiles)]))
    assert top.answer == tuple(answer(found))

    assert f"{found.verdict.expression}: {found.verdict.outcome}. {found.verdict.reason}" in terminal
    assert f"(asked to fail if {found.verdict.expression}): {found.verdict.reason}" in page
    for warning in found.warnings:
        assert f"Warning: {warning.sentence}" in terminal
        assert warning.sentence in top.failures

    if found.counts is not None:
        memorized = found.counts[0]
        share = found.fractions.memorized
        assert f"memorized {memorized} {100 * share.value:.1f}" in terminal
        assert sum(found.counts) == found.inputs.samples.count
        if memorized:
            assert f"Of {size(found.inputs.samples.count)} samples, {size(memorized)} " in page
            assert percent(share.value) in page
        assert sum(image.count for image in found.exposure) == memorized
    near = 0 if found.counts is None else found.counts[0] - len(found.exact_copies)
    if near > 0:
        assert ("may be copied" in terminal) == found.only_near
        if found.false_alarms:
            assert found.false_alarms in terminal
            assert found.false_alarms in page
    if found.null is not None and found.null.share_p_value is not None:
        assert f"{p_words(found.null.share_p_value)})" in terminal
        closer = found.null.share_closer_to_train
        assert f"{100 * closer.value:.1f} (" in terminal
        assert percent(closer.value) in page
    if found.thresholds is not None and found.thresholds.memorized is not None:
        fact = next(fact.text for fact in top.facts if fact.name == "Thresholds")
        assert f"δm = {value(found.thresholds.memorized)}" in fact
        assert f"memorized {found.thresholds.memorized:.4g}," in terminal

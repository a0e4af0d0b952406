"""Terminal, page, and stored numbers say the same, a check from outside included."""

import json
import random
import re
from html import unescape

import pytest

from planted import planted
from spurion import audit
from spurion.audits.checks import CHECKS
from spurion.audits.claims import Claim
from spurion.audits.results import AuditResult
from spurion.cli.audit import _show
from spurion.report.html import render
from spurion.report.run import Run, Shown, read_run
from spurion.statistics.numbers import percent, size, value

RULES = ("fixed:0.5,0.5", "fixed:0,0", "holdout:0.05", "null:0.05", "fixed:1.9,1.9")
GATES = (
    *("memorized > 0.02", "memorized > 0.5", "generalized < 0.3", "spurious > 0.1"),
    "closer_to_train > 0.6",
)
CASES = range(50)
SAID = ("answer", "doubt", "warning")


def _audited(case):
    """A small audit: copies or none, equal or near; held-out images or none; sets the wrong way round."""
    draw = random.Random(case)
    sets = planted(
        case,
        train=draw.choice((1, 8, 40)),
        copies=draw.choice((0, 0, 1, 2, 20, 40)),
        groups=draw.choice((0, 3)),
        unique=draw.choice((0, 5, 25)) + 2,
        shape=draw.choice(((1, 2, 2), (1, 4, 4), (3, 3, 3))),
        noise=draw.choice((0.0, 0.01, 0.3)),
    )
    train, holdout = sets.train, sets.holdout
    if draw.random() < 0.2:
        train, holdout = holdout, train
    rule = RULES[case % len(RULES)]
    if rule.startswith("holdout") and len(holdout) < 20:
        rule = "fixed:0.1,0.1"
    known = rule.startswith("holdout") or draw.random() < 0.6
    gate = draw.choice(GATES if known else GATES[:4])
    return audit(train, sets.samples, holdout if known else None, thresholds=rule, fail_if=gate)


def _shown(found, capsys):
    """What is said of an audit: its stored form, what the terminal prints, and the page without its tags."""
    stored = json.loads(json.dumps(found.to_json()))
    capsys.readouterr()
    _show(found, None)
    terminal = " ".join(capsys.readouterr().out.split())
    page = render(Run((Shown(AuditResult.model_validate(stored)),)), {})
    body = (
        page[page.index("<main>") : page.index("</main>")]
        .replace("C<sub>T</sub>", "C_T")
        .replace("m<sub>0</sub>", "m0")
    )
    body = re.sub(r"δ<sub>(.)</sub>", r"δ\1", body)
    return stored, terminal, " ".join(unescape(re.sub(r"<[^>]+>", "", body)).split())


@pytest.mark.parametrize("case", CASES)
def test_terminal_page_and_stored_numbers_agree(case, capsys):
    found = _audited(case)
    stored, terminal, page = _shown(found, capsys)

    said = [claim["sentence"] for claim in stored["claims"] if claim["severity"] in SAID]
    assert said == found.said(*SAID)
    for sentence in said:
        assert sentence in terminal
        assert sentence in page
    for limit in found.said("limit"):
        assert limit in page

    verdict = stored["verdict"]
    assert f"{verdict['expression']}: {verdict['outcome']}. {verdict['reason']}" in terminal
    assert f"(asked to fail if {verdict['expression']}): {verdict['reason']}" in page

    _check_counts(found, stored, terminal, page)
    limits = found.thresholds
    if limits is not None and limits.memorized is not None:
        assert f"memorized {limits.memorized:.4g}," in terminal
        assert f"δm = {value(limits.memorized)}" in page


def _check_counts(found, stored, terminal, page):
    """The number of memorized samples: in the tables, the claim, the tile, and the stored audit."""
    samples = found.sample_size
    (claim,) = [claim for claim in stored["claims"] if claim["kind"] == "copies"]
    assert claim["numbers"] == {"samples": samples, "memorized": found.memorized}
    assert sum(image["count"] for image in stored["exposure"]) == found.memorized
    if stored["counts"] is None:
        assert "stays open" in claim["sentence"]
        return
    memorized, share = stored["counts"][0], found.fractions.memorized
    assert (memorized, sum(stored["counts"])) == (found.memorized, samples)
    assert f"memorized {memorized} {100 * share.value:.1f}" in terminal
    name = "As near as copies" if found.only_near else "Copies of training images"
    assert f"{name} {percent(share.value)} {size(memorized)} of {size(samples)} samples" in page
    assert claim["sentence"].startswith(f"Of {size(samples)} samples, {size(memorized)} ") == (memorized > 0)
    assert ("may be copied" in terminal) == (found.only_near and bool(stored["exposure"]))


@pytest.fixture
def mine():
    """A check of somebody's own, which forbids that an audit passes."""

    def check(found):
        sentence = f"My own check saw {found.sample_size} samples & objects to <all>."
        yield Claim(
            kind="mine", severity="doubt", sentence=sentence, touches=("spurious",), forbids=("pass",)
        )

    CHECKS["mine"] = check
    yield "My own check saw 40 samples & objects to <all>."
    del CHECKS["mine"]


def test_a_check_from_outside_is_stored_shown_and_weighed(mine, tmp_path, capsys):
    sets = planted(0, copies=0, groups=0, unique=40)
    given = {"thresholds": "fixed:0.5,0.5", "out": tmp_path}
    found = audit(sets.train, sets.samples, sets.holdout, fail_if="spurious > 0.9", **given)
    assert mine in [claim.sentence for claim in read_run(tmp_path).claims if claim.kind == "mine"]
    _, terminal, page = _shown(found, capsys)
    assert mine in terminal
    assert mine in page
    assert found.verdict.outcome == "inconclusive"
    assert mine in found.verdict.reason

    CHECKS["mine"] = lambda found: ()
    again = audit(sets.train, sets.samples, sets.holdout, fail_if="spurious > 0.9", **given | {"out": None})
    assert again.verdict.outcome == "pass"

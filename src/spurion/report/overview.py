"""The top of the page: what was studied, the answer, and its numbers."""

__all__ = ["overview"]

from spurion.audits.claims import sentences
from spurion.report.blocks import Overview
from spurion.report.facts import facts
from spurion.report.run import Run
from spurion.report.tiles import tiles
from spurion.report.words import DEFINITIONS, LEAKING, counted_among

OUTCOMES = {
    "pass": "The audit passes",
    "fail": "The audit fails",
    "inconclusive": "The audit is inconclusive",
}


def overview(run: Run) -> Overview:
    """Sum up what is said of a run: the verdict, the answers, then what speaks against them."""
    verdict = run.single.audit.verdict if run.single else None
    told = []
    if verdict is not None:
        told.append(f"{OUTCOMES[verdict.outcome]} (asked to fail if {verdict.expression}): {verdict.reason}")
    told += sentences(run.claims, "answer")
    doubts = [
        doubt for doubt in sentences(run.claims, "doubt") if verdict is None or doubt not in verdict.reason
    ]
    definitions, met = dict(DEFINITIONS), counted_among(run.audits)
    if met:
        definitions["spurious"] += f" Counted {met}."
    if any(audit.still_leaking for audit in run.audits):
        definitions["generalized"] += f" {LEAKING}"
    last = sentences(run.claims, "limit")[:1] if run.single else []
    return Overview(
        facts=facts(run),
        answer=(*told, *last),
        doubts=tuple(doubts),
        warnings=tuple(sentences(run.claims, "warning")),
        tiles=tiles(run),
        definitions=tuple(definitions.items()),
    )

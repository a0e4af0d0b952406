"""The top of the page: what was tested, on what, and the answer."""

__all__ = ["audit_overview"]

from spurion.audits.findings import SourceInfo
from spurion.audits.results import AuditResult
from spurion.report.audit.answer import answer
from spurion.report.numbers import fraction, percent, size, value
from spurion.report.overview import Fact, Overview, Tile
from spurion.report.words import DEFINITIONS, sampler_in_words

VERDICT_KIND = {"pass": "generalized", "fail": "memorized", "inconclusive": "spurious"}
"""The class whose color a verdict borrows."""


def audit_overview(audit: AuditResult) -> Overview:
    """Sum an audit up."""
    return Overview(
        facts=_facts(audit),
        answer=tuple(answer(audit)),
        failures=tuple(warning.sentence for warning in audit.warnings),
        tiles=tuple(tile for tile in (_verdict(audit), _copies(audit), _leak(audit)) if tile is not None),
        definitions=tuple(DEFINITIONS.items()),
    )


def _facts(audit: AuditResult) -> tuple[Fact, ...]:
    inputs, thresholds = audit.inputs, audit.thresholds
    drawn = "given; how they were drawn is not known"
    if audit.model is not None and audit.model.sampler is not None:
        drawn = f"drawn from {audit.model.name}: {sampler_in_words(audit.model.sampler)}"
    facts = [
        Fact("Training images", _source(inputs.train), _detail(inputs.train, _shape(inputs.train))),
        Fact("Samples of the model", _source(inputs.samples), _detail(inputs.samples, drawn)),
        Fact(
            "Held-out images",
            _source(inputs.holdout) if inputs.holdout else "none",
            _detail(inputs.holdout, "of the same kind, said to be unseen by the model")
            if inputs.holdout
            else "so no held-out null",
        ),
        Fact(
            "Distance",
            audit.distance.name,
            "; ".join(filter(None, (audit.distance.unit, audit.distance.weights))),
        ),
    ]
    if inputs.resize is not None:
        facts.append(
            Fact("Resized", f"to {inputs.resize} × {inputs.resize}", "the central square of each image")
        )
    if thresholds is not None:
        text = f"δm {_threshold(thresholds.memorized)}, δs {_threshold(thresholds.spurious)}"
        facts.append(Fact("Thresholds", text, f"Rule: {thresholds.rule}. {' '.join(thresholds.notes)}"))
    return tuple(facts)


def _source(source: SourceInfo) -> str:
    return f"{source.name}: {size(source.count)} images"


def _shape(source: SourceInfo) -> str:
    channels, height, width = (*source.shape, 1, 1)[:3]
    return f"{height} × {width} pixels, {'grayscale' if channels == 1 else f'{channels} channels'}"


def _detail(source: SourceInfo, detail: str) -> str:
    """With what became of other files and does no harm; the rest is among the warnings."""
    return " ".join((f"{detail}.", *notes)) if (notes := source.reading.notes()) else detail


def _threshold(number: float | None) -> str:
    return "not identifiable" if number is None else f"= {value(number)}"


def _verdict(audit: AuditResult) -> Tile | None:
    verdict = audit.verdict
    if verdict is None:
        return None
    return Tile(
        VERDICT_KIND[verdict.outcome], "Verdict", verdict.outcome, (), f"fails if {verdict.expression}", None
    )


def _copies(audit: AuditResult) -> Tile | None:
    if audit.fractions is None or audit.counts is None:
        return None
    share = audit.fractions.memorized
    notes = [f"95% interval {percent(share.low)} to {percent(share.high)}"]
    if audit.only_near:
        notes.append("perhaps no copies: see the answer")
    elif audit.exposure:
        notes.append(f"of {size(audit.pictures)} different training images")
    if audit.exact_copies:
        notes.append(f"{size(len(audit.exact_copies))} equal a training image")
    if audit.doubts.get("memorized"):
        notes.append("in doubt: see the answer")
    return Tile(
        "memorized",
        "As near as copies" if audit.only_near else "Copies of training images",
        percent(share.value),
        tuple(notes),
        f"{size(audit.counts[0])} of {size(audit.inputs.samples.count)} samples",
        share.value,
    )


def _leak(audit: AuditResult) -> Tile | None:
    share = audit.null.share_closer_to_train if audit.null else None
    if share is None:
        return None
    notes = f"95% interval {fraction(share.low)} to {fraction(share.high)}", "0.5 if nothing leaks"
    return Tile(
        "spurious",
        "Closer to the training set",
        fraction(share.value),
        notes,
        "share of samples",
        share.value,
    )

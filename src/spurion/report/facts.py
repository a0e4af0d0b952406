"""What was studied or tested: one line each."""

__all__ = ["credit_facts", "facts"]

from collections.abc import Iterable

from spurion.audits.claims import Claim, sentences
from spurion.audits.findings import SourceInfo
from spurion.audits.results import AuditResult
from spurion.report.blocks import Fact
from spurion.report.run import Run
from spurion.report.words import rules_in_words, sample_sizes, sampler_in_words, thresholds_in_words
from spurion.statistics.numbers import absent, listed, size, value
from spurion.studies.results import StudyResult


def facts(run: Run) -> tuple[Fact, ...]:
    """The sets, the samples, and how they were compared."""
    found = _of_audit(run.audits[0]) if run.study is None else _of_study(run, run.study)
    return (*found, *credit_facts(run.claims))


def credit_facts(claims: Iterable[Claim]) -> tuple[Fact, ...]:
    """Whose images these are, as the licenses of some sets ask."""
    return tuple(Fact("Credit", sentence) for sentence in sentences(claims, "credit"))


def _of_study(run: Run, study: StudyResult) -> tuple[Fact, ...]:
    results = run.audits
    facts = [
        Fact(
            "Training images",
            f"{study.train.name}: {size(study.train.count)} images",
            _detail(study.train, _shape(study.train), everything=True),
        ),
        Fact(
            "Held-out images",
            f"{study.holdout.name}: {size(study.holdout.count)} images",
            "never trained on",
        )
        if study.holdout
        else Fact("Held-out images", "none", "so no held-out null"),
    ]
    if not results:
        return tuple(facts)
    sizes = sorted(point.train_size for point in study.points)
    samplers = dict.fromkeys(sampler_in_words(audit.sampler) for audit in results)
    distance = results[0].distance
    known = [audit for audit in results if audit.thresholds]
    rules = dict.fromkeys(point.thresholds.rule for point in known if point.thresholds)
    return (
        *facts,
        Fact("Training-set sizes K", listed([size(k) for k in sizes]), "one model for each"),
        Fact("Samples for each K", sample_sizes(results), "the set S′"),
        Fact("Sampler", "; ".join(samplers)),
        Fact("Distance", distance.name, "; ".join(filter(None, (distance.unit, distance.weights)))),
        Fact(
            "Thresholds",
            thresholds_in_words(known) if known else absent,
            " ".join([f"Rule: {', '.join(rules)}.", *rules_in_words(known)]) if rules else "",
        ),
    )


def _of_audit(audit: AuditResult) -> tuple[Fact, ...]:
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
        told = (f"Rule: {thresholds.rule}.", *rules_in_words([audit]), *thresholds.notes)
        text = f"δm {_threshold(thresholds.memorized)}, δs {_threshold(thresholds.spurious)}"
        facts.append(Fact("Thresholds", text, " ".join(told)))
    return tuple(facts)


def _source(source: SourceInfo) -> str:
    return f"{source.name}: {size(source.count)} images"


def _shape(source: SourceInfo) -> str:
    channels, height, width = (*source.shape, 1, 1)[:3]
    return f"{height} × {width} pixels, {'grayscale' if channels == 1 else f'{channels} channels'}"


def _detail(source: SourceInfo, detail: str, *, everything: bool = False) -> str:
    """With what became of other files; in an audit what does harm is among the warnings."""
    told = source.reading.sentences() if everything else source.reading.notes()
    return " ".join((f"{detail}.", *told)) if told else detail


def _threshold(number: float | None) -> str:
    return "not identifiable" if number is None else f"= {value(number)}"

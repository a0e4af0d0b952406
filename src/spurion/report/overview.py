"""The top of the page: what was studied, the answer, and its three numbers."""

__all__ = ["Fact", "Overview", "Tile", "overview"]

from dataclasses import dataclass

from spurion.audits.findings import SourceInfo
from spurion.phases.transitions import Capacity
from spurion.report.answer import answer
from spurion.report.numbers import absent, listed, percent, size
from spurion.report.readings import classified, failures, peak_point, share
from spurion.report.run import Run
from spurion.report.words import (
    DEFINITIONS,
    rule_in_words,
    sample_sizes,
    sampler_in_words,
    thresholds_in_words,
)


@dataclass(frozen=True)
class Fact:
    """One line of what was studied."""

    name: str
    text: str
    detail: str = ""


@dataclass(frozen=True)
class Tile:
    """One large number, its name, what it means, and its interval."""

    kind: str
    name: str
    text: str
    notes: tuple[str, ...]
    meaning: str
    value: float | None


@dataclass(frozen=True)
class Overview:
    """Everything above the first section."""

    facts: tuple[Fact, ...]
    answer: tuple[str, ...]
    failures: tuple[str, ...]
    tiles: tuple[Tile, ...]
    definitions: tuple[tuple[str, str], ...]


def overview(run: Run) -> Overview:
    """Sum a run up."""
    return Overview(
        facts=_facts(run),
        answer=tuple(answer(run)),
        failures=tuple(failures(run)),
        tiles=_tiles(run),
        definitions=tuple(DEFINITIONS.items()),
    )


def _facts(run: Run) -> tuple[Fact, ...]:
    study = run.study
    results = [point.result for point in run.points]
    facts = [
        Fact(
            "Training images",
            f"{study.train.name}: {size(study.train.count)} images",
            _detail(study.train, _shape(study.train)),
        ),
        Fact(
            "Held-out images",
            f"{study.holdout.name}: {size(study.holdout.count)} images",
            "never trained on",
        )
        if study.holdout
        else Fact("Held-out images", "none", "so no held-out null and no held-out rule"),
    ]
    if not results:
        return tuple(facts)
    sizes = [point.train_size for point in results]
    samplers = dict.fromkeys(sampler_in_words(point.sampler) for point in results)
    distance = results[0].distance
    known = [p.result for p in run.done if p.result.thresholds]
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
            " ".join([f"Rule: {', '.join(rules)}.", *(rule_in_words(rule) for rule in rules)])
            if rules
            else "",
        ),
    )


def _shape(source: SourceInfo) -> str:
    channels, height, width = (*source.shape, 1, 1)[:3]
    return f"{height} × {width} pixels, {'grayscale' if channels == 1 else f'{channels} channels'}"


def _detail(source: SourceInfo, detail: str) -> str:
    """With what became of the other files."""
    return " ".join((f"{detail}.", *told)) if (told := source.reading.sentences()) else detail


def _tiles(run: Run) -> tuple[Tile, ...]:
    points = classified(run)
    capacities = run.study.capacities
    if not points or capacities is None:
        return ()
    peak = peak_point(points)
    height = share(peak, "spurious")
    level = percent(1 - capacities.epsilon)
    return (
        _capacity_tile(
            "memorized", "Memorization ends", capacities.memorization, f"largest K with {level} memorized"
        ),
        Tile(
            "spurious",
            "Spurious peak",
            percent(height.value),
            (f"95% interval {percent(height.low)} to {percent(height.high)}",),
            f"of samples at K = {size(peak.train_size)}",
            height.value,
        ),
        _capacity_tile(
            "generalized",
            "Generalization starts",
            capacities.generalization,
            f"smallest K with {level} generalized",
        ),
    )


def _capacity_tile(kind: str, name: str, capacity: Capacity, meaning: str) -> Tile:
    if capacity.value is None:
        return Tile(kind, name, "not found", (capacity.note,) if capacity.note else (), meaning, None)
    parts = []
    if capacity.low is not None and capacity.high is not None:
        parts.append(f"95% interval {size(capacity.low)} to {size(capacity.high)}")
    low, high = capacity.bracket
    if low is not None and high is not None and low != high:
        parts.append(f"between the studied sizes {size(low)} and {size(high)}")
    return Tile(kind, name, f"K ≈ {size(capacity.value)}", tuple(parts), meaning, capacity.value)

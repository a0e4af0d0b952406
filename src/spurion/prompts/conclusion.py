"""From readings to a result: ranks, comparisons, classes and claims. No model is asked here."""

__all__ = ["conclude_prompts"]

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from spurion.audits.claims import Claim
from spurion.phases.rules import ThresholdInfo
from spurion.prompts.claims import claims
from spurion.prompts.config import PromptsConfig
from spurion.prompts.detectors import DETECTORS
from spurion.prompts.found import Found
from spurion.prompts.judgment import comparisons, halves, oriented, rank_means, rises
from spurion.prompts.nearness import Distances, answered
from spurion.prompts.readings import PromptReadings
from spurion.prompts.results import (
    Comparison,
    DetectorInfo,
    Half,
    PromptReading,
    Rise,
    Summary,
)
from spurion.prompts.table import LABELS, Entry


class Concluded:
    """What follows from the readings of a table.

    Attributes:
        prompts: Every prompt, in the order of the table.
        detectors: Every detector.
        comparisons: How each tells the labels.
        halves: What thresholds find in the other half.
        rises: Whether each rises with the number of copies.
        summaries: The prompts of each label and part.
        claims: All that is said of it.
    """

    def __init__(
        self,
        prompts: tuple[PromptReading, ...],
        detectors: tuple[DetectorInfo, ...],
        comparisons: tuple[Comparison, ...],
        halves: tuple[Half, ...],
        rises: tuple[Rise, ...],
        claims: tuple[Claim, ...],
    ) -> None:
        self.prompts, self.detectors, self.comparisons = prompts, detectors, comparisons
        self.halves, self.rises, self.claims = halves, rises, claims
        self.summaries = _summaries(prompts, [detector.name for detector in detectors])


def conclude_prompts(
    entries: Sequence[Entry],
    readings: Sequence[PromptReadings],
    distances: Sequence[Distances] | None,
    thresholds: ThresholdInfo | None,
    config: PromptsConfig,
) -> Concluded:
    """Conclude.

    Arguments:
        entries: The prompts.
        readings: What the detectors read at each.
        distances: Those of the samples of each; None without training images.
        thresholds: The thresholds; None without training images.
        config: How it was measured.
    """
    means = {name: _means(readings, name) for name in config.detectors}
    values = {name: oriented(name, one) for name, one in means.items()}
    ranks = rank_means(values)
    judged = halves(entries, values, seed=config.seed)
    prompts = tuple(
        _prompt(
            entry,
            readings[i],
            {name: _number(one[i]) for name, one in means.items()},
            float(ranks[i]),
            _number(judged.fitted[i]),
            None if distances is None else distances[i],
            thresholds,
        )
        for i, entry in enumerate(entries)
    )
    compared = comparisons(entries, values, seed=config.seed)
    risen = tuple(map(_as_it_reads, rises(entries, values)))
    found = Found(
        entries=entries,
        prompts=prompts,
        comparisons=compared,
        halves=judged.halves,
        rises=risen,
        thresholds=thresholds,
        seeds=config.seeds,
        notes=_notes(readings),
    )
    detectors = tuple(_detector(name, readings, means[name]) for name in config.detectors)
    return Concluded(prompts, detectors, compared, judged.halves, risen, claims(found))


def _as_it_reads(rise: Rise) -> Rise:
    medians = {
        level: -value if not DETECTORS[rise.detector].higher else value
        for level, value in rise.medians.items()
    }
    return rise.model_copy(update={"medians": medians})


def _prompt(
    entry: Entry,
    reading: PromptReadings,
    values: dict[str, float | None],
    rank: float,
    fitted: float | None,
    distances: Distances | None,
    thresholds: ThresholdInfo | None,
) -> PromptReading:
    known = None if distances is None or thresholds is None else answered(distances, thresholds)
    return PromptReading(
        prompt=entry.prompt,
        label=entry.label,
        group=entry.group,
        part=entry.part,
        copies=entry.copies,
        images=len(entry.images),
        values=values,
        rank=rank,
        fitted=fitted,
        answered=known,
        tokens=reading.tokens,
        cut=reading.cut,
    )


def _means(readings: Sequence[PromptReadings], name: str) -> Float64[np.ndarray, " n"]:
    """Means over the seeds that have a value; NaN where none has."""
    rows = [one.values[name][~one.values[name].isnan()] for one in readings]
    return np.array([float(row.mean()) if len(row) else np.nan for row in rows])


def _detector(
    name: str, readings: Sequence[PromptReadings], means: Float64[np.ndarray, " n"]
) -> DetectorInfo:
    detector = DETECTORS[name]
    costs = [one.evaluations[name] for one in readings if name in one.evaluations]
    return DetectorInfo(
        name=name,
        unit=detector.unit,
        source=detector.source,
        higher=detector.higher,
        published=detector.published,
        evaluations=float(np.median(costs)) if costs else None,
        prompts=int((~np.isnan(means)).sum()),
    )


def _summaries(prompts: Sequence[PromptReading], detectors: Sequence[str]) -> tuple[Summary, ...]:
    labels = [(name, [one for one in prompts if one.label == name]) for name in LABELS]
    parts = [(name, [one for one in prompts if one.part == name]) for name in _parts(prompts)]
    return (
        *(_summary(name, "label", members, detectors) for name, members in labels if members),
        *(_summary(name, "part", members, detectors) for name, members in parts),
    )


def _parts(prompts: Sequence[PromptReading]) -> list[str]:
    return [part for part in dict.fromkeys(one.part for one in prompts) if part]


def _summary(name: str, by: str, members: Sequence[PromptReading], detectors: Sequence[str]) -> Summary:
    known = [one.answered for one in members if one.answered is not None]
    medians = {detector: _median([one.values[detector] for one in members]) for detector in detectors}
    return Summary(
        name=name,
        by=by,
        prompts=len(members),
        medians=medians,
        own=_mean([one.own for one in known]),
        training=_mean([one.training for one in known]),
        repeated=_mean([one.repeated for one in known]),
        outcomes=dict(Counter(one.outcome for one in known)),
    )


def _median(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return float(np.median(numbers)) if numbers else None


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _notes(readings: Sequence[PromptReadings]) -> list[str]:
    """What is to know of readings, each with the number of prompts that it is true of."""
    counted = Counter(note for one in readings for note in one.notes)
    return [f"{note.rstrip('.')} (at {count} prompts)." for note, count in counted.items()]

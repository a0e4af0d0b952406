"""Everything that an examination of prompts says: each check looks at what was found once.

A new check is a function and a place in `PROMPT_CHECKS`; terminal, page and files read what it says.
"""

__all__ = ["PROMPT_CHECKS", "Found", "claims"]

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spurion.audits.claims import Claim, in_order
from spurion.core.text import printable
from spurion.phases.rules import ThresholdInfo
from spurion.prompts.results import Comparison, Half, PromptReading, Rise
from spurion.prompts.style import differences
from spurion.prompts.table import Entry
from spurion.statistics.numbers import decimals, listed, p_words, percent, size

SURE = 0.95
"""An AUC from which a detector is said to tell two labels apart."""

DISPUTED = 0.2
"""A share of prompts of one label whose samples say otherwise, from which the labels are doubted."""

RESOLVED = 100
"""Groups of negatives that a false positive rate of 1 % needs: one of them is above the threshold."""

_two = decimals(2)


@dataclass(frozen=True)
class Found:
    """What is looked at."""

    entries: Sequence[Entry]
    prompts: Sequence[PromptReading]
    comparisons: Sequence[Comparison]
    halves: Sequence[Half]
    rises: Sequence[Rise]
    thresholds: ThresholdInfo | None
    seeds: int
    notes: Sequence[str]

    def labeled(self, label: str) -> list[PromptReading]:
        """The prompts of a label."""
        return [one for one in self.prompts if one.label == label]


Check = Callable[[Found], Iterator[Claim]]


def claims(found: Found) -> tuple[Claim, ...]:
    """What all checks say, as it is read."""
    return in_order(claim for check in PROMPT_CHECKS for claim in check(found))


def answers(found: Found) -> Iterator[Claim]:
    """How many prompts are answered with copies, and how many with repetitions."""
    known = [one.answered for one in found.prompts if one.answered is not None]
    if not known:
        return
    copies, again = (sum(one.outcome == name for one in known) for name in ("memorized", "spurious"))
    yield Claim(
        kind="answers",
        severity="answer",
        sentence=f"{size(copies)} of {size(len(known))} prompts are answered with copies of training images, "
        f"{size(again)} with images that come again for other seeds and are no copies.",
        numbers={"prompts": len(known), "memorized": copies, "spurious": again},
        touches=("memorized", "spurious"),
    )


def told_apart(found: Found) -> Iterator[Claim]:
    """Which detectors tell memorized from generalized prompts."""
    ours = [c for c in found.comparisons if (c.higher, c.lower) == ("memorized", "generalized")]
    if not ours:
        return
    best = max(ours, key=lambda one: (one.auc.value, one.auc.low))
    sure = [one.detector for one in ours if one.auc.value >= SURE]
    area = f"AUC {_two(best.auc.value)} ({_two(best.auc.low)} to {_two(best.auc.high)})"
    if best.auc.low <= 0.5:
        said = (
            f"None of {len(ours)} detectors surely tells memorized from generalized prompts; {best.detector} "
        )
        said += f"reaches an {area}."
    else:
        told = f"; {listed(sure)} reach {SURE:g}" if len(sure) > 1 else ""
        said = f"Of {len(ours)} detectors {best.detector} tells memorized from generalized prompts best: "
        said += f"{area}{told}."
    yield Claim(
        kind="told_apart",
        severity="answer",
        sentence=said,
        numbers={"auc": best.auc.value, "detectors": len(ours), "sure": len(sure)},
    )


def judged(found: Found) -> Iterator[Claim]:
    """What thresholds find in prompts that they were not fitted to."""
    if not found.halves:
        return
    both_of: dict[str, list[Half]] = {}
    for half in found.halves:
        both_of.setdefault(half.detector, []).append(half)
    both = max(both_of.values(), key=lambda halves: sum(h.found.value - h.false.value for h in halves))
    best = both[0]
    share, false = (
        float(np.mean([getattr(half, name).value for half in both])) for name in ("found", "false")
    )
    name = "All detectors together" if best.detector == "together" else best.detector
    verb = "find" if best.detector == "together" else "finds"
    yield Claim(
        kind="judged",
        severity="answer",
        sentence=f"{name} {verb} {percent(share)} of the memorized prompts of the half that the threshold "
        f"was not fitted on, at {percent(false)} of its generalized ones; 1% was asked for.",
        numbers={"found": share, "false": false},
    )


def rising(found: Found) -> Iterator[Claim]:
    """Whether detectors rise with the number of copies."""
    if not found.rises:
        return
    up = [one for one in found.rises if one.trend.p_value < 0.05 / len(found.rises)]
    levels = listed([size(level) for level in sorted(found.rises[0].medians)])
    worst = max((one.trend.p_value for one in up), default=1.0)
    yield Claim(
        kind="rising",
        severity="answer",
        sentence=f"{len(up)} of {len(found.rises)} detectors rise with the number of copies ({levels})"
        + (f"; of these the least sure with {p_words(worst)}." if up else "."),
        numbers={"rising": len(up), "detectors": len(found.rises)},
    )


def disputed(found: Found) -> Iterator[Claim]:
    """Whether samples are what the labels say."""
    for label, words in (
        ("memorized", "answered with no copies of training images"),
        ("generalized", "answered with copies of training images"),
    ):
        known = [one.answered for one in found.labeled(label) if one.answered is not None]
        odd = sum((one.outcome == "memorized") != (label == "memorized") for one in known)
        if known and odd > DISPUTED * len(known):
            yield Claim(
                kind="disputed",
                severity="doubt",
                sentence=f"{size(odd)} of the {size(len(known))} prompts labeled {label} are {words}: what "
                "detectors are judged by is itself in doubt.",
                numbers={"prompts": odd, "of": len(known)},
                touches=("memorized",),
            )


def trained_or_not(found: Found) -> Iterator[Claim]:
    """Whether a detector tells prompts of the training set from others, where nothing is memorized."""
    pairs = [c for c in found.comparisons if (c.higher, c.lower) == ("generalized", "other")]
    off = [c for c in pairs if not c.auc.low <= 0.5 <= c.auc.high]
    if off:
        names = [f"{c.detector} ({_two(c.auc.value)})" for c in off]
        yield Claim(
            kind="trained_or_not",
            severity="doubt",
            sentence=f"{listed(names)} {'tell' if len(off) > 1 else 'tells'} generalized prompts from other "
            "ones, in AUC: what is read there is not memorization alone.",
            numbers={"detectors": len(off)},
        )


def style(found: Found) -> Iterator[Claim]:
    """Whether memorized prompts are written in another style than the others."""
    texts = {label: [one.prompt for one in found.labeled(label)] for label in ("memorized", "generalized")}
    for feature in differences(texts["memorized"], texts["generalized"]):
        yield Claim(
            kind="style",
            severity="warning",
            sentence=f"Memorized and generalized prompts differ in {feature.name} (AUC {_two(feature.auc)}, "
            f"{p_words(feature.p_value)}): a detector may read their style.",
            numbers={"auc": feature.auc, "p_value": feature.p_value},
        )


def cut(found: Found) -> Iterator[Claim]:
    """Prompts that are longer than the model reads."""
    long = [one for one in found.prompts if one.cut]
    if long:
        yield Claim(
            kind="cut",
            severity="warning",
            sentence=f"{size(len(long))} prompts are longer than the model reads; the first of them loses "
            f"{printable(long[0].cut)!r:.80}.",
            numbers={"prompts": len(long)},
        )


def unmeasured(found: Found) -> Iterator[Claim]:
    """What could not be measured, or by another way."""
    for note in found.notes:
        yield Claim(kind="unmeasured", severity="warning", sentence=note)


def no_labels(found: Found) -> Iterator[Claim]:
    """Whether anything is known of the prompts."""
    if any(one.label == "memorized" for one in found.prompts) and found.labeled("generalized"):
        return
    yield Claim(
        kind="no_labels",
        severity="limit",
        title="Which of these prompts are memorized",
        sentence="A rank says what to look at first. Without prompts labeled memorized and generalized there "
        "is no threshold, and no error rate.",
    )


def few_negatives(found: Found) -> Iterator[Claim]:
    """Whether a false positive rate of 1 % can be told at all."""
    ours = [c for c in found.comparisons if c.sensitivity is not None]
    groups = min((c.groups[1] for c in ours), default=RESOLVED)
    if groups < RESOLVED:
        yield Claim(
            kind="few_negatives",
            severity="limit",
            title="How many false alarms there are at 1%",
            sentence=f"There are {size(groups)} independent groups of generalized prompts; fewer than "
            f"{RESOLVED} cannot tell 1% from none.",
            numbers={"groups": groups},
        )


def no_ground(found: Found) -> Iterator[Claim]:
    """Whether anything says which samples are copies."""
    if found.thresholds is not None and found.thresholds.memorized is not None:
        return
    reason = " ".join(found.thresholds.notes) if found.thresholds else "no training images are known"
    yield Claim(
        kind="no_ground",
        severity="limit",
        title="Which samples are copies",
        sentence=f"There is no threshold for it: {reason.rstrip('.')}.",
    )


def few_seeds(found: Found) -> Iterator[Claim]:
    """What few seeds can say."""
    if found.seeds < 4:
        yield Claim(
            kind="few_seeds",
            severity="limit",
            title="What a prompt does for other seeds",
            sentence=f"Each prompt was tried with {found.seeds} initial "
            f"{'noise' if found.seeds == 1 else 'noises'}; four say more.",
            numbers={"seeds": found.seeds},
        )


def other_images(found: Found) -> Iterator[Claim]:
    """What is never looked at."""
    yield Claim(
        kind="other_images",
        severity="limit",
        title="That a prompt that ranks low copies nothing",
        sentence="Detectors read how strongly a prompt binds the model. Images copied in part, in other "
        "words or from no prompt of this list are not looked for.",
    )


PROMPT_CHECKS: tuple[Check, ...] = (
    answers,
    told_apart,
    judged,
    rising,
    disputed,
    trained_or_not,
    style,
    cut,
    unmeasured,
    no_labels,
    few_negatives,
    no_ground,
    few_seeds,
    other_images,
)

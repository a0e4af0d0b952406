"""Everything that an examination of prompts says: each check looks at what was found once.

A new check is a function and a place in `PROMPT_CHECKS`; terminal, page and files read what it says.
"""

__all__ = ["PROMPT_CHECKS", "claims"]

from collections.abc import Callable, Iterator

import numpy as np

from spurion.audits.claims import Claim, in_order
from spurion.core.text import printable
from spurion.prompts.found import Found
from spurion.prompts.judgment import TOGETHER
from spurion.prompts.limits import few_negatives, few_seeds, no_ground, no_labels, other_images
from spurion.prompts.style import differences
from spurion.statistics.numbers import decimals, listed, p_words, percent, size

SURE = 0.95
"""An AUC from which a detector is said to tell two labels apart."""

CHANCE = 0.05
"""The probability, over all detectors together, that one is said to read what it does not."""

DISPUTED = 0.2
"""A share of prompts of one label whose samples say otherwise, from which the labels are doubted."""

LONGEST = 60
"""Characters of the end of a prompt that are told."""

_two = decimals(2)


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
        sentence=f"{size(copies)} of {_prompts(len(known))} {'is' if len(known) == 1 else 'are'} answered "
        "with copies of training images, "
        f"{size(again)} with images that come again for other seeds and are no copies.",
        numbers={"prompts": len(known), "memorized": copies, "spurious": again},
        touches=("memorized", "spurious"),
    )


def told_apart(found: Found) -> Iterator[Claim]:
    """Which detectors tell memorized from generalized prompts."""
    ours = [c for c in found.comparisons if (c.higher, c.lower) == ("memorized", "generalized")]
    if not ours:
        return
    best = max(ours, key=lambda one: (one.auc.low > 0.5, one.auc.value, one.auc.low))
    sure = [one.detector for one in ours if one.auc.value >= SURE and one.auc.low > 0.5]
    area = f"AUC {_two(best.auc.value)} ({_two(best.auc.low)} to {_two(best.auc.high)})"
    if best.auc.low <= 0.5:
        none = "No detector surely tells" if len(ours) > 1 else f"{best.detector} does not surely tell"
        said = f"{none} memorized from generalized prompts; {best.detector} reads an {area}."
    elif len(ours) == 1:
        said = f"{best.detector} tells memorized from generalized prompts: {area}."
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
    both = [half for half in found.halves if half.detector == TOGETHER]
    if not both:
        return
    share = float(np.mean([half.found.value for half in both]))
    false = float(np.mean([half.false.value for half in both]))
    yield Claim(
        kind="judged",
        severity="answer",
        sentence=f"All detectors together find {percent(share)} of the memorized prompts of the half that "
        f"their weights and threshold were not fitted on, at {percent(false)} of its generalized ones; 1% "
        "was asked for.",
        numbers={"found": share, "false": false},
    )


def rising(found: Found) -> Iterator[Claim]:
    """Whether detectors rise with the number of copies."""
    if not found.rises:
        return
    up = [one for one in found.rises if one.trend.p_value < CHANCE / len(found.rises)]
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
                sentence=f"{size(odd)} of {_prompts(len(known))} labeled {label} "
                f"{'is' if odd == 1 else 'are'} {words}: what "
                "detectors are judged by is itself in doubt.",
                numbers={"prompts": odd, "of": len(known)},
                touches=("memorized",),
            )


def reversed_detectors(found: Found) -> Iterator[Claim]:
    """Detectors that read the other way round than the literature says, and count in ranks as it does."""
    ours = [c for c in found.comparisons if (c.higher, c.lower) == ("memorized", "generalized")]
    wrong = [c for c in ours if c.auc.value < 0.5 and c.p_value < CHANCE / len(ours)]
    if wrong:
        names = listed([f"{c.detector} ({_two(c.auc.value)})" for c in wrong])
        yield Claim(
            kind="reversed",
            severity="doubt",
            sentence=f"{names} {'read' if len(wrong) > 1 else 'reads'} the other way round than expected, in "
            "AUC; the mean rank takes every detector as the literature has it.",
            numbers={"detectors": len(wrong)},
        )


def trained_or_not(found: Found) -> Iterator[Claim]:
    """Whether a detector tells prompts of the training set from those that it never held."""
    if any(one.copies != 0 for one in found.labeled("other")):
        return
    pairs = [c for c in found.comparisons if (c.higher, c.lower) == ("generalized", "other")]
    off = [c for c in pairs if c.p_value < CHANCE / len(pairs)]
    if off:
        names = [f"{c.detector} ({_two(c.auc.low)} to {_two(c.auc.high)})" for c in off]
        yield Claim(
            kind="trained_or_not",
            severity="doubt",
            sentence=f"{listed(names)} {'tell' if len(off) > 1 else 'tells'} generalized prompts from ones "
            "never trained on, in AUC: what is read there is not memorization alone.",
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
            sentence=f"{_prompts(len(long))} {'is' if len(long) == 1 else 'are'} longer than the model "
            f"reads; the first loses “{_short(long[0].cut)}”.",
            numbers={"prompts": len(long)},
        )


def unmeasured(found: Found) -> Iterator[Claim]:
    """What could not be measured, or by another way."""
    for note in found.notes:
        yield Claim(kind="unmeasured", severity="warning", sentence=note)


PROMPT_CHECKS: tuple[Check, ...] = (
    answers,
    told_apart,
    judged,
    rising,
    disputed,
    reversed_detectors,
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


def _prompts(count: int) -> str:
    return f"{size(count)} {'prompt' if count == 1 else 'prompts'}"


def _short(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"

"""The verdict of an audit: the gate's decision, unless the evidence speaks against it.

An answer claims something of the share of copies: that it is low, as a pass of ``memorized > 0.02`` does,
that it is high, as a fail does, or nothing (`_claim`). Each reading is a function that knows one kind of
evidence and gives clauses with what that has against a claim; a silent one gives none. A would-be answer with
a clause against it is inconclusive, and its reason names them all.

- `TRUST`: readings of the instrument and the sets, which every pass needs.
- `FEW`: readings against the claim that few samples are copies.
- `MANY`: readings against the claim that many are.

Samples that are byte for byte training images are copies under any rule. They can fail an audit alone, even
where no threshold could be identified; unless held-out images are equal to training images as often, as
images of few pixels and levels are.
"""

__all__ = ["Case", "doubts", "false_alarms", "only_near", "verdict"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from spurion.audits.findings import Findings
from spurion.audits.limitations import BROKEN, unseen_transforms
from spurion.audits.overlap import Overlap
from spurion.audits.request import ASKED
from spurion.phases.detection import Power
from spurion.phases.gate import Condition, Verdict, decide
from spurion.phases.separation import Separation
from spurion.phases.signs import Sign
from spurion.statistics.intervals import Interval, proportion

ALWAYS = (
    "samples_are_train",
    "samples_in_holdout",
    "swapped_holdout",
    "swapped_samples",
    "unread_files",
    "rotated_train",
    "other_range",
    "clipped",
)
"""Warnings that touch every answer."""


@dataclass(frozen=True)
class Case:
    """All the evidence that a verdict is made of.

    Attributes:
        findings: What the samples are.
        power: What their number could have missed, and how many false positives to expect.
        warnings: What is wrong with the sets.
        exact_copies: How many samples are byte for byte training images.
        held_out: How many held-out images were given.
        signs: What speaks of copies without a threshold.
        separation: Whether the threshold separates copies; None if there is no threshold.
        transforms: The transforms of training images that were looked at too.
    """

    findings: Findings
    power: Power
    warnings: Sequence[Overlap] = ()
    exact_copies: int = 0
    held_out: int = 0
    signs: Sequence[Sign] = ()
    separation: Separation | None = None
    transforms: Sequence[str] = ()

    @property
    def memorized(self) -> int:
        """How many samples are called memorized; without a threshold those that equal training images."""
        return self.exact_copies if self.findings.counts is None else self.findings.counts[0]

    @property
    def near(self) -> int:
        """How many of them are not byte for byte training images."""
        return self.memorized - self.exact_copies

    @property
    def shares(self) -> dict[str, Interval | None]:
        """The shares that may be asked for."""
        found: dict[str, Interval | None] = {
            name: getattr(self.findings.fractions, name, None) for name in ASKED[:3]
        }
        null = self.findings.null
        return {**found, "closer_to_train": null.share_closer_to_train if null else None}


Reading = Callable[[Case, Condition], Sequence[str]]
"""What one kind of evidence has against a claim, in clauses; none where it is silent."""


def verdict(condition: Condition, case: Case) -> Verdict:
    """Decide a condition; see the module."""
    found = decide(condition, case.shares, case.power.samples)
    if copied := _by_exact_copies(condition, case):
        return found if found.outcome == "fail" else copied
    claim = _claim(condition, found.outcome == "pass")
    readings = [
        *(TRUST if found.outcome == "pass" else ()),
        *(CLAIMS[claim] if claim and found.outcome != "inconclusive" else ()),
    ]
    against = [clause for reading in readings for clause in reading(case, condition)]
    if not against:
        return found
    would = "it would pass, but " if found.outcome == "pass" else "but "
    reason = f"{found.reason.rstrip('.')}; {would}{'; '.join(against)}."
    return found.model_copy(update={"outcome": "inconclusive", "reason": reason})


def doubts(name: str, case: Case) -> tuple[str, ...]:
    """What forbids to believe that a share is no higher than its interval says, in clauses; none if nothing.

    Arguments:
        name: Which share, a name in `ASKED`.
        case: The evidence.
    """
    share = case.shares[name]
    condition = Condition(name=name, sign=">", bound=1.0 if share is None else share.high)
    return tuple(clause for reading in (*TRUST, *FEW) for clause in reading(case, condition))


def only_near(case: Case) -> bool:
    """Whether the samples called memorized may be no copies, but as near as copies for another reason."""
    return case.near > 0 and bool(_chance(case) or _unsupported(case))


def false_alarms(case: Case) -> str | None:
    """How many of the samples called memorized the threshold may be wrong about; None if none is known of."""
    told = (*_unsupported(case), *_chance(case))
    if told and case.near > 0:
        return f"{told[0][:1].upper()}{told[0][1:]}."
    rate = case.power.false_positive_rate
    if rate is None or case.near <= 0:
        return None
    expected = min(case.near, max(1, round(rate * case.power.samples)))
    return (
        f"The threshold calls up to {100 * rate:g}% of new images memorized, so some {expected:,} may be "
        + ("false alarms.")
    )


def _claim(condition: Condition, passes: bool) -> Literal["few", "many"] | None:
    """What an answer says of copies: few, many, or nothing."""
    if condition.name == "spurious":
        return None
    low = passes == (condition.sign in (">", ">="))  # the share is said to be low
    return "few" if low == (condition.name != "generalized") else "many"


def _limit(condition: Condition) -> float:
    """The rate of copies above which a claim that the answer makes, that there are few, is wrong."""
    limits = {"generalized": 1 - condition.bound, "closer_to_train": 2 * condition.bound - 1}
    return max(0.0, limits.get(condition.name, condition.bound))


def _missed_copies(case: Case, condition: Condition) -> Sequence[str]:
    copies = case.findings.controls.noisy_copies if case.findings.controls else None
    if condition.name == "closer_to_train" or copies is None or copies.value >= BROKEN:
        return ()
    return (f"the threshold misses copies: of known ones {copies.value:.0%} are called memorized",)


def _spoiled_sets(case: Case, condition: Condition) -> Sequence[str]:
    thresholds, by_null = case.findings.thresholds, condition.name == "closer_to_train"
    by_holdout = thresholds is not None and thresholds.rule.startswith("holdout")
    touching = [
        *ALWAYS,
        *(["holdout_in_train"] if by_null else []),
        *(["holdout_near_train"] if by_null or by_holdout else []),
    ]
    spoiled = any(warning.kind in touching for warning in case.warnings)
    return ("the sets are in doubt (see the warnings)",) if spoiled else ()


def _signs(case: Case, condition: Condition) -> Sequence[str]:
    return [sign.sentence for sign in case.signs if sign.speaks(_limit(condition))]


def _transforms(case: Case, condition: Condition) -> Sequence[str]:
    told = unseen_transforms(case.findings, case.transforms)
    return () if told is None or condition.name == "spurious" else (told,)


def _by_chance(case: Case, condition: Condition) -> Sequence[str]:
    return _chance(case) if _hangs_on(case.near, case, condition) else ()


def _not_separated(case: Case, condition: Condition) -> Sequence[str]:
    return _unsupported(case) if _hangs_on(case.near, case, condition) else ()


def _natural(case: Case, condition: Condition) -> Sequence[str]:
    """Samples that equal training images are no copies where held-out images do so as often."""
    if not _equal_by_nature(case):
        return ()
    if not _hangs_on(case.exact_copies, case, condition) and not only_near(case):
        return ()
    count = _equal_held_out(case)
    return (f"{count} of {case.held_out} held-out images equal training images, no fewer than samples do",)


TRUST: tuple[Reading, ...] = (_missed_copies, _spoiled_sets)
FEW: tuple[Reading, ...] = (_signs, _transforms)


def _not_beyond_others(case: Case, condition: Condition) -> Sequence[str]:
    """Others lie below the threshold too: only what samples have beyond them is copied."""
    separation, limit = case.separation, _limit(condition)
    share = case.shares[condition.name]
    if separation is None or not separation.supported or separation.others is None or share is None:
        return ()
    if condition.name == "closer_to_train":
        return ()
    low = 1 - share.high if condition.name == "generalized" else share.low
    excess = max(0.0, (low - separation.others) / (1 - separation.others)) if separation.others < 1 else 0.0
    if excess > limit:
        return ()
    return (
        f"{separation.others:.1%} of {separation.whose} lie as near to a training image, so no more than "
        f"{excess:.1%} of the samples are surely copies",
    )


MANY: tuple[Reading, ...] = (_natural, _by_chance, _not_separated, _not_beyond_others)

CLAIMS = {"few": FEW, "many": MANY}


def _chance(case: Case) -> Sequence[str]:
    """As many samples could be called memorized by chance."""
    power = case.power
    if power.false_positive_rate is None or not power.could_be_chance(case.near):
        return ()
    rule = f"the threshold calls up to {100 * power.false_positive_rate:g}% of new images memorized"
    if power.count_needed is None:
        return (f"{rule}; among so few samples that may be all of them",)
    besides = " besides equal images" if case.exact_copies else ""
    return (f"{rule}; fewer than {power.count_needed:,}{besides} are no more than chance",)


def _unsupported(case: Case) -> Sequence[str]:
    separation = case.separation
    return () if separation is None or separation.supported else (separation.sentence,)


def _hangs_on(count: int, case: Case, condition: Condition) -> bool:
    """Whether the answer would be another one if so many memorized samples were no copies."""
    memorized, _, generalized = case.findings.counts or (case.memorized, 0, 0)
    samples, given = case.power.samples, case.shares
    without = {
        "memorized": proportion(memorized - count, samples),
        "generalized": proportion(generalized + count, samples),
        "closer_to_train": given["closer_to_train"],
    }
    before, after = (decide(condition, shares, samples).outcome for shares in (given, without))
    return before != after


def _equal_held_out(case: Case) -> int:
    return sum(len(warning.images) for warning in case.warnings if warning.kind == "holdout_in_train")


def _equal_by_nature(case: Case) -> bool:
    """Whether held-out images equal training images as often as samples do."""
    equal = _equal_held_out(case)
    if not case.exact_copies or not equal:
        return False
    return proportion(case.exact_copies, case.power.samples).low <= proportion(equal, case.held_out).high


def _by_exact_copies(condition: Condition, case: Case) -> Verdict | None:
    """The verdict if samples that equal training images suffice to fail."""
    if condition.name != "memorized" or condition.sign not in (">", ">="):
        return None
    exact, samples = case.exact_copies, case.power.samples
    if not exact or _equal_by_nature(case):
        return None
    alone = decide(condition, {"memorized": proportion(exact, samples)}, samples)
    if alone.outcome != "fail":
        return None
    reason = f"{exact} of {samples} samples equal training images byte for byte, copies under any rule; "
    return alone.model_copy(update={"reason": reason + alone.reason[0].lower() + alone.reason[1:]})

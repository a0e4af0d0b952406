"""The verdict of an audit: the gate's decision, unless something forbids to believe it.

- A would-be pass is inconclusive if the instrument or the sets are not to be trusted: the threshold misses
  copies that are known to be copies, or a warning about the sets touches what was asked for.
- A would-be fail on the share of memorized samples is inconclusive if as many could be false positives of the
  threshold (`spurion.phases.power`): an honest model must not fail for the share that the rule allows.
- Samples that are byte for byte training images are copies under any rule. They can fail an audit alone, even
  where no threshold could be identified.
"""

__all__ = ["false_alarms", "verdict"]

from collections.abc import Iterator, Sequence

from spurion.phases.gate import Condition, Outcome, Verdict, decide
from spurion.phases.intervals import Interval, proportion
from spurion.phases.power import Power
from spurion.studies.auditing.limitations import BROKEN
from spurion.studies.auditing.request import ASKED
from spurion.studies.overlap import Overlap
from spurion.studies.results import Findings

ALWAYS = ("samples_are_train", "samples_in_holdout", "swapped_holdout", "swapped_samples")
"""Warnings that touch every answer."""


def false_alarms(memorized: int, power: Power) -> str | None:
    """How many of the samples called memorized the threshold may be wrong about; None if none is known of."""
    if power.false_positive_rate is None or not memorized:
        return None
    rule = f"The threshold calls up to {100 * power.false_positive_rate:g}% of new images memorized"
    if not power.could_be_chance(memorized):
        expected = max(1, round(power.false_positive_rate * power.samples))
        return f"{rule}, so some {expected:,} may be false alarms."
    if power.count_needed is None:
        return f"{rule}; among so few samples that may be all of them."
    return f"{rule}; fewer than {power.count_needed:,} are no more than chance."


def verdict(
    condition: Condition,
    findings: Findings,
    power: Power,
    warnings: Sequence[Overlap],
    exact_copies: int,
) -> Verdict:
    """Decide a condition; see the module.

    Arguments:
        condition: What was asked.
        findings: What the samples are.
        power: What their number could have missed, and how many false positives to expect.
        warnings: What is wrong with the sets.
        exact_copies: How many samples are byte for byte training images.
    """
    shares: dict[str, Interval | None] = {name: getattr(findings.fractions, name, None) for name in ASKED[:3]}
    shares["closer_to_train"] = findings.null.share_closer_to_train if findings.null else None
    found = decide(condition, shares, power.samples)
    if copied := _by_exact_copies(condition, exact_copies, power.samples):
        return found if found.outcome == "fail" else copied
    if found.outcome == "pass" and (doubts := list(_doubts(condition, findings, warnings))):
        return _doubted(found, "inconclusive", f"it would pass, but {'; '.join(doubts)}")
    if found.outcome == "fail" and (chance := _chance(condition, findings, power)):
        return _doubted(found, "inconclusive", f"but {chance}")
    return found


def _doubted(found: Verdict, outcome: Outcome, doubt: str) -> Verdict:
    return found.model_copy(update={"outcome": outcome, "reason": f"{found.reason.rstrip('.')}; {doubt}."})


def _by_exact_copies(condition: Condition, exact_copies: int, samples: int) -> Verdict | None:
    """The verdict if they suffice to fail."""
    if condition.name != "memorized" or condition.sign not in (">", ">=") or not exact_copies:
        return None
    alone = decide(condition, {"memorized": proportion(exact_copies, samples)}, samples)
    if alone.outcome != "fail":
        return None
    reason = (
        f"{exact_copies} of {samples} samples equal training images byte for byte, copies under any rule; "
    )
    return alone.model_copy(update={"reason": reason + alone.reason[0].lower() + alone.reason[1:]})


def _chance(condition: Condition, findings: Findings, power: Power) -> str | None:
    """What forbids a fail: as many samples could be called memorized by chance."""
    if condition.name != "memorized" or condition.sign not in (">", ">=") or findings.counts is None:
        return None
    if not power.could_be_chance(findings.counts[0]):
        return None
    told = false_alarms(findings.counts[0], power) or ""
    return told[:1].lower() + told[1:].rstrip(".")


def _doubts(condition: Condition, findings: Findings, warnings: Sequence[Overlap]) -> Iterator[str]:
    by_null = condition.name == "closer_to_train"
    copies = findings.controls.noisy_copies if findings.controls else None
    if not by_null and copies is not None and copies.value < BROKEN:
        yield f"the threshold misses copies: of known ones {copies.value:.0%} are called memorized"
    by_holdout = findings.thresholds is not None and findings.thresholds.rule.startswith("holdout")
    touching = [
        *ALWAYS,
        *(["holdout_in_train"] if by_null else []),
        *(["holdout_near_train"] if by_null or by_holdout else []),
    ]
    count = sum(warning.kind in touching for warning in warnings)
    if count:
        yield "a warning about the sets forbids it" if count == 1 else "warnings about the sets forbid it"

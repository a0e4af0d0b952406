"""The verdict of an audit: the gate's decision, unless something forbids to believe it.

- A would-be pass is inconclusive if the instrument or the sets are not to be trusted: the threshold misses
  copies that are known to be copies, or a warning about the sets touches what was asked for.
- A would-be fail on the share of memorized samples is inconclusive if as many could be false positives of the
  threshold (`spurion.phases.power`): an honest model must not fail for the share that the rule allows.
- Samples that are byte for byte training images are copies under any rule. They can fail an audit alone, even
  where no threshold could be identified; unless held-out images are equal to training images as often, as
  images of few pixels and levels are.
"""

__all__ = ["doubts", "false_alarms", "verdict"]

from collections.abc import Iterator, Sequence

from spurion.phases.gate import Condition, Verdict, decide
from spurion.phases.intervals import Interval, proportion
from spurion.phases.power import Power
from spurion.studies.auditing.limitations import BROKEN
from spurion.studies.auditing.request import ASKED
from spurion.studies.overlap import Overlap
from spurion.studies.results import Findings

ALWAYS = (
    "samples_are_train",
    "samples_in_holdout",
    "swapped_holdout",
    "swapped_samples",
    "unread_files",
    "rotated_train",
    "other_range",
)
"""Warnings that touch every answer."""


def false_alarms(memorized: int, exact_copies: int, power: Power) -> str | None:
    """How many of the samples called memorized the threshold may be wrong about; None if none is known of.

    Arguments:
        memorized: The samples called memorized.
        exact_copies: Those among them that are byte for byte training images, which are no false alarms.
        power: What chance does.
    """
    near = memorized - exact_copies
    if power.false_positive_rate is None or near <= 0:
        return None
    rule = f"The threshold calls up to {100 * power.false_positive_rate:g}% of new images memorized"
    if not power.could_be_chance(near):
        expected = min(near, max(1, round(power.false_positive_rate * power.samples)))
        return f"{rule}, so some {expected:,} may be false alarms."
    if power.count_needed is None:
        return f"{rule}; among so few samples that may be all of them."
    besides = " besides equal images" if exact_copies else ""
    return f"{rule}; fewer than {power.count_needed:,}{besides} are no more than chance."


def doubts(share: str, findings: Findings, warnings: Sequence[Overlap]) -> tuple[str, ...]:
    """What forbids to believe that a share is low, in words; nothing if nothing does.

    Arguments:
        share: Which share, a name in `ASKED`.
        findings: What the samples are.
        warnings: What is wrong with the sets.
    """
    return tuple(_doubts(share, findings, warnings))


def verdict(
    condition: Condition,
    findings: Findings,
    power: Power,
    warnings: Sequence[Overlap],
    *,
    exact_copies: int,
    held_out: int,
) -> Verdict:
    """Decide a condition; see the module.

    Arguments:
        condition: What was asked.
        findings: What the samples are.
        power: What their number could have missed, and how many false positives to expect.
        warnings: What is wrong with the sets.
        exact_copies: How many samples are byte for byte training images.
        held_out: How many held-out images were given.
    """
    shares: dict[str, Interval | None] = {name: getattr(findings.fractions, name, None) for name in ASKED[:3]}
    shares["closer_to_train"] = findings.null.share_closer_to_train if findings.null else None
    found = decide(condition, shares, power.samples)
    if found.outcome == "pass" and (against := doubts(condition.name, findings, warnings)):
        return _doubted(found, f"it would pass, but {'; '.join(against)}")
    if condition.name != "memorized" or condition.sign not in (">", ">="):
        return found
    if natural := _natural(exact_copies, power.samples, warnings, held_out):
        fails = found.outcome == "fail" and not _others_fail(condition, findings, exact_copies, power)
        return _doubted(found, f"but {natural}") if fails else found
    if copied := _by_exact_copies(condition, exact_copies, power.samples):
        return found if found.outcome == "fail" else copied
    if found.outcome == "fail" and (chance := _chance(findings, exact_copies, power)):
        return _doubted(found, f"but {chance}")
    return found


def _doubted(found: Verdict, doubt: str) -> Verdict:
    reason = f"{found.reason.rstrip('.')}; {doubt}."
    return found.model_copy(update={"outcome": "inconclusive", "reason": reason})


def _natural(exact_copies: int, samples: int, warnings: Sequence[Overlap], held_out: int) -> str | None:
    """Why samples that equal training images are no copies here, if they are not."""
    equal = sum(len(warning.images) for warning in warnings if warning.kind == "holdout_in_train")
    if not exact_copies or not equal:
        return None
    if proportion(exact_copies, samples).low > proportion(equal, held_out).high:
        return None
    return f"{equal} of {held_out} held-out images equal training images, no fewer than samples do"


def _others_fail(condition: Condition, findings: Findings, exact_copies: int, power: Power) -> bool:
    """Whether the samples called memorized suffice to fail without those that equal training images."""
    near = 0 if findings.counts is None else findings.counts[0] - exact_copies
    alone = decide(condition, {"memorized": proportion(near, power.samples)}, power.samples)
    return alone.outcome == "fail" and not power.could_be_chance(near)


def _by_exact_copies(condition: Condition, exact_copies: int, samples: int) -> Verdict | None:
    """The verdict if they suffice to fail."""
    if not exact_copies:
        return None
    alone = decide(condition, {"memorized": proportion(exact_copies, samples)}, samples)
    if alone.outcome != "fail":
        return None
    reason = (
        f"{exact_copies} of {samples} samples equal training images byte for byte, copies under any rule; "
    )
    return alone.model_copy(update={"reason": reason + alone.reason[0].lower() + alone.reason[1:]})


def _chance(findings: Findings, exact_copies: int, power: Power) -> str | None:
    """What forbids a fail: as many samples could be called memorized by chance."""
    if findings.counts is None or not power.could_be_chance(findings.counts[0] - exact_copies):
        return None
    told = false_alarms(findings.counts[0], exact_copies, power)
    return None if told is None else told[:1].lower() + told[1:].rstrip(".")


def _doubts(share: str, findings: Findings, warnings: Sequence[Overlap]) -> Iterator[str]:
    by_null = share == "closer_to_train"
    copies = findings.controls.noisy_copies if findings.controls else None
    if not by_null and copies is not None and copies.value < BROKEN:
        yield f"the threshold misses copies: of known ones {copies.value:.0%} are called memorized"
    by_holdout = findings.thresholds is not None and findings.thresholds.rule.startswith("holdout")
    touching = [
        *ALWAYS,
        *(["holdout_in_train"] if by_null else []),
        *(["holdout_near_train"] if by_null or by_holdout else []),
    ]
    if any(warning.kind in touching for warning in warnings):
        yield "the sets are in doubt (see the warnings)"

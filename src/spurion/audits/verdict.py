"""The verdict of an audit: the gate's decision, unless a claim forbids it.

An answer claims something of the share of copies: that it is low, as a pass of ``memorized > 0.02`` does,
that it is high, as a fail does, or nothing (`_concluded`). A would-be answer that a claim forbids is
inconclusive, and its reason says why.

Samples that are byte for byte training images are copies under any rule. They can fail an audit alone, even
where no threshold could be identified; unless held-out images are equal to training images as often.
"""

__all__ = ["verdict"]

from collections.abc import Iterator

from spurion.audits.claims import Asked, Claim, Conclusion, against, of_kind
from spurion.audits.results import AuditResult
from spurion.phases.gate import Condition, Verdict, decide
from spurion.statistics.intervals import Interval, proportion


def verdict(condition: Condition, audit: AuditResult) -> Verdict:
    """Decide a condition by the shares and claims of an audit; see the module."""
    found = decide(condition, audit.shares, audit.power.samples)
    if copied := _by_exact_copies(condition, audit):
        return found if found.outcome == "fail" else copied
    told = [claim.sentence for claim in _forbidding(condition, audit, found)]
    if not told:
        return found
    would = "It would pass, but:" if found.outcome == "pass" else "But:"
    reason = f"{found.reason} {would} {' '.join(told)}"
    return found.model_copy(update={"outcome": "inconclusive", "reason": reason})


def _forbidding(condition: Condition, audit: AuditResult, found: Verdict) -> Iterator[Claim]:
    """The claims that forbid an answer."""
    if found.outcome == "inconclusive":
        return
    concluded = _concluded(condition, found.outcome == "pass")
    for claim in against(audit.claims, _name(condition), concluded, _limit(condition)):
        doubtful = claim.number("doubtful")
        if doubtful is None or _hangs_on(int(doubtful), audit, condition):
            yield claim


def _name(condition: Condition) -> Asked:
    name: Asked = condition.name  # type: ignore[assignment]
    return name


def _concluded(condition: Condition, passes: bool) -> list[Conclusion]:
    """What an answer concludes: that it passes, and of copies that they are few, many, or nothing."""
    concluded: list[Conclusion] = ["pass"] if passes else []
    if condition.name == "spurious":
        return concluded
    low = passes == (condition.sign in (">", ">="))  # the share is said to be low
    return [*concluded, "few" if low == (condition.name != "generalized") else "many"]


def _limit(condition: Condition) -> float:
    """The rate of copies up to which there are few, and above which there are many."""
    limits = {"generalized": 1 - condition.bound, "closer_to_train": 2 * condition.bound - 1}
    return max(0.0, limits.get(condition.name, condition.bound))


def _hangs_on(count: int, audit: AuditResult, condition: Condition) -> bool:
    """Whether the answer would be another one if so many memorized samples were no copies."""
    memorized, _, generalized = audit.counts or (audit.memorized, 0, 0)
    samples, given = audit.power.samples, audit.shares
    without: dict[str, Interval | None] = {
        **given,
        "memorized": proportion(memorized - count, samples),
        "generalized": proportion(generalized + count, samples),
    }
    before, after = (decide(condition, shares, samples).outcome for shares in (given, without))
    return before != after


def _by_exact_copies(condition: Condition, audit: AuditResult) -> Verdict | None:
    """The verdict if samples that equal training images suffice to fail."""
    exact, samples = len(audit.exact_copies), audit.power.samples
    if condition.name != "memorized" or condition.sign not in (">", ">=") or not exact:
        return None
    if of_kind(audit.claims, "equal_by_nature"):
        return None
    alone = decide(condition, {"memorized": proportion(exact, samples)}, samples)
    if alone.outcome != "fail":
        return None
    reason = f"{exact} of {samples} samples equal training images byte for byte, copies under any rule; "
    return alone.model_copy(update={"reason": reason + alone.reason[0].lower() + alone.reason[1:]})

"""Every judgment of an audit, by name.

A check looks at the findings once and yields claims (`spurion.audits.claims`); it sees those of the checks
before it. A new check is one file with a function, and one line here, or from outside the package
``CHECKS["mine"] = check``: its claims are stored, shown and weighed by the gate like all others.
"""

__all__ = ["ANSWERS", "CHECKS", "Check", "checked"]

from collections.abc import Callable, Iterable, Mapping
from typing import get_args

from spurion.audits.checks.answers import copied_images, copies, excess_risk, traces
from spurion.audits.checks.chance import (
    beyond_others,
    equal_by_nature,
    false_alarms,
    less_contrast,
    separated,
)
from spurion.audits.checks.flows import flow
from spurion.audits.checks.instrument import missed_copies, thresholds, unseen_transforms
from spurion.audits.checks.leak import still_leaking
from spurion.audits.checks.nearness import signs
from spurion.audits.checks.not_shown import limits
from spurion.audits.checks.reality import (
    dense_group,
    jitter,
    near_copies,
    no_law,
    unstable_dimension,
    wide_repetitions,
)
from spurion.audits.checks.rights import credit
from spurion.audits.claims import Claim, in_order, of_kind
from spurion.audits.overlap import Kind
from spurion.audits.results import AuditResult

Check = Callable[[AuditResult], Iterable[Claim]]
"""What looks at an audit, with the claims that were made before, and yields more."""

CHECKS: dict[str, Check] = {
    "limits": limits,
    "missed copies": missed_copies,
    "unseen transforms": unseen_transforms,
    "signs": signs,
    "false alarms": false_alarms,
    "separation": separated,
    "less contrast": less_contrast,
    "equal by nature": equal_by_nature,
    "beyond others": beyond_others,
    "thresholds": thresholds,
    "near copies": near_copies,
    "law of distances": no_law,
    "dimension": unstable_dimension,
    "dense group": dense_group,
    "wide repetitions": wide_repetitions,
    "jitter": jitter,
    "leak": still_leaking,
    "flow": flow,
    "credit": credit,
}
"""The checks of the evidence."""

ANSWERS: Mapping[str, Check] = {
    "copies": copies,
    "copied images": copied_images,
    "excess risk": excess_risk,
    "traces": traces,
}
"""What an audit answers, worded by the claims of all checks."""


def checked(audit: AuditResult) -> AuditResult:
    """An audit with all claims in order; those of its sets stay, all others are made anew.

    Arguments:
        audit: What was found.
    """
    kept = of_kind(audit.claims, *get_args(Kind))
    audit = audit.model_copy(update={"claims": tuple(kept)})
    for check in (*CHECKS.values(), *ANSWERS.values()):
        audit = audit.model_copy(update={"claims": (*audit.claims, *check(audit))})
    return audit.model_copy(update={"claims": in_order(audit.claims)})

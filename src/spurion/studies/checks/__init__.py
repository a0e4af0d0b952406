"""Every judgment of a study over its training sizes, by name; see `spurion.audits.checks` for that of each.

A new check is one file with a function, and one line here.
"""

__all__ = ["STUDY_CHECKS", "StudyCheck", "checked"]

from collections.abc import Callable, Iterable

from spurion.audits.claims import Claim, in_order
from spurion.studies.checks.answers import foremost, generalization, memorization, peak
from spurion.studies.checks.basins import landscape
from spurion.studies.checks.flow import flow_limits, recall, where_samples_flow
from spurion.studies.checks.not_shown import capacity_notes, failures, limits, of_points, sample_sizes
from spurion.studies.checks.rights import credit
from spurion.studies.checks.rule import by_alpha, leak
from spurion.studies.results import StudyResult

StudyCheck = Callable[[StudyResult], Iterable[Claim]]
"""What looks at a study, with the claims that were made before, and yields more."""

STUDY_CHECKS: dict[str, StudyCheck] = {
    "failures": failures,
    "memorization": memorization,
    "spurious peak": peak,
    "generalization": generalization,
    "leak": leak,
    "landscape": landscape,
    "recall": recall,
    "flow": where_samples_flow,
    "points": of_points,
    "foremost": foremost,
    "capacities": capacity_notes,
    "by alpha": by_alpha,
    "sample sizes": sample_sizes,
    "limits": limits,
    "flow limits": flow_limits,
    "credit": credit,
}
"""The checks, in the order of what they say."""


def checked(study: StudyResult) -> StudyResult:
    """A study with all claims; those that it has are made anew.

    Arguments:
        study: What was found.
    """
    study = study.model_copy(update={"claims": ()})
    for check in STUDY_CHECKS.values():
        study = study.model_copy(update={"claims": (*study.claims, *check(study))})
    return study.model_copy(update={"claims": in_order(study.claims)})

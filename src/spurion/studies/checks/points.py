"""What is read off the points of a study, for checks and figures to agree on."""

__all__ = ["classified", "in_sizes", "leak", "peak_point", "share"]

from collections.abc import Iterable, Mapping

from spurion.audits.claims import of_kind
from spurion.audits.results import AuditResult
from spurion.statistics.intervals import Interval
from spurion.statistics.numbers import listed, size
from spurion.studies.results import StudyResult

MOSTLY = 0.9
"""A training size with this share of generalized samples is called generalizing."""


def classified(study: StudyResult) -> dict[int, AuditResult]:
    """The audits whose samples have a class, by training size."""
    return {k: audit for k, audit in study.audits.items() if audit.fractions is not None}


def share(audit: AuditResult, name: str) -> Interval:
    """The fraction of one class where samples have one."""
    interval: Interval = getattr(audit.fractions, name)
    return interval


def peak_point(audits: Mapping[int, AuditResult]) -> int:
    """The training size with the largest spurious share; the first of equals."""
    return max(audits, key=lambda k: share(audits[k], "spurious").value)


def leak(study: StudyResult) -> int | None:
    """The first generalizing training size whose samples still bear traces of the training set."""
    for k, audit in classified(study).items():
        if share(audit, "generalized").value >= MOSTLY and of_kind(audit.claims, "traces"):
            return k
    return None


def in_sizes(sizes: Iterable[int]) -> str:
    """Training sizes, as a sentence names them: "K = 8 and 16"."""
    return f"K = {listed([size(k) for k in sizes])}"

"""Whose images a study stands on."""

__all__ = ["credit"]

from collections.abc import Iterator

from spurion.audits.checks.rights import credits
from spurion.audits.claims import Claim
from spurion.studies.results import StudyResult


def credit(study: StudyResult) -> Iterator[Claim]:
    """Who made the images of a study, and their license."""
    yield from credits((study.train, study.holdout))

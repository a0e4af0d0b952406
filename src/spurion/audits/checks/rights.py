"""Whose images a result stands on, and pictures: said once, on every page and terminal."""

__all__ = ["credit", "credits"]

from collections.abc import Iterable, Iterator

from spurion.audits.claims import Claim
from spurion.audits.findings import SourceInfo
from spurion.audits.results import AuditResult


def credit(audit: AuditResult) -> Iterator[Claim]:
    """Who made the images of an audit, and their license; nothing where names are left out."""
    yield from credits((audit.inputs.train, audit.inputs.samples, audit.inputs.holdout))


def credits(sources: Iterable[SourceInfo | None]) -> Iterator[Claim]:
    """Who made the images of some sets, each once, under the name of the first set that holds such.

    Arguments:
        sources: What there is to say of the sets; None for one that there is not.
    """
    told = []
    for source in sources:
        if source is not None and source.rights is not None and source.rights not in told:
            told.append(source.rights)
            yield Claim(kind="credit", severity="credit", sentence=source.rights.sentence(source.name))

"""Claims: everything that an audit or a study says of its numbers, made once and stored.

A claim is made by a check (`spurion.audits.checks`), which looks at the findings once. Terminal, page, gate
and `PhaseMetric` read claims; none of them judges anew, so that all say the same.
"""

__all__ = ["Asked", "Claim", "Conclusion", "Severity", "against", "in_order", "of_kind", "sentences"]

from collections.abc import Iterable, Iterator
from typing import Literal, get_args

from pydantic import Field

from spurion.core.config import Config
from spurion.core.quantities import Count, Number

Asked = Literal["memorized", "spurious", "generalized", "closer_to_train"]
"""The shares that a gate may ask for, and that a claim may touch."""

Severity = Literal["answer", "doubt", "warning", "limit", "note", "credit"]

Conclusion = Literal["pass", "few", "many"]
"""What a claim may forbid: that an audit passes, and that few or that many of the samples are copies."""


class Claim(Config):
    """One thing that is said.

    These numbers say how far a claim reaches that forbids a conclusion; without them it forbids every one:

    - ``copy_rate``: that few samples are copies is forbidden only if "few" is a smaller share than this.
    - ``surely``: that many are is forbidden only if "many" is at least this share.
    - ``doubtful``: that many are is forbidden only if the answer would be another one, were so many of the
      memorized samples no copies.
    """

    kind: str = Field(description="What it is about; the check that made it, or what that found.")
    severity: Severity = Field(
        description="answer: what was found; doubt: what speaks against it; warning: what is wrong with the "
        "sets; limit: what cannot be concluded; note: worth knowing; credit: whose images these are."
    )
    sentence: str = Field(description="What is said, wherever it is shown.")
    title: str = Field(
        "", description="For a limit: what must not be concluded, of which this is the reason."
    )
    numbers: dict[str, int | Number | tuple[Count, ...]] = Field({}, description="The numbers it stands on.")
    touches: tuple[Asked, ...] = Field((), description="The shares that it bears on.")
    forbids: tuple[Conclusion, ...] = Field((), description="The conclusions that it forbids about them.")

    def number(self, name: str) -> float | None:
        """One of its numbers; None if it has none of this name."""
        found = self.numbers.get(name)
        return None if found is None or isinstance(found, tuple) else float(found)


def in_order(claims: Iterable[Claim]) -> tuple[Claim, ...]:
    """Claims as they are read: answers, doubts, warnings, limits, notes, credits."""
    return tuple(sorted(claims, key=lambda claim: get_args(Severity).index(claim.severity)))


def of_kind(claims: Iterable[Claim], *kinds: str) -> list[Claim]:
    """The claims of some kinds."""
    return [claim for claim in claims if claim.kind in kinds]


def sentences(claims: Iterable[Claim], *severities: Severity) -> list[str]:
    """What claims of some severities say."""
    return [claim.sentence for claim in claims if claim.severity in severities]


def against(
    claims: Iterable[Claim], name: Asked, conclusions: Iterable[Conclusion], limit: float
) -> Iterator[Claim]:
    """The claims that forbid a conclusion about a share, those that hang on ``doubtful`` samples too.

    Arguments:
        claims: The claims.
        name: The share.
        conclusions: What is concluded.
        limit: The rate of copies below which there are few, and above which there are many.
    """
    for claim in claims:
        forbidden = set(claim.forbids) & set(conclusions)
        if name not in claim.touches or not forbidden:
            continue
        rate, surely = claim.number("copy_rate"), claim.number("surely")
        if (rate is None or rate > limit) and (surely is None or surely <= limit):
            yield claim

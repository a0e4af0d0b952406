"""Signs of copying that need no threshold; see `spurion.phases.signs`."""

__all__ = ["signs"]

from collections.abc import Iterator

from spurion.audits.claims import Claim
from spurion.audits.results import AuditResult
from spurion.phases.signs import LEVEL


def signs(audit: AuditResult) -> Iterator[Claim]:
    """Those that speak: more samples than chance allows are nearer to training images than others are.

    It is a doubt where more copies would explain the sign than the interval of the memorized share allows.
    """
    found = audit.fractions.memorized.high if audit.fractions else 0.0
    for sign in audit.signs:
        if sign.p_value < LEVEL and sign.copy_rate > 0:
            yield Claim(
                kind=f"sign_{sign.name}",
                severity="doubt" if sign.copy_rate > found else "note",
                sentence=f"{sign.sentence[:1].upper()}{sign.sentence[1:]}.",
                numbers={"p_value": sign.p_value, "copy_rate": sign.copy_rate},
                touches=("memorized", "generalized", "closer_to_train"),
                forbids=("few",),
            )

"""Whether the threshold sees copies: known ones, and transformed ones."""

__all__ = ["missed_copies", "thresholds", "unseen_transforms"]

from collections.abc import Iterator

from spurion.audits.claims import Claim
from spurion.audits.results import AuditResult
from spurion.data.transforms import TRANSFORMS
from spurion.statistics.numbers import percent

BROKEN = 0.99
"""A smaller share of found control copies means that the threshold misses copies."""

ACCUSED = 0.05
"""If certainly more held-out images are called memorized, near is not the same as copied."""

SEEN = 0.9
"""A smaller share of found transformed copies of a kind means that such copies are missed."""


def missed_copies(audit: AuditResult) -> Iterator[Claim]:
    """The controls: known copies must be called memorized, held-out images must not."""
    controls = audit.controls
    found = controls.noisy_copies if controls else None
    if found is not None and found.value < BROKEN:
        yield Claim(
            kind="missed_copies",
            severity="doubt",
            sentence="The threshold misses copies: of training images with a whisper of noise "
            f"{percent(found.value)} are called memorized, where all must be.",
            numbers={"found": found.value},
            touches=("memorized", "spurious", "generalized"),
            forbids=("pass", "few"),
        )
    accused = controls.held_out if controls else None
    if accused is not None and accused.low > ACCUSED:
        yield Claim(
            kind="accused_held_out",
            severity="limit",
            title="That memorized means copied",
            sentence=f"Of held-out images, which the model never saw, {percent(accused.value)} are called "
            "memorized: the training set is so dense that near is not the same as copied.",
            numbers={"accused": accused.value},
            touches=("memorized",),
        )


def unseen_transforms(audit: AuditResult) -> Iterator[Claim]:
    """Which transformed copies the threshold would miss, by the control of transformed training images."""
    shares = audit.controls.transformed if audit.controls else {}
    missed = [name for name, share in shares.items() if share.value < SEEN]
    if not missed:
        return
    kinds = ", ".join(f"{TRANSFORMS[name].words} {shares[name].value:.0%}" for name in missed)
    add = "" if set(missed) <= set(audit.transforms) else "`--transforms all`, or "
    yield Claim(
        kind="unseen_transforms",
        severity="doubt",
        sentence=f"Transformed copies of training images would be missed (called memorized: {kinds}); add "
        f"{add}a `--distance` that sees them.",
        numbers={name: shares[name].value for name in missed},
        touches=("memorized", "generalized", "closer_to_train"),
        forbids=("few",),
    )


def thresholds(audit: AuditResult) -> Iterator[Claim]:
    """What the thresholds leave open."""
    found = audit.thresholds
    if found is None or found.memorized is None:
        yield Claim(
            kind="no_threshold",
            severity="limit",
            title="Anything about the classes",
            sentence="The threshold of memorization is not identifiable from these data, so no sample is "
            "called memorized or new.",
            touches=("memorized", "spurious", "generalized"),
        )
    elif not found.identifiable.spurious:
        yield Claim(
            kind="no_spurious_threshold",
            severity="limit",
            title="Where spurious ends, as a fact of the data",
            sentence="The distances between samples that are not memorized show no gap that would fix the "
            "boundary between spurious and generalized; the one used is a convention.",
            touches=("spurious", "generalized"),
        )

"""What cannot be concluded from an examination of prompts; each is a check as in `spurion.prompts.claims`."""

__all__ = ["few_negatives", "few_seeds", "no_ground", "no_labels", "other_images"]

from collections.abc import Iterator

from spurion.audits.claims import Claim
from spurion.prompts.found import Found
from spurion.statistics.numbers import size

RESOLVED = 100
"""Groups of negatives that a false positive rate of 1 % needs: one of them is above the threshold."""


def no_labels(found: Found) -> Iterator[Claim]:
    """Whether anything is known of the prompts."""
    if any(one.label == "memorized" for one in found.prompts) and found.labeled("generalized"):
        return
    yield Claim(
        kind="no_labels",
        severity="limit",
        title="Which of these prompts are memorized",
        sentence="A rank says what to look at first. Without prompts labeled memorized and generalized there "
        "is no threshold, and no error rate.",
    )


def few_negatives(found: Found) -> Iterator[Claim]:
    """Whether a false positive rate of 1 % can be told at all."""
    ours = [c for c in found.comparisons if c.sensitivity is not None]
    groups = min((c.groups[1] for c in ours), default=RESOLVED)
    if groups < RESOLVED:
        yield Claim(
            kind="few_negatives",
            severity="limit",
            title="How many false alarms there are at 1%",
            sentence=f"The generalized prompts are {size(groups)} independent "
            f"{'group' if groups == 1 else 'groups'}; fewer than {RESOLVED} cannot tell 1% from none.",
            numbers={"groups": groups},
        )


def no_ground(found: Found) -> Iterator[Claim]:
    """Whether anything says which samples are copies."""
    if found.thresholds is not None and found.thresholds.memorized is not None:
        return
    reason = " ".join(found.thresholds.notes) if found.thresholds else "no training images are known"
    yield Claim(
        kind="no_ground",
        severity="limit",
        title="Which samples are copies",
        sentence=f"There is no threshold for it: {reason.rstrip('.')}.",
    )


def few_seeds(found: Found) -> Iterator[Claim]:
    """What few seeds can say."""
    if found.seeds < 4:
        yield Claim(
            kind="few_seeds",
            severity="limit",
            title="What a prompt does for other seeds",
            sentence=f"Each prompt was tried with {found.seeds} initial "
            f"{'noise' if found.seeds == 1 else 'noises'}; four say more.",
            numbers={"seeds": found.seeds},
        )


def other_images(found: Found) -> Iterator[Claim]:
    """What is never looked at."""
    yield Claim(
        kind="other_images",
        severity="limit",
        title="That a prompt that ranks low copies nothing",
        sentence="Detectors read how strongly a prompt binds the model. Images copied in part, in other "
        "words or from no prompt of this list are not looked for.",
    )

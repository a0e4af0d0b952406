"""Whether samples that are called generalized still bear, all together, the mark of the training set."""

__all__ = ["still_leaking"]

from collections.abc import Iterator

from spurion.audits.claims import Claim
from spurion.audits.results import AuditResult
from spurion.statistics.intervals import Interval
from spurion.statistics.numbers import percent, percent_interval


def still_leaking(audit: AuditResult) -> Iterator[Claim]:
    """Where more than half of the samples surely lie closer to the training set than to a held-out one.

    Then samples that are called generalized are no closer to a training image than chance allows, one by one,
    and yet all together are: they carry over what no held-out image has.
    """
    share = None if audit.null is None else audit.null.share_closer_to_train
    generalized = None if audit.fractions is None else audit.fractions.generalized
    if share is None or generalized is None or share.low <= 0.5 or not generalized.value:
        return
    excess = Interval(value=2 * share.value - 1, low=2 * share.low - 1, high=2 * share.high - 1)
    yield Claim(
        kind="still_leaking",
        severity="doubt",
        sentence=f"Still leaking: the {percent(generalized.value)} of the samples called generalized are, "
        "one by "
        "one, no closer to a training image than chance allows, but of all samples "
        f"{percent_interval(share)} lie closer to the training set than to as many held-out images, a leak "
        f"excess of {percent(excess.value)}.",
        numbers={"leak_excess": excess.value, "low": excess.low, "high": excess.high},
        touches=("generalized", "closer_to_train"),
    )

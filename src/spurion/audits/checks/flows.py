"""Where the samples of a model that was given flow, and which training images it recalls."""

__all__ = ["flow", "setting"]

from collections.abc import Iterator

from spurion.audits.claims import Claim
from spurion.audits.results import AuditResult
from spurion.geometry.groups.flow import SampleFlow
from spurion.statistics.numbers import percent_interval, size, value


def setting(found: SampleFlow) -> str:
    """The noise and number of steps, as a sentence names them."""
    return f"noise {value(found.noise, 2)}, {size(found.steps)} steps"


def flow(audit: AuditResult) -> Iterator[Claim]:
    """The shares of samples that flow into a training image and of training images that stay, with the time.

    It makes no class: with more steps other states may meet.
    """
    found = audit.flow
    if found is None or found.into_training is None or found.recall is None:
        return
    basins = f"; {size(found.basins)} other states hold several of them" if found.basins else ""
    yield Claim(
        kind="sample_flow",
        severity="note",
        sentence=f"Denoised again and again ({setting(found)}), {percent_interval(found.into_training)} of "
        "the "
        f"samples flow into a training image{basins}, and {percent_interval(found.recall)} of the training "
        "images "
        "stay where they are.",
        numbers={
            "into_training": found.into_training.value,
            "recall": found.recall.value,
            "basins": found.basins,
        },
    )

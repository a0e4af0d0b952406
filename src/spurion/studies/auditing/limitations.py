"""What an audit cannot conclude, in sentences made from its numbers."""

__all__ = ["PROMISE", "limitations"]

from collections.abc import Iterator

from spurion.phases.power import Power
from spurion.studies.results import Findings

PROMISE = "This is evidence about the copies these samples show, not proof of their absence."
"""The sentence that every audit carries."""

BROKEN = 0.99
"""A smaller share of found control copies means that the threshold misses copies."""


def limitations(found: Findings, power: Power, *, held_out: bool, model: bool) -> tuple[str, ...]:
    """What cannot be concluded.

    Arguments:
        found: What the samples are.
        power: What their number could have missed.
        held_out: Whether there were held-out images.
        model: Whether the samples were drawn from a model by the audit itself.
    """
    return tuple(_sentences(found, power, held_out, model))


def _sentences(found: Findings, power: Power, held_out: bool, model: bool) -> Iterator[str]:
    yield PROMISE
    yield (
        f"A model that copies in less than {_percent(power.seen_rate)} of its samples may well show no copy "
        f"among {power.samples:,}."
    )
    if power.detectable_excess is not None:
        yield (
            f"The threshold calls some honest samples memorized, so a copy rate below "
            f"{_percent(power.detectable_excess)} may not stand out from chance."
        )
    yield from _of_thresholds(found, held_out)
    yield (
        "A shifted, cropped or recolored training image is far away by pixel distance and counts as new."
        if found.distance.weights is None
        else "A copy that the vectors behind the distance do not see as alike counts as new."
    )
    if not model:
        yield (
            "How the samples were drawn is not known here: prompts, samplers and numbers of steps change the "
            "share of copies, and so does choosing among samples."
        )
    yield "The spurious share grows with the number of samples; compare it at equal numbers only."
    yield "Intervals cover the chance of drawing these samples, not that of training the model again."


def _of_thresholds(found: Findings, held_out: bool) -> Iterator[str]:
    thresholds = found.thresholds
    if thresholds is None or thresholds.memorized is None:
        yield (
            "The threshold of memorization is not identifiable from these data, so no sample is called "
            "memorized or new."
        )
    elif not thresholds.identifiable.spurious:
        yield "The data show no boundary between spurious and generalized; the one used is a convention."
    if not held_out:
        yield (
            "Without held-out images nothing says how near a new image of this kind comes to the training "
            "set by chance."
        )
    copies = found.controls.noisy_copies if found.controls else None
    if copies is not None and copies.value < BROKEN:
        yield (
            f"A control failed: only {_percent(copies.value)} of training images with a whisper of noise are "
            f"called memorized, so the threshold misses copies."
        )


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%"

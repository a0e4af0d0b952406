"""What an audit cannot conclude, in sentences made from its numbers."""

__all__ = ["BROKEN", "PROMISE", "SEEN", "limitations", "unseen_transforms"]

from collections.abc import Iterator, Sequence

from spurion.audits.findings import Findings
from spurion.data.transforms import TRANSFORMS
from spurion.phases.detection import Power

PROMISE = "This is evidence about the copies these samples show, not proof of their absence."
"""The sentence that every audit carries."""

BROKEN = 0.99
"""A smaller share of found control copies means that the threshold misses copies."""

SEEN = 0.9
"""A smaller share of found transformed copies of a kind means that such copies are missed."""


def limitations(
    found: Findings, power: Power, *, held_out: bool, model: bool, transforms: Sequence[str] = ()
) -> tuple[str, ...]:
    """What cannot be concluded.

    Arguments:
        found: What the samples are.
        power: What their number could have missed.
        held_out: Whether there were held-out images.
        model: Whether the samples were drawn from a model by the audit itself.
        transforms: The transforms of training images that were looked at too.
    """
    return tuple(_sentences(found, power, held_out, model, transforms))


def unseen_transforms(found: Findings, covered: Sequence[str] = ()) -> str | None:
    """Which transformed copies would be missed, in a clause without a full stop; None if none.

    Arguments:
        found: What the samples are.
        covered: The transforms of training images that were looked at.
    """
    shares = found.controls.transformed if found.controls else {}
    missed = [name for name, share in shares.items() if share.value < SEEN]
    if not missed:
        return None
    kinds = ", ".join(f"{TRANSFORMS[name].words} {shares[name].value:.0%}" for name in missed)
    add = "" if set(missed) <= set(covered) else "`--transforms all`, or "
    return (
        f"transformed copies of training images would be missed (called memorized: {kinds}); add {add}a "
        "`--distance` that sees them"
    )


def _sentences(
    found: Findings, power: Power, held_out: bool, model: bool, transforms: Sequence[str]
) -> Iterator[str]:
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
    yield _of_distance(found, transforms)
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


def _of_distance(found: Findings, transforms: Sequence[str]) -> str:
    if transforms:
        return "A training image changed in two ways, recolored or turned by an angle may count as new."
    if found.distance.weights is None:
        return "A shifted, cropped or recolored training image is far away by pixels and counts as new."
    return "A copy that the vectors behind the distance do not see as alike counts as new."


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%"

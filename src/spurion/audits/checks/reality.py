"""What is odd about the real images that thresholds hang on, and how far these reach."""

__all__ = ["dense_group", "jitter", "near_copies", "no_law", "unstable_dimension", "wide_repetitions"]

from collections.abc import Iterator

from spurion.audits.claims import Asked, Claim, Conclusion, of_kind
from spurion.audits.results import AuditResult
from spurion.statistics.numbers import p_words, percent, size, value

CLASSES: tuple[Asked, ...] = ("memorized", "spurious", "generalized")
"""The shares that hang on the thresholds."""

LEVEL = 0.01
"""A smaller p-value is no chance."""

MOVED = 1.15
"""A factor by which thresholds may be off before it is said."""

WIDE = 0.15
"""The part of samples that come nearer to each other than real images, beyond the spurious ones."""

FEW = 100
"""Fewer samples that are not memorized do not tell."""


def near_copies(audit: AuditResult) -> Iterator[Claim]:
    """Near copies among the real images: they pull thresholds below what a copy may differ by."""
    real, thresholds = audit.real, audit.thresholds
    if real is None or thresholds is None or real.near_copies_p_value > LEVEL:
        return
    alpha = thresholds.alpha or 0.0
    forbids: tuple[Conclusion, ...] = ("pass", "few") if real.near_copies > alpha * real.images else ()
    end = ": these set the threshold, and copies that differ by more are missed" if forbids else ""
    yield Claim(
        kind="near_copies",
        severity="warning",
        sentence=f"Of the {size(real.images)} {_images(audit)} that set the thresholds, "
        f"{size(real.near_copies)} {'is a' if real.near_copies == 1 else 'are'} near "
        f"{'copy' if real.near_copies == 1 else 'copies'} of another one, more than chance allows{end}.",
        numbers={"near_copies": real.near_copies, "p_value": real.near_copies_p_value},
        touches=("memorized", "spurious"),
        forbids=forbids,
    )


def no_law(audit: AuditResult) -> Iterator[Claim]:
    """Where real images do not follow the law of distances, and thresholds are taken from what they show."""
    fit = None if audit.thresholds is None else audit.thresholds.null
    if fit is None or all(fit.lawful):
        return
    which = [name for name, lawful in zip(("memorized", "spurious"), fit.lawful, strict=True) if not lawful]
    yield Claim(
        kind="no_law",
        severity="warning",
        sentence=f"The {_images(audit)} do not follow the law of distances by which thresholds are carried "
        "on "
        f"to rare distances, so the {' and '.join(which)} threshold{'s are' if len(which) > 1 else ' is'} "
        "read "
        f"off the few nearest of {size(fit.images)} images, and rest{'' if len(which) > 1 else 's'} on "
        "chance.",
        touches=CLASSES,
    )


def unstable_dimension(audit: AuditResult) -> Iterator[Claim]:
    """Where the law of distances has another dimension nearby than a little farther out."""
    real = audit.real
    if real is not None and real.shift > MOVED:
        yield Claim(
            kind="unstable_dimension",
            severity="warning",
            sentence="The dimension in which distances of real images grow depends on how far one looks: "
            "with "
            "that of the five nearest neighbors a threshold would change by a factor of "
            f"{value(real.shift)}.",
            numbers={"shift": real.shift},
            touches=CLASSES,
        )


def dense_group(audit: AuditResult) -> Iterator[Claim]:
    """A group of real images of which the threshold calls far more copies than of all."""
    uneven = None if audit.real is None else audit.real.uneven
    if uneven is None or uneven.p_value > LEVEL or not uneven.overall:
        return
    times = uneven.rate / uneven.overall
    yield Claim(
        kind="dense_group",
        severity="warning",
        sentence="The promise of the threshold holds for all images together, not for each kind: of a "
        "group of "
        f"{percent(uneven.share)} of the real images, {value(times, 2)} times as many lie as near to a "
        "training "
        f"image as of all ({p_words(uneven.p_value)}). Honest samples of that kind are called memorized as "
        "much more often.",
        numbers={"times": times, "share": uneven.share, "p_value": uneven.p_value},
        touches=("memorized", "generalized"),
    )


def wide_repetitions(audit: AuditResult) -> Iterator[Claim]:
    """Samples that come nearer to each other than real images do, beyond what is called spurious."""
    met, shares = audit.near_each_other, audit.fractions
    if of_kind(audit.claims, "other_range"):
        return  # which explains it
    if met is None or shares is None or audit.sample_size * (1 - shares.memorized.value) < FEW:
        return
    rest = 1 - shares.memorized.value
    beyond = 2 * (met - 0.5) - shares.spurious.value / rest
    if beyond > WIDE:
        yield Claim(
            kind="wide_repetitions",
            severity="warning",
            sentence=f"Of the samples that are not memorized, {percent(met)} have another one as near as "
            "half of "
            "the real images have: states that are wider than the spurious threshold, or samples of less "
            "contrast or variety than real images. The spurious share does not count them.",
            numbers={"near_each_other": met},
            touches=("spurious", "generalized"),
        )


def jitter(audit: AuditResult) -> Iterator[Claim]:
    """How much repetitions may differ and still be seen."""
    real, thresholds = audit.real, audit.thresholds
    if real is None or thresholds is None or thresholds.spurious is None or not real.typical:
        return
    yield Claim(
        kind="jitter",
        severity="limit",
        title="That a state whose samples differ widely is seen",
        sentence=f"Samples count as one state up to a distance of {value(thresholds.spurious)}, which is "
        f"{percent(thresholds.spurious / real.typical)} of the distance that half of {size(_among(audit))} "
        "real "
        "images have to the nearest other one; states that are wider count as generalized.",
        numbers={"spurious": thresholds.spurious, "typical": real.typical},
        touches=("spurious", "generalized"),
    )


def _among(audit: AuditResult) -> int:
    found = None if audit.thresholds is None else audit.thresholds.sample_size
    return audit.sample_size if found is None else min(found, audit.sample_size)


def _images(audit: AuditResult) -> str:
    return "held-out images" if audit.real is None or audit.real.held_out else "training images"

"""What there is to know of how images were read: values that were clipped, a range that no set uses fully."""

__all__ = ["readings"]

from collections.abc import Iterator

from spurion.audits.sources import ROLES, Images
from spurion.phases.spans import HALF, Span


def readings(images: Images) -> tuple[str, ...]:
    """Notes on the sets of an audit, in sentences.

    A range of which all sets alike use a part changes no class under thresholds that are made from the data:
    all distances are scaled alike. That is no warning, but worth a word.

    Arguments:
        images: The sets.
    """
    return tuple(_notes(images))


def _notes(images: Images) -> Iterator[str]:
    sets = (images.train, images.samples, images.holdout)
    for role, some in zip(ROLES, sets, strict=True):
        if some is not None and some.clipped:
            yield f"{some.clipped:,} of the {len(some):,} {role} reached beyond their range and were clipped."
    spans = [Span.of(some.images) for some in sets if some is not None]
    low, high = min(span.low for span in spans), max(span.high for span in spans)
    if high - low <= 2 * HALF:
        yield (
            f"All images have values from {low:.3g} to {high:.3g} only, where -1 is black and 1 is white. If "
            "they are stored in another range, say with `value_range` what stands for black and white."
        )

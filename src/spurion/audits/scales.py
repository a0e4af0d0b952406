"""Sets that seem to be scaled otherwise than other sets, in sentences; see `spurion.phases.spans`."""

__all__ = ["other_ranges"]

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spurion.data.storage import taken
from spurion.phases.spans import SHRUNKEN, Span, copies_as_they_are, narrower, shrunken

_ASKED = (
    "where -1 is black and 1 is white: are they scaled otherwise? Then say with `value_range` what stands "
    "for black and white in them."
)


def other_ranges(
    sets: Mapping[str, Float[Tensor, "..."] | None],
    *,
    copying: str,
    copied: str,
    nearest: Int64[Tensor, " m"] | None = None,
) -> Iterator[str]:
    """Sets of another range than another one's.

    Arguments:
        sets: What the sets are called, and their images with shape (n, *shape), in [-1, 1].
        copying: The set that may hold copies of another one, which have its range, however narrow it is.
        copied: That other set.
        nearest: The index of the image of that other set nearest to each of the first, if it is known.
    """
    known = {role: images for role, images in sets.items() if images is not None}
    spans = {role: Span.of(images) for role, images in known.items()}

    def copies(some: Int64[Tensor, " c"]) -> bool:
        images = taken(known[copying], some)
        return nearest is not None and copies_as_they_are(images, known[copied], nearest[some])

    for role, span in spans.items():
        for other in (name for name in spans if name != role):
            narrow, small = narrower(span, spans[other]), shrunken(span, spans[other])
            chosen = (torch.ones_like(small) if narrow else small).nonzero().flatten()
            if not len(chosen) or (role == copying and copies(chosen)):
                continue
            if not narrow and other == copying and copies(torch.arange(len(known[copying]))):
                continue  # copies of a few images vary less than the images do
            yield _sentence(role, span, other, spans[other], None if narrow else len(chosen))
            break


def _sentence(role: str, span: Span, other: str, full: Span, count: int | None) -> str:
    if count is None:
        return (
            f"The {role} have values from {span.low:.3g} to {span.high:.3g} only, and the {other} from "
            f"{full.low:.3g} to {full.high:.3g}, {_ASKED}"
        )
    usual = float(full.widths.median())
    return (
        f"The {role} have {count:,} images of {len(span.lows):,} that span at most {SHRUNKEN * usual:.3g}, "
        f"and the middle one of the {other} spans {usual:.3g}, {_ASKED}"
    )

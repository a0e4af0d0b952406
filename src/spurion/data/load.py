"""From a source to images to train on and images held out: `load_split`."""

__all__ = ["load_split"]

from spurion.data.builtin import DATASETS
from spurion.data.open import Source, opener
from spurion.data.pixels import resized
from spurion.data.ranges import ValueRange
from spurion.data.split import Split, hold_out


def load_split(
    source: Source,
    *,
    holdout: float | None = None,
    allow_download: bool = False,
    resize: int | None = None,
    value_range: ValueRange | None = None,
    clip: bool = False,
) -> Split:
    """Read a source and divide it.

    Arguments:
        source: As in `open_images`.
        holdout: The fraction of a user's images to hold out, in (0, 1), always the same ones; None holds out
            nothing. A built-in set has its own held-out part, and takes None only.
        allow_download: As in `open_images`.
        resize: As in `open_images`.
        value_range: As in `open_images`.
        clip: As in `open_images`.

    Raises:
        ValueError: As in `open_images`, `ranges_for` and `hold_out`; or if `holdout` is given for a
            built-in set.
    """
    opened = opener(
        {"source": source}, allow_download=allow_download, resize=resize, value_range=value_range, clip=clip
    )
    if not isinstance(source, str) or source not in DATASETS:
        images = opened("source")
        return Split(images) if holdout is None else hold_out(images, holdout)
    if holdout is not None:
        raise ValueError(
            f"`holdout` must be None for the built-in set {source}, which has its own held-out part."
        )
    split = DATASETS[source](allow_download)
    if resize is None:
        return split
    return Split(resized(split.train, resize), split.holdout and resized(split.holdout, resize))

"""From a source to images to train on and images held out: `load_split`."""

__all__ = ["load_split"]

from dataclasses import replace

from spurion.data.builtin import DATASETS
from spurion.data.imageset import ImageSet
from spurion.data.open import Source, open_images, opener, split_held_out
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
        holdout: The fraction of a user's images to hold out, in (0, 1), always the same ones. With None the
            split ``test``, or else ``validation``, of a Hugging Face data set is held out beside its
            ``train``, and of any other source nothing. A built-in set has its own held-out part, and takes
            None only.
        allow_download: As in `open_images`.
        resize: As in `open_images`.
        value_range: As in `open_images`.
        clip: As in `open_images`.

    Raises:
        ValueError: As in `open_images`, `ranges_for` and `hold_out`; if `holdout` is given for a built-in
            set; or if the two splits of a data set differ in shape.
    """
    opened = opener(
        {"source": source}, allow_download=allow_download, resize=resize, value_range=value_range, clip=clip
    )
    if isinstance(source, str) and source in DATASETS:
        return _built_in(source, holdout, allow_download, resize)
    images = opened("source")
    if holdout is not None:
        return hold_out(images, holdout)
    held_out = split_held_out(source, allow_download)
    if held_out is None:
        return Split(images)
    return _pair(images, open_images(held_out, allow_download=allow_download, resize=resize))


def _built_in(source: str, holdout: float | None, allow_download: bool, resize: int | None) -> Split:
    if holdout is not None:
        raise ValueError(
            f"`holdout` must be None for the built-in set {source}, which has its own held-out part."
        )
    split = DATASETS[source].split(allow_download)
    if resize is None or split.train.shape[1:] == (resize, resize):
        return split
    return Split(resized(split.train, resize), split.holdout and resized(split.holdout, resize))


def _pair(train: ImageSet, holdout: ImageSet) -> Split:
    """The two splits of one data set, the second named as held out."""
    if train.shape != holdout.shape:
        raise ValueError(
            f"The splits of {train.name} differ in shape, {train.shape} to train on and {holdout.shape} held "
            "out; give one size with `--set data.resize=N`, or choose a split by `:train` after its name."
        )
    return Split(train, replace(holdout, name=f"{train.name} (held out)"))

"""What is wrong with the sets themselves: overlaps and mix-ups that spoil an answer before it is given.

An audit believes its caller about which images are which. These mistakes leave traces:

- ``holdout_in_train``: held-out images that are also in the training set. They make every copy look as near
  as a new image, so they hide copying.
- ``holdout_near_train``: held-out images that lie so much nearer to the training set than the others that
  they must be near copies of training images (`spurion.phases.leaks`). They pull a threshold from held-out
  images down.
- ``samples_are_train``: samples and training set are the same images, byte for byte: one set was given
  twice.
- ``samples_in_holdout``: samples that are byte for byte held-out images: the model saw them, or the sets got
  mixed.
- ``swapped_holdout``: the samples are nearer to the held-out images than to the training set by far, as
  if the two were exchanged (`MIRRORED`).
- ``unread_files``: files beside the images of a set may hold more of them and were not read (`Reading`).
- ``rotated_train``: training images have orientation tags that were not applied, and samples, which have
  none, are compared with them as they are stored; see `spurion.data.decode`.
- ``rotated_images``: images of any set have orientation tags, which alone spoils no answer.
- ``swapped_samples``: the samples look as if drawn alike with the held-out images and the training set does
  not, as if generated images had been given as the training set (`spurion.phases.kinship`). Generated images
  that look like real ones leave no such trace, and without held-out images there is none.
- ``other_range``: the values of one set use but a part of the range that another one uses, as if it were
  scaled otherwise (`spurion.audits.scales`). Floats in [0, 1] read as in [-1, 1] are near to nothing.
- ``clipped``: many images of a set reached beyond the range that was declared for it, so it is not theirs.

A copy among the samples is no overlap but the finding itself.
"""

__all__ = ["Kind", "overlaps", "warning"]

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spurion.audits.claims import Asked, Claim
from spurion.audits.scales import other_ranges
from spurion.data.storage import taken
from spurion.phases.exposed import digests
from spurion.phases.kinship import kinship
from spurion.phases.leaks import near_leaks
from spurion.phases.null import NullTest

MIRRORED = 0.25
"""Upper end of the share closer to the training set below which the sets look exchanged."""

NAMED = 5
"""Images that a sentence names."""

Kind = Literal[
    "unread_files",
    "rotated_train",
    "rotated_images",
    "holdout_in_train",
    "holdout_near_train",
    "samples_are_train",
    "samples_in_holdout",
    "swapped_holdout",
    "swapped_samples",
    "other_range",
    "clipped",
]


TOUCHES: dict[Kind, tuple[Asked, ...]] = {
    **dict.fromkeys(get_args(Kind), get_args(Asked)),
    "holdout_in_train": ("closer_to_train",),
    "rotated_images": (),
}
"""The shares that a warning bears on, and that it forbids to pass; all but for these."""


def warning(
    kind: Kind,
    sentence: str,
    images: tuple[int, ...] = (),
    partners: tuple[int, ...] = (),
    *,
    touches: tuple[Asked, ...] | None = None,
) -> Claim:
    """What is wrong with a set, as a claim.

    Arguments:
        kind: The mistake.
        sentence: What is said of it.
        images: Indices into the set that is named first.
        partners: An equal image of the other set for each; none for images that are not equal.
        touches: The shares that it bears on; by default all that one of this kind does.
    """
    touched = TOUCHES[kind] if touches is None else touches
    return Claim(
        kind=kind,
        severity="warning",
        sentence=sentence,
        numbers={name: found for name, found in (("images", images), ("partners", partners)) if found},
        touches=touched,
        forbids=("pass",) if touched else (),
    )


def overlaps(
    train: Float[Tensor, "k *shape"],
    samples: Float[Tensor, "m *shape"],
    holdout: Float[Tensor, "h *shape"] | None = None,
    *,
    null: NullTest | None = None,
    nearest_train: Int64[Tensor, " m"] | None = None,
    holdout_distances: Float[Tensor, " g"] | None = None,
    among_train: Callable[[], Float[Tensor, " n"]] | None = None,
    holdout_names: Sequence[str] | None = None,
    sample_names: Sequence[str] | None = None,
    by_holdout: bool = True,
) -> tuple[Claim, ...]:
    """Find overlaps and mix-ups among the sets of an audit; see the module.

    Arguments:
        train: The training images with shape (K, *shape).
        samples: The samples, likewise.
        holdout: The held-out images, likewise.
        null: The held-out null of these sets, if it was computed.
        nearest_train: The index of the training image nearest to each sample, if it is known.
        holdout_distances: The distance to the training set of each held-out image that is not in it, with
            shape (g,).
        among_train: Gives distances of training images to each other; see `spurion.phases.leaks`.
        holdout_names: What to call held-out images in the sentences; by default their indices, which give
            nothing away.
        sample_names: What to call samples.
        by_holdout: Whether thresholds come from the held-out images.

    Returns:
        The warnings, none if nothing is wrong.

    Example:
        >>> import torch
        >>> train, samples = torch.zeros(2, 1, 2, 2), torch.ones(3, 1, 2, 2)
        >>> [found.sentence for found in overlaps(train, samples, train[:1])]
        ['1 held-out image is also in the training set, which hides copying: 0.']
    """
    train_keys, sample_keys = digests(train), digests(samples)
    holdout_keys = [] if holdout is None else digests(holdout)
    found: list[Claim] = []
    if set(sample_keys) == set(train_keys):
        sentence = "The samples are the training set itself, byte for byte; give the images the model made."
        found.append(warning("samples_are_train", sentence))
    known = set(train_keys)
    new = [i for i, key in enumerate(holdout_keys) if key not in known]
    found.extend(_shared("holdout_in_train", holdout_keys, train_keys, holdout_names))
    found.extend(_near(new, holdout_distances, among_train, holdout_names, by_holdout))
    found.extend(_shared("samples_in_holdout", sample_keys, holdout_keys, sample_names))
    found.extend(_exchanged_with_holdout(null))
    sets_in_words = {"training images": train, "samples": samples, "held-out images": holdout}
    scaled = other_ranges(sets_in_words, copying="samples", copied="training images", nearest=nearest_train)
    found.extend(warning("other_range", sentence) for sentence in scaled)
    if holdout is not None and not found:  # what was found explains why held-out images are unlike others
        sets = zip((train, samples, holdout), (train_keys, sample_keys, holdout_keys), strict=True)
        found.extend(_exchanged_with_samples(*(_distinct(images, keys) for images, keys in sets)))
    return tuple(found)


_PHRASES: dict[str, tuple[str, str]] = {
    "holdout_in_train": ("held-out image", "also in the training set, which hides copying"),
    "samples_in_holdout": ("sample", "also held out, so the model saw them or the sets are mixed up"),
}


def _shared(
    kind: Kind, keys: Sequence[bytes], others: Sequence[bytes], names: Sequence[str] | None
) -> Iterator[Claim]:
    """The images of one set that are also in another, if there are any."""
    first = {key: i for i, key in reversed(list(enumerate(others)))}
    images = tuple(i for i, key in enumerate(keys) if key in first)
    if not images:
        return
    count, (noun, where) = len(images), _PHRASES[kind]
    subject = f"1 {noun} is" if count == 1 else f"{count} {noun}s are"
    sentence = f"{subject} {where}: {_called(images, names)}."
    yield warning(kind, sentence, images, tuple(first[keys[i]] for i in images))


def _near(
    new: Sequence[int],
    distances: Float[Tensor, " g"] | None,
    among_train: Callable[[], Float[Tensor, " n"]] | None,
    names: Sequence[str] | None,
    by_holdout: bool,
) -> Iterator[Claim]:
    """The held-out images that are near copies of training images, if there are any."""
    if distances is None or len(distances) != len(new):
        return
    leaks = near_leaks(distances, among_train).tolist()
    if not leaks:
        return
    images = tuple(new[i] for i in leaks)
    farthest, ordered = float(distances[leaks[-1]]), distances.sort().values
    following = float(ordered[ordered > farthest][0])
    subject = "1 held-out image lies" if len(images) == 1 else f"{len(images)} held-out images lie"
    sentence = (
        f"{subject} within {farthest:.3g} of the training set and the next at {following:.3g}; near copies "
        f"of training images make copies look as near as new images: {_called(images, names)}."
    )
    yield warning(
        "holdout_near_train", sentence, images, touches=None if by_holdout else ("closer_to_train",)
    )


def _called(images: Sequence[int], names: Sequence[str] | None) -> str:
    called = [str(i) if names is None else names[i] for i in images[:NAMED]]
    return ", ".join(called) + (f" and {len(images) - NAMED} more" if len(images) > NAMED else "")


def _exchanged_with_holdout(null: NullTest | None) -> Iterator[Claim]:
    share = None if null is None else null.share_closer_to_train
    if share is not None and share.high < MIRRORED:
        sentence = (
            f"Only {share.value:.1%} of the samples are closer to the training set than to an equally large "
            "held-out set: are the two exchanged?"
        )
        yield warning("swapped_holdout", sentence)


def _exchanged_with_samples(
    train: Float[Tensor, "k *shape"], samples: Float[Tensor, "m *shape"], holdout: Float[Tensor, "h *shape"]
) -> Iterator[Claim]:
    """Training images and held-out images are drawn alike, unless the samples were given in place of one."""
    of_train, of_samples = (kinship(images, holdout, seed=0) for images in (train, samples))
    if of_train and of_samples and of_train.differ() and of_samples.alike():
        sentence = (
            "The samples look as if drawn from the same source as the held-out images, and the training "
            "images do not: are the two exchanged, or is the held-out set of another kind?"
        )
        yield warning("swapped_samples", sentence)


def _distinct(images: Float[Tensor, "n *shape"], keys: Sequence[bytes]) -> Float[Tensor, "d *shape"]:
    """Each image once; duplicates would look like a likeness within the set."""
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    return images if len(first) == len(keys) else taken(images, torch.tensor(sorted(first.values())))

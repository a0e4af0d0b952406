"""What is wrong with the sets of an audit, found with what their search has found."""

__all__ = ["mistakes"]

from collections.abc import Iterator
from functools import partial

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from spurion.audits.claims import Claim
from spurion.audits.measurement import Measurement
from spurion.audits.overlap import Kind, overlaps, warning
from spurion.audits.sources import ROLES, Images
from spurion.core.random import generator
from spurion.data import ImageSet
from spurion.data.storage import taken
from spurion.neighbors import Distance, Searcher, nearest
from spurion.phases.partition import second_outside

AMONG_TRAIN = 2_000
"""Training images whose distance to each other is looked at, if held-out images lie suspiciously near."""

CLIPPED = 0.1
"""If more of the images of a set were clipped, its range is not the declared one."""

ROTATED = 0.01
"""More of the training images than of the samples, of which tags that are not applied are a doubt."""


def mistakes(
    images: Images,
    found: Measurement,
    distance: Distance,
    *,
    seed: int,
    by_holdout: bool,
    search: Searcher = nearest,
) -> tuple[Claim, ...]:
    """Overlaps and mix-ups; see `spurion.audits.overlap`.

    Arguments:
        images: The sets.
        found: Their distances.
        distance: Whose distances these are.
        seed: The seed of the choice of training images.
        by_holdout: Whether thresholds come from the held-out images.
        search: What found them.
    """
    between = overlaps(
        images.train.images,
        images.samples.images,
        None if images.holdout is None else images.holdout.images,
        null=found.null,
        nearest_train=found.nearest_train,
        holdout_distances=found.holdout_train,
        among_train=partial(_among_train, images.train.images, found, distance, seed, search),
        holdout_names=images.holdout.item_names if images.holdout else None,
        sample_names=images.samples.item_names,
        by_holdout=by_holdout,
    )
    return (*between, *_misread(images))


def _misread(images: Images) -> Iterator[Claim]:
    """Sets that were not read as training code may have read them."""
    unlike = _rotated(images.train) - _rotated(images.samples) > ROTATED
    for role, found in zip(ROLES, (images.train, images.samples, images.holdout), strict=True):
        if found is None:
            continue
        if found.misfits > CLIPPED * len(found):
            many = f"{found.misfits:,} of the {len(found):,} {role}"
            sentence = f"{many} reached far beyond their range and were clipped: declare what it is instead."
            yield warning("clipped", sentence)
        for sentence in found.reading.missing():
            yield warning("unread_files", f"Beside the {role}, {sentence}")
        for sentence in found.reading.turned():
            doubtful = unlike and found is images.train
            kind: Kind = "rotated_train" if doubtful else "rotated_images"
            yield warning(kind, f"Of the {role}, {sentence}")


def _rotated(images: ImageSet) -> float:
    """The share of images that were read as they are stored, though their tags ask for a rotation."""
    return images.reading.rotated.count / len(images)


def _among_train(
    train: Float[Tensor, "k *shape"], found: Measurement, distance: Distance, seed: int, search: Searcher
) -> Float64[Tensor, " n"]:
    """The distance of some training images to the nearest other one that is no copy of them."""
    chosen = torch.randperm(len(train), generator=generator(seed, "among train"))[:AMONG_TRAIN]
    some = taken(train, chosen)
    near = search(some, train, min(2, len(train)), distance=distance)
    return second_outside(near, found.groups, some, train, distance=distance, search=search)

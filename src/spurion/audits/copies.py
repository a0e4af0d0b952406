"""Copies of training images: which samples are, of which images, and which transformed ones would be seen."""

__all__ = ["changes", "copies", "transformed_copies"]

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spurion.audits.measurement import COPY_NOISE, Measurement
from spurion.audits.sources import Images
from spurion.core.random import generator
from spurion.data.storage import taken
from spurion.data.transforms import TRANSFORMS
from spurion.neighbors import Distance, Searcher, TransformedSearch
from spurion.phases.classification import CLASSES
from spurion.phases.exposed import equal_images, exposure, likened
from spurion.statistics.intervals import Interval, proportion

TRANSFORMED = 100
"""Control copies of each transform, at most."""


def copies(
    images: Images,
    found: Measurement,
    labels: Int64[Tensor, " n"] | None,
    radius: float | None,
    distance: Distance,
    by: Sequence[str] | None,
) -> dict[str, Any]:
    """Which samples equal training images, and how often each training image is copied.

    Without classes only samples that equal a training image count as copies of it.

    Arguments:
        images: The sets.
        found: Their distances.
        labels: The classes of the samples, or None.
        radius: The threshold of memorization, or None.
        distance: The distance.
        by: The transform that brings each sample nearest, from `changes`; None if none were looked at.

    Returns:
        Fields of an `AuditResult`.
    """
    nearest, distances = found.nearest_train, found.distance_train
    equal = equal_images(images.samples.images, images.train.images, distances)
    if labels is None:
        labels = torch.where(equal, CLASSES.index("memorized"), CLASSES.index("generalized"))
    exposed = exposure(nearest, labels, groups=found.groups, names=images.train.item_names)
    if radius is not None:
        exposed = likened(exposed, images.train.images, radius, distance=distance)
    memorized = (labels == CLASSES.index("memorized")).tolist()
    counted = Counter(name for name, copied in zip(by or (), memorized, strict=False) if copied)
    return {
        "exact_copies": tuple(equal.nonzero()[:, 0].tolist()),
        "exposure": exposed,
        "copied_by": dict(counted.most_common()),
    }


def changes(
    images: Images, found: Measurement, transforms: Sequence[str], distance: Distance
) -> list[str] | None:
    """By which transform each sample comes nearest to its training image; None if none were looked at."""
    if not transforms:
        return None
    theirs = taken(images.train.images, found.nearest_train)
    return TransformedSearch(transforms).which(images.samples.images, theirs, distance=distance)


def transformed_copies(
    train: Float[Tensor, "k *shape"], threshold: float, search: Searcher, distance: Distance, *, seed: int
) -> dict[str, Interval]:
    """Which share of transformed training images, with a whisper of noise, is called memorized.

    Arguments:
        train: The training images, with shape (K, C, H, W).
        threshold: The threshold of memorization.
        search: What finds neighbors.
        distance: The distance; one that knows no other images than it was given measures nothing.
        seed: Seed of the images, of the parameters of transforms and of the noise.

    Returns:
        The share for every transform in `TRANSFORMS` that applies to images of this shape.
    """
    made: dict[str, Tensor] = {}
    for name, transform in TRANSFORMS.items() if distance.embeds_any_image else ():
        random = generator(seed, "control", "transformed", name)
        chosen = torch.randperm(len(train), generator=random)[:TRANSFORMED]
        changed = transform.drawn(train[chosen], random)
        if changed is not None:
            made[name] = changed + COPY_NOISE * torch.randn(changed.shape, generator=random)
    if not made:
        return {}
    near = search(torch.cat(list(made.values())), train, 1, distance=distance).distances <= threshold
    parts = near[:, 0].split([len(images) for images in made.values()])
    return {name: proportion(int(part.sum()), len(part)) for name, part in zip(made, parts, strict=True)}

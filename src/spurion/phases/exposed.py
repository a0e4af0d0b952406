"""Which training images are produced, how often, and which of them are in the set more than once.

Duplicates inside the training set come first: an image that is there ten times is trained on ten times
as often, and of ten equal images the nearest is an accident. So copies are counted per group of duplicates.
They also break every rule that compares the nearest with the second nearest training image: there the second
must be the nearest image outside of the group (`spurion.phases.partition`).
"""

__all__ = ["Exposure", "digests", "duplicate_groups", "equal_images", "exposure", "likened"]

import hashlib
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from spurion.core.config import Config
from spurion.core.quantities import Count, Size
from spurion.data.storage import taken
from spurion.neighbors import Distance, within
from spurion.phases.attractors import components
from spurion.phases.classification import CLASSES

MOST_LIKENED = 2000
"""Most copied images that are compared with each other."""


class Exposure(Config):
    """A training image that came out of the model, and how many samples are copies of it."""

    train_index: Count = Field(description="Index of the image; of a group of duplicates, the lowest.")
    name: str | None = Field(None, description="Name of the image, if it has one.")
    count: Size = Field(
        description="Samples that are memorized and nearest to the image or a duplicate of it."
    )
    duplicates: Count = Field(description="Other training images in its group of duplicates.")
    like: Count | None = Field(
        None,
        description="Index of a more copied image that may be the same picture: it lies within the threshold "
        "of memorization, or a chain of listed images does.",
    )


def equal_images(
    images: Float[Tensor, "n *shape"], train: Float[Tensor, "k *train_shape"], distances: Float[Tensor, " n"]
) -> Bool[Tensor, " n"]:
    """Which images are byte for byte training images.

    Arguments:
        images: The images with shape (n, *shape).
        train: The training images with shape (K, *shape).
        distances: The distance of each image to its nearest training image; that of equal ones is 0.
    """
    equal = distances == 0
    if equal.any():
        known = set(digests(train))
        equal[equal.clone()] = torch.tensor([key in known for key in digests(images[equal])])
    return equal


def duplicate_groups(
    images: Float[Tensor, "k *shape"], radius: float = 0.0, *, distance: str | Distance = "l2"
) -> tuple[tuple[int, ...], ...]:
    """Group the images of one set that are duplicates of each other.

    Arguments:
        images: The images with shape (K, *shape).
        radius: Images at most this far apart are duplicates, and so are duplicates of duplicates. At 0
            only equal images are, whatever the distance, and no search is needed.
        distance: A distance or its name; `radius` is in its unit.

    Returns:
        The groups of at least two images: increasing indices, the groups ordered by their first.

    Raises:
        ValueError: If `radius` is negative or the distance is unknown.

    Example:
        >>> import torch
        >>> duplicate_groups(torch.tensor([[1.0], [2.0], [1.0], [1.1], [2.0]]))
        ((0, 2), (1, 4))
    """
    if not radius >= 0:
        raise ValueError(f"`radius` must be at least 0, got {radius}.")
    keys: Sequence[bytes | int]
    if radius == 0:
        keys = digests(images)
    else:
        keys = components(within(images, images, radius, distance=distance, exclude_self=True)).tolist()
    groups: dict[bytes | int, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def exposure(
    nearest_train: Int[Tensor, " n"],
    labels: Int[Tensor, " n"],
    *,
    groups: Sequence[Sequence[int]] = (),
    names: Sequence[str] | None = None,
) -> tuple[Exposure, ...]:
    """Rank the training images by how many samples are copies of them.

    Arguments:
        nearest_train: The index of the training image nearest to each sample, with shape (M,).
        labels: The class of each sample as an index into `CLASSES`, with shape (M,). Only memorized
            samples are copies.
        groups: Duplicates in the training set, from `duplicate_groups`; each group counts as its first image.
        names: The names of the training images, if they have any.

    Returns:
        The images with at least one copy, most copied first, ties by index.

    Example:
        >>> import torch
        >>> ranked = exposure(torch.tensor([4, 2, 7, 4]), torch.tensor([0, 0, 1, 0]), groups=[(2, 5)])
        >>> [(image.train_index, image.count, image.duplicates) for image in ranked]
        [(4, 2, 0), (2, 1, 1)]
    """
    group_of = {index: group for group in groups for index in group}
    copied, counts = nearest_train[labels == CLASSES.index("memorized")].unique(return_counts=True)
    total: dict[int, int] = {}
    for index, count in zip(copied.tolist(), counts.tolist(), strict=True):
        first = group_of.get(index, (index,))[0]
        total[first] = total.get(first, 0) + count
    return tuple(
        Exposure(
            train_index=index,
            name=None if names is None else names[index],
            count=total[index],
            duplicates=len(group_of.get(index, (index,))) - 1,
        )
        for index in sorted(total, key=lambda index: (-total[index], index))
    )


def likened(
    exposed: Sequence[Exposure],
    train: Float[Tensor, "k *shape"],
    radius: float,
    *,
    distance: str | Distance = "l2",
) -> tuple[Exposure, ...]:
    """Say of copied images which of them may be one picture, stored twice, that shares its copies.

    Arguments:
        exposed: The copied images, most copied first; the first `MOST_LIKENED` are compared.
        train: The training images, with shape (K, *shape).
        radius: Images at most this far apart are alike, and so are those alike to a third.
        distance: A distance or its name; `radius` is in its unit.

    Returns:
        The same images; each that is like one before it names the first of these.

    Example:
        >>> train = torch.tensor([[0.0], [0.1], [5.0]])
        >>> exposed = exposure(torch.tensor([1, 1, 0, 2]), torch.zeros(4, dtype=torch.int64))
        >>> [(image.train_index, image.like) for image in likened(exposed, train, 0.2)]
        [(1, None), (0, 1), (2, None)]
    """
    numbers = torch.tensor([image.train_index for image in exposed[:MOST_LIKENED]], dtype=torch.int64)
    first: dict[int, int] = {}
    if len(numbers) > 1:
        for group in duplicate_groups(taken(train, numbers), radius, distance=distance):
            first |= dict.fromkeys(numbers[list(group[1:])].tolist(), int(numbers[group[0]]))
    return tuple(
        image.model_copy(update={"like": first.get(image.train_index)}) if first else image
        for image in exposed
    )


def digests(images: Float[Tensor, "n *shape"]) -> list[bytes]:
    """A key for every image that equal images share and others do not; adding 0 makes -0 and 0 equal."""
    return [hashlib.sha256((image + 0.0).cpu().numpy().tobytes()).digest() for image in images]

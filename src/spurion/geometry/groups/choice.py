"""The points at which a study measures geometry: some of each class, of training and of held-out images."""

__all__ = ["Group", "choose_groups"]

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spurion.core.random import generator
from spurion.geometry.groups.results import GroupSize
from spurion.phases.classification import CLASSES


@dataclass(frozen=True)
class Group:
    """Points of one kind.

    Attributes:
        name: A name in `GROUPS`; empty for images of no class.
        available: How many there are in all.
        index: Which of them were chosen, increasing, with shape (n,).
        points: The points, with shape (n, *shape).
    """

    name: str
    available: int
    index: Int64[Tensor, " n"]
    points: Float[Tensor, "n *shape"]

    def __len__(self) -> int:
        """Number of points chosen."""
        return len(self.index)

    @property
    def size(self) -> GroupSize:
        """The group in numbers."""
        return GroupSize(available=self.available, measured=len(self))

    def batches(self, size: int | None) -> "list[Group]":
        """The points in parts of this size, or all together."""
        parts = zip(self.index.split(size or len(self)), self.points.split(size or len(self)), strict=True)
        return [Group(self.name, self.available, index, points) for index, points in parts]

    def first(self, count: int, *, seed: int) -> "Group":
        """At most `count` of the chosen points, again at random."""
        keep = _some(len(self), count, seed, self.name)
        return Group(self.name, self.available, self.index[keep], self.points[keep])


def choose_groups(
    samples: Float[Tensor, "n *sample_shape"],
    labels: Int64[Tensor, " n"] | None,
    train: Float[Tensor, "k *train_shape"],
    holdout: Float[Tensor, "h *holdout_shape"] | None,
    *,
    most: int,
    least: int,
    seed: int,
) -> list[Group]:
    """Choose points of every group at random; a class of fewer than `least` is counted, but none is chosen.

    Training and held-out images are always chosen, however few: there may be only two training images.

    Arguments:
        samples: The samples, with shape (n, *shape).
        labels: Their classes, or None where no threshold gave them one.
        train: The training images, with shape (K, *shape).
        holdout: Images that the model never saw, or None.
        most: How many points a group has at the most.
        least: How many samples a class needs.
        seed: The seed of the choice.
    """
    groups = []
    for number, name in enumerate(CLASSES):
        members = torch.empty(0, dtype=torch.int64)
        if labels is not None:
            members = (labels == number).nonzero()[:, 0]
        chosen = members[_some(len(members), most if len(members) >= least else 0, seed, name)]
        groups.append(Group(name, len(members), chosen, samples[chosen]))
    for name, images in (("training", train), ("held-out", holdout)):
        if images is not None:
            index = _some(len(images), most, seed, name)
            groups.append(Group(name, len(images), index, images[index]))
    return groups


def _some(available: int, count: int, seed: int, name: str) -> Tensor:
    order = torch.randperm(available, generator=generator(seed, "choose", name))
    return order[:count].sort().values

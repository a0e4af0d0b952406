r"""Whether one set of images has values of another range than a second set, as if it were scaled otherwise.

Let a set reach from :math:`a` to :math:`b` over all its images, and another from :math:`A` to :math:`B`. The
first is *narrower* if it spans hardly more than half of the other, :math:`b - a \leq 0.55\,(B - A)`, as
floats in [0, 1] do among floats in [-1, 1]; or if it stays on one side of middle gray, 0, where the other
goes far beyond. Sets of one source are so by chance only: if a share :math:`p` of the other images lies
within :math:`[a, b]`, which one of the :math:`n` images of the set may have fixed, the rest of them do with a
probability of about :math:`n p^{n - 1}`. That must be small, and :math:`p` too: what is rare among training
images may be missing among samples.

Samples that are near copies of images as they are have the scale of these images, however dark those may be.
"""

__all__ = ["Span", "copies_as_they_are", "narrower"]

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spurion.data.storage import taken

HALF = 0.55
"""A set that spans no more of another's range is narrower; a half, and some rounding."""

SLACK = 0.02
"""How far beyond middle gray values may reach that stay on one side of it."""

FAR = 0.25
"""How far the other set must reach beyond it."""

USUAL = 0.75
"""If so many of the other images lie within the range, it is a usual one."""

CHANCE = 1e-3
"""A probability below which something is no chance."""

LOOKED_AT = 500
"""Samples that are compared with the images nearest to them."""

ALIKE = 0.1
"""A near copy differs from its image by a smaller part of its own contrast."""


@dataclass(frozen=True)
class Span:
    """The smallest and the largest value of every image of a set, each with shape (n,)."""

    lows: Float[Tensor, " n"]
    highs: Float[Tensor, " n"]

    @classmethod
    def of(cls, images: Float[Tensor, "n *shape"]) -> "Span":
        """Find them."""
        return cls(*images.flatten(1).aminmax(dim=1))

    @property
    def low(self) -> float:
        """The smallest value of all."""
        return float(self.lows.min())

    @property
    def high(self) -> float:
        """The largest value of all."""
        return float(self.highs.max())

    @property
    def width(self) -> float:
        """Their difference."""
        return self.high - self.low


def narrower(some: Span, others: Span) -> bool:
    """Whether a set has a narrower range than another one, and not by chance; see the module.

    Example:
        >>> images = torch.linspace(-1, 1, 300).reshape(20, 1, 3, 5)
        >>> narrower(Span.of(images / 2 + 0.5), Span.of(images)), narrower(Span.of(images), Span.of(images))
        (True, False)
    """
    above = some.low >= -SLACK and others.low <= -FAR
    below = some.high <= SLACK and others.high >= FAR
    if not (some.width <= HALF * others.width or above or below):
        return False
    slack = SLACK * max(some.width, SLACK)
    within = (others.lows >= some.low - slack) & (others.highs <= some.high + slack)
    share = (int(within.sum()) + 1) / (len(within) + 1)
    count = len(some.lows)
    return share < USUAL and count * share ** (count - 1) < CHANCE


def copies_as_they_are(
    samples: Float[Tensor, "m *shape"], train: Float[Tensor, "k *shape"], nearest: Int64[Tensor, " m"]
) -> bool:
    """Whether most samples are near copies of the training images nearest to them, at the scale they have.

    Arguments:
        samples: The samples with shape (m, *shape).
        train: The training images with shape (K, *shape).
        nearest: The index of the training image nearest to each sample.
    """
    some = torch.linspace(0, len(samples) - 1, min(LOOKED_AT, len(samples))).round().long()
    x, y = (taken(images, of).flatten(1) for images, of in ((samples, some), (train, nearest[some])))
    contrast = (x - x.mean(dim=1, keepdim=True)).square().sum(dim=1)
    alike = (x - y).square().sum(dim=1) < ALIKE * contrast
    return bool(alike.double().mean() > 0.5)

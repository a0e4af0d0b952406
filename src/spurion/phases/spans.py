r"""Whether one set of images has values of another range than a second set, as if it were scaled otherwise.

Let a set reach from :math:`a` to :math:`b` over its images, and another from :math:`A` to :math:`B`, but for
a few images at either end (`TRIMMED`), since one wrong pixel moves the smallest value of all. The first is
*narrower* if it spans hardly more than half of the other, :math:`b - a \leq 0.55\,(B - A)`, as floats in
[0, 1] do among floats in [-1, 1]; or if it stays on one side of middle gray, 0, where the other goes far
beyond. Sets of one source are so by chance only: if a share :math:`p` of the other images lies within
:math:`[a, b]`, and :math:`k` of the :math:`n` images of the set, one of which may have fixed it, then
:math:`k - 1` of :math:`n - 1` others are there, each with the probability :math:`p`. That must be no chance
(:math:`n p^{n - 1}` where all are), and :math:`p` small too: what is rare among training images may be
missing among samples.

Noise, or a range that is merely shifted, spoils that comparison of ends, and so does a set of which a part
only is scaled otherwise. So images are compared one by one too: one is *shrunken* if it spans a smaller part
of the range that the middle one of the others spans (`SHRUNKEN`). Half a set of them, where they are rare
among the others, is scaled otherwise, and so is a smaller part that stays on one side of middle gray. An
image that hardly has a contrast is a failure to draw one, not a scaled one.

Samples that are near copies of images as they are have the scale of these images, however dark those may be.
"""

__all__ = ["Span", "copies_as_they_are", "narrower", "shrunken"]

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from scipy.stats import binom
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

TRIMMED = 0.05
"""The share of images at either end of a set that its range does not depend on."""

SHRUNKEN = 0.7
"""An image that spans no more of what another one spans is shrunken."""

FLAT = 0.2
"""One that spans less of it has no contrast."""

PART = 0.1
"""The smallest part of a set that is told from a whole one, beyond twice what is usual among the others."""

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
        """The smallest value, but for a few images."""
        return float(self.lows.sort().values[int(TRIMMED * len(self.lows))])

    @property
    def high(self) -> float:
        """The largest value, but for a few images."""
        return float(self.highs.sort(descending=True).values[int(TRIMMED * len(self.highs))])

    @property
    def width(self) -> float:
        """Their difference."""
        return self.high - self.low

    @property
    def widths(self) -> Float[Tensor, " n"]:
        """What every image spans, with shape (n,)."""
        return self.highs - self.lows

    def within(self, low: float, high: float) -> Bool[Tensor, " n"]:
        """The images that lie within a range, with shape (n,)."""
        return (self.lows >= low) & (self.highs <= high)


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
    own, within = (span.within(some.low - slack, some.high + slack) for span in (some, others))
    count, share = int(own.sum()), _share(within)
    return share < USUAL * count / len(own) and _no_chance(count, len(own), share)


def _share(chosen: Bool[Tensor, " n"]) -> float:
    return (int(chosen.sum()) + 1) / (len(chosen) + 1)


def _no_chance(count: int, of: int, share: float) -> bool:
    """Whether so many of a set are no chance where one of them was chosen and each is with a probability."""
    return of * float(binom.sf(count - 2, of - 1, share)) < CHANCE


def shrunken(some: Span, others: Span) -> Bool[Tensor, " n"]:
    """The images of a set that are scaled otherwise than another set, none if that is chance; see the module.

    Returns:
        Whether each image is, with shape (n,).

    Example:
        >>> half, full = (Span(torch.full((9,), low), torch.ones(9)) for low in (-0.2, -1.0))
        >>> int(shrunken(half, full).sum()), int(shrunken(full, full).sum())
        (9, 0)
    """
    usual = float(others.widths.median())
    small, small_others = (
        (span.widths < SHRUNKEN * usual) & (span.widths >= FLAT * usual) for span in (some, others)
    )
    above, below = (-SLACK, torch.inf), (-torch.inf, SLACK)
    for least, ends in ((0.5, (-torch.inf, torch.inf)), (PART, above), (PART, below)):
        chosen, share = small & some.within(*ends), _share(small_others & others.within(*ends))
        count = int(chosen.sum())
        if count >= (least + 2 * share) * len(chosen) and _no_chance(count, len(chosen), share):
            return chosen
    return torch.zeros_like(small)


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

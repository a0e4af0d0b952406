r"""How near real images come to each other and to the training set: what the `null` rule hangs on.

A generator that copies nothing draws images as a new real one would lie. With h real images that are not
training images, :math:`a_j` the distance of each to its nearest training image, :math:`b_j = r_{j,1}` and
:math:`r_{j,i}` that to its i-th nearest among the other real images, and :math:`\alpha` the share of new
images that may be called copies:

.. math::
    d &= \frac{9 h}{\sum_j \sum_{i \leq 9} \ln(r_{j,10} / r_{j,i})}, \qquad
    \beta = \max\Big(\alpha, \frac{30}{h + 1}\Big), \\
    \delta_m &= q_a \Big(\frac{\alpha}{\beta}\Big)^{1/d}, \qquad
    \delta_s = q_b \Big(\frac{\alpha}{\beta}\Big)^{1/d} \Big(\frac{h - 1}{m_0 - 1}\Big)^{1/d},

with :math:`q_a, q_b` the order statistics of rank :math:`\lfloor \beta (h + 1) \rfloor`. So quantiles are
read where thirty images stand below them, and carried on to a rarer share, and from h to :math:`m_0` images,
by the law of distances in d dimensions, :math:`P(r < \delta) \propto \delta^d`. Its exponent is that of
Levina and Bickel, pooled over all images; see `Anchor.dimension`.

Where that law does not hold, as with near copies among the real images or two kinds of them, it shows in two
ways: more of the h images lie below a threshold than a share :math:`\alpha` explains (binomial), or the
distances below the quantile q fall off too slowly, for by the law :math:`d \sum_i \ln(q / r_i)` has a Gamma
distribution with as many degrees as there are distances. If either is no chance (p < `GUARD`), the order
statistic of rank :math:`\lfloor \alpha (h + 1) \rfloor` takes the threshold's place, which needs no law, and
from h to :math:`m_0` images it is carried by the exponent that these nearest distances show themselves; see
`Quantile`. Distances among the images come in pairs, which count once.

Without held-out images training images stand in for them, each against all others: if nothing is copied, a
sample and a training image are exchangeable. All distances here are Euclidean, of the vectors of images.

References:
    | Maximum Likelihood Estimation of Intrinsic Dimension (Levina & Bickel, 2005), Eq. 8-9
    | Comments on "Maximum likelihood estimation of intrinsic dimension" (MacKay & Ghahramani, 2005)
"""

__all__ = ["LEAST", "NEIGHBORS", "Anchor", "Quantile", "anchor_among", "anchor_of"]

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from scipy.stats import binom, gamma
from torch import Tensor

from spurion.core.arguments import TENSOR, WHOLE, check_arguments
from spurion.core.random import generator
from spurion.data.storage import taken
from spurion.neighbors import Distance, Searcher, as_distance, nearest
from spurion.phases.clusters import clusters

NEIGHBORS = 10
"""Neighbors of each image among the others, from which the dimension is read."""

RANK = 30
"""Images that stand below a quantile before it is carried on."""

LEAST = 60
"""Fewer images are no anchor: thirty would be half of them, and the law holds for near ones only."""

MOST = 10_000
"""Images of an anchor at most, drawn at random where there are more."""

GUARD = 0.02
"""A smaller probability says that the law of distances does not hold."""


class Quantile(NamedTuple):
    """A distance below which a share alpha of real images lies.

    Attributes:
        value: The distance; None where the images cannot tell: the law of distances does not hold and they
            are fewer than one in alpha, or too many distances are 0.
        carried: Whether it was carried on by the law of distances, or is an order statistic itself.
        lawful: Whether the law of distances holds as far as the nearest images tell.
    """

    value: float | None
    carried: bool
    lawful: bool


@dataclass(frozen=True)
class Anchor:
    """Distances of real images that are not the training set's own; see the module.

    Attributes:
        to_train: The distance :math:`a_j` to the nearest training image, with shape (h,).
        distances: The distances :math:`r_{j,i}` to the nearest other ones, with shape (h, k), k at most
            `NEIGHBORS`.
        indices: Which ones these are, with shape (h, k).
        held_out: Whether they are held-out images; else they are training images, each against all others.
        groups: The group of like images that each is in (`spurion.phases.clusters`), with shape (h,), or
            None.
    """

    to_train: Float64[Tensor, " h"]
    distances: Float64[Tensor, "h k"]
    indices: Int64[Tensor, "h k"]
    held_out: bool
    groups: Int64[Tensor, " h"] | None = None

    def __len__(self) -> int:
        """The number h of images."""
        return len(self.to_train)

    @property
    def whose(self) -> str:
        """Who the images are, in words."""
        return "held-out images" if self.held_out else "training images among themselves"

    @property
    def to_others(self) -> Float64[Tensor, " h"]:
        """The distance :math:`b_j` to the nearest other one, with shape (h,)."""
        return self.distances[:, 0]

    @cached_property
    def dimension(self) -> float | None:
        """The exponent d; None where the distances do not tell (all equal, or too many of them 0)."""
        found = dimension(self.distances[None])[0]
        return float(found) if bool(found.isfinite()) and found > 0 else None

    @cached_property
    def slope(self) -> float:
        """The exponent that the nearest distances show by themselves (Hill); infinite where there is none."""
        ordered = self.to_others.sort().values[: RANK + 1]
        logs = float((ordered[-1] / ordered[:-1].clamp(min=1e-300)).log().mean())
        return 1 / logs if logs > 0 else math.inf

    @property
    def beta(self) -> float:
        """The smallest share whose quantile has `RANK` images below it."""
        return RANK / (len(self) + 1)

    def nearness(self, alpha: float) -> Quantile:
        """The distance to the training set below which a share alpha of new images lies."""
        return _quantile(self.to_train, alpha, self.dimension)

    def spacing(self, alpha: float, sample_size: int) -> Quantile:
        r"""The distance below which a share alpha of :math:`m_0` = `sample_size` images has another one."""
        found = _quantile(self.to_others, alpha, self.dimension, paired=True)
        if found.value is None or self.dimension is None:
            return found
        d = self.dimension if found.lawful else min(self.dimension, self.slope)
        scale = ((len(self) - 1) / max(1, sample_size - 1)) ** (1 / d)
        return found._replace(value=found.value * scale)

    def p_values(self, distances: Float64[Tensor, " m"]) -> Float64[Tensor, " m"]:
        r"""The probability of a new image as near to the training set.

        :math:`(1 + \#\{a_j \leq x\}) / (h + 1)` where at least `RANK` images are as near; below, carried on
        by the law of distances, so that it is alpha at the threshold of alpha, as long as that law holds.

        Arguments:
            distances: Euclidean distances of images to their nearest training image, with shape (M,).
        """
        ordered = self.to_train.sort().values
        as_near = torch.searchsorted(ordered, distances.contiguous(), right=True).double()
        counted = (1 + as_near) / (len(self) + 1)
        quantile, d = float(ordered[min(RANK, len(self)) - 1]), self.dimension
        if d is None or quantile == 0 or not self.nearness(1 / (len(self) + 1)).lawful:
            return counted
        carried = min(RANK, len(self)) / (len(self) + 1) * (distances / quantile) ** d
        return torch.where(distances < quantile, carried, counted)


def dimension(distances: Float64[Tensor, "r h k"]) -> Float64[Tensor, " r"]:
    r"""The pooled maximum-likelihood dimension :math:`(k - 1) h / \sum_j \sum_i \ln(r_{j,k} / r_{j,i})`.

    Distances of 0, which have no logarithm, and infinite ones are left out.

    Arguments:
        distances: The distances of h images to some others, in R replicates, with shape (R, h, k).

    Returns:
        The dimensions, infinite or NaN where all distances of an image are alike, with shape (R,).
    """
    farthest = distances.masked_fill(distances.isinf(), 0.0).amax(dim=-1, keepdim=True)
    known = (distances > 0) & distances.isfinite()
    logs = torch.where(known, (farthest / distances.clamp(min=1e-300)).log(), 0.0).sum(dim=(-2, -1))
    return (known.sum(dim=-1) - 1).clamp(min=0).sum(dim=-1).double() / logs


def anchor_of(
    to_train: Float64[Tensor, " h"],
    images: Float[Tensor, "h *shape"],
    distance: str | Distance = "l2",
    *,
    held_out: bool = True,
    seed: int,
) -> Anchor | None:
    """The anchor of some real images whose distance to the training set is known.

    Arguments:
        to_train: Their distances to the nearest training image that is not themselves, with shape (h,).
        images: The images, each there once, with shape (h, *shape).
        distance: The distance.
        held_out: Whether they are held out.
        seed: Seed of the choice among more than 10,000 images.

    Returns:
        The anchor, or None with fewer than `LEAST` images.

    Raises:
        ValueError: If an argument is of a wrong kind, or distances and images do not fit.
    """
    check_arguments(locals(), {"to_train": TENSOR, "images": TENSOR, "seed": WHOLE})
    distance = as_distance(distance)
    if len(to_train) != len(images) or not bool((to_train >= 0).all() & to_train.isfinite().all()):
        raise ValueError(
            f"`to_train` must hold a finite distance of at least 0 for each of {len(images)} images, got "
            f"{len(to_train)} numbers, the smallest {float(to_train.min()) if len(to_train) else 0:g}."
        )
    chosen = torch.randperm(len(images), generator=generator(seed, "anchor"))[:MOST].sort().values
    if len(chosen) < LEAST:
        return None
    some = images if len(chosen) == len(images) else taken(images, chosen)
    found = nearest(some, some, NEIGHBORS, distance=distance, exclude_self=True)
    return Anchor(
        distance.radius(to_train[chosen]),
        distance.radius(found.distances),
        found.indices,
        held_out,
        clusters(some, distance, seed=seed),
    )


def anchor_among(
    train: Float[Tensor, "k *shape"],
    distance: str | Distance = "l2",
    *,
    search: Searcher = nearest,
    seed: int,
) -> Anchor | None:
    """The anchor of training images, each against all others.

    Arguments:
        train: The training images, each there once, with shape (K, *shape).
        distance: The distance.
        search: What finds the training images nearest to others.
        seed: Seed of the choice among more than 10,000 images.

    Returns:
        The anchor, or None with fewer than `LEAST` images.

    Raises:
        ValueError: If an argument is of a wrong kind, or distances and images do not fit.
    """
    check_arguments(locals(), {"train": TENSOR, "seed": WHOLE})
    distance = as_distance(distance)
    if len(train) < LEAST:
        return None
    chosen = torch.randperm(len(train), generator=generator(seed, "anchor among"))[:MOST].sort().values
    some = train if len(chosen) == len(train) else taken(train, chosen)
    found = search(some, train, 2, distance=distance)
    others = (found.indices != chosen[:, None]).int().argmax(dim=1, keepdim=True)
    to_train = found.distances.gather(1, others)[:, 0]
    return anchor_of(to_train, some, distance, held_out=False, seed=seed)


def _quantile(
    distances: Float64[Tensor, " h"], alpha: float, d: float | None, *, paired: bool = False
) -> Quantile:
    count = len(distances)
    ordered = distances.sort().values
    beta = max(alpha, RANK / (count + 1))
    plain = _order_statistic(ordered, math.floor(alpha * (count + 1) + 1e-9))
    if beta == alpha or d is None:
        return Quantile(plain, carried=False, lawful=True)
    upper = _order_statistic(ordered, math.floor(beta * (count + 1) + 1e-9))
    if upper is None:
        return Quantile(None, carried=False, lawful=True)
    value = upper * (alpha / beta) ** (1 / d)
    below, shared = ordered[ordered < upper], 2 if paired else 1
    excess = math.ceil(int((below <= value).sum()) / shared) - 1
    too_many = float(binom.sf(excess, count // shared, alpha))
    slow = float(gamma.sf(d * float((upper / below).log().sum()) / shared, max(1, len(below)) / shared))
    if min(too_many, slow) >= GUARD:
        return Quantile(value, carried=True, lawful=True)
    return Quantile(plain, carried=False, lawful=False)


def _order_statistic(ordered: Float64[Tensor, " h"], rank: int) -> float | None:
    """The largest value that at most `rank` distances do not exceed: that of the rank, or just below a tie.

    Two images are often each other's nearest, so ties are usual. None for a rank below 1, and where only 0 is
    left.
    """
    if rank < 1:
        return None
    if rank >= len(ordered):
        return float(ordered[-1])
    value, following = float(ordered[rank - 1]), float(ordered[rank])
    if value < following:
        return value
    return math.nextafter(following, 0.0) if following > 0 else None

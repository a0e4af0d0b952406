r"""What is odd about the real images that the `null` rule hangs on.

- **Near copies among them.** If more than chance allows lie nearer to each other than a share `RARE` of
  images would (:math:`\delta(.001)`; low distances come in pairs, so half as many are counted, against a
  Poisson law), or a gap of the kind that near copies leave parts some from the rest (`spurion.phases.leaks`).
  Only those count whose tenth neighbor is far: in a dense kind of images it is near as well.
- **Groups of unlike density.** The rule keeps its promise for all images together; in a dense group, such as
  the digit 1, it may call far more honest samples copies. Of groups by k-means, the one whose share below
  :math:`\delta(.05)` is least likely to be chance.
- **An unstable dimension.** By how much thresholds would move, had the dimension been read off the five
  nearest neighbors instead of ten.
"""

__all__ = ["RealImages", "Uneven", "real_reading"]

import math

import torch
from jaxtyping import Float64
from pydantic import Field
from scipy.stats import binom, poisson
from torch import Tensor

from spurion.core.config import Config
from spurion.core.quantities import Count, Positive, PValue, Share, Size
from spurion.core.quantities import Distance as Length
from spurion.neighbors import Distance
from spurion.phases.anchor import Anchor, dimension
from spurion.phases.leaks import FACTOR, near_leaks

RARE = 0.001
"""The share of images that lies below the distance at which near copies are counted."""

COMMON = 0.05
"""The share at which groups are compared, where there are enough images below the threshold."""

FEWER = 5
"""Neighbors from which the dimension is read once more."""


class Uneven(Config):
    """The group of real images whose own false rate is least likely to be chance."""

    share: Share = Field(description="Share of the real images that are in it.")
    rate: Share = Field(description="Share of the group below the threshold of the compared share.")
    overall: Share = Field(description="The same of all real images.")
    p_value: PValue = Field(description="Small if more of the group lie below it, for all groups together.")


class RealImages(Config):
    """The real images that the `null` rule hangs on, and what is odd about them."""

    held_out: bool
    images: Size
    typical: Length = Field(description="Median distance to the nearest other one, at the sample size m0.")
    near_copies: Count = Field(description="Images that are near copies of another one.")
    near_copies_p_value: PValue
    shift: Positive = Field(
        description="Factor by which a threshold would change with the dimension of five neighbors, above 1."
    )
    uneven: Uneven | None = Field(None, description="Null without groups.")


def real_reading(anchor: Anchor, alpha: float, sample_size: int, distance: Distance) -> RealImages:
    """What is odd about the images of an anchor.

    Arguments:
        anchor: The real images.
        alpha: The share of new images that may be called copies.
        sample_size: The number of samples at which repetitions are counted.
        distance: Whose unit lengths have.
    """
    count, p_value = _near_copies(anchor)
    typical = anchor.spacing(0.5, sample_size).value or 0.0
    return RealImages(
        held_out=anchor.held_out,
        images=len(anchor),
        typical=float(distance.value(torch.tensor(typical, dtype=torch.float64))),
        near_copies=count,
        near_copies_p_value=p_value,
        shift=_shift(anchor, alpha, sample_size),
        uneven=_uneven(anchor),
    )


def _near_copies(anchor: Anchor) -> tuple[int, float]:
    apart, radius = anchor.to_others, _lawful_radius(anchor)
    lonely = anchor.distances[:, -1] >= FACTOR * apart
    below = 0 if radius is None else int(((apart <= radius) & lonely).sum())
    p_value = float(poisson.sf(math.ceil(below / 2) - 1, len(anchor) * RARE / 2)) if below else 1.0
    distinct = apart[apart > 0].unique()
    parted = near_leaks(distinct)
    if len(parted):
        near = apart <= distinct[parted].max()
        if 2 * int((near & lonely).sum()) >= int(near.sum()):
            return max(below, int((near & lonely).sum())), min(p_value, 0.01)
    return below, p_value


def _lawful_radius(anchor: Anchor) -> float | None:
    """The distance to another image that a share `RARE` has by the law of distances, held or not."""
    d, size = anchor.dimension, len(anchor)
    if d is None:
        return None
    beta = max(RARE, anchor.beta)
    quantile = float(anchor.to_others.sort().values[int(beta * (size + 1) + 1e-9) - 1])
    return float(quantile * (RARE / beta) ** (1 / d))


def _shift(anchor: Anchor, alpha: float, sample_size: int) -> float:
    """The larger factor of the two thresholds."""
    d = anchor.dimension
    other = float(dimension(anchor.distances[None, :, :FEWER])[0])
    if d is None or not math.isfinite(other) or other <= 0:
        return 1.0
    beta = max(alpha, anchor.beta)
    logs = math.log(alpha / beta), math.log(alpha / beta * (len(anchor) - 1) / max(1, sample_size - 1))
    return math.exp(max(abs(log * (1 / other - 1 / d)) for log in logs))


def _uneven(anchor: Anchor) -> Uneven | None:
    groups = anchor.groups
    if groups is None or int(groups.max()) < 1:
        return None
    ordered: Float64[Tensor, " h"] = anchor.to_train.sort().values
    below = anchor.to_train <= ordered[max(1, round(COMMON * len(anchor))) - 1]
    overall, number = float(below.double().mean()), int(groups.max()) + 1
    found = []
    for group in range(number):
        inside = below[groups == group]
        if len(inside):
            p_value = float(binom.sf(int(inside.sum()) - 1, len(inside), overall))
            found.append((min(1.0, number * p_value), len(inside), float(inside.double().mean())))
    p_value, size, rate = min(found)
    return Uneven(share=size / len(anchor), rate=rate, overall=overall, p_value=p_value)

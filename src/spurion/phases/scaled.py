"""Fractions against the threshold.

Every fraction stands on a threshold. This curve shows what it would be had both thresholds been larger or
smaller by a common factor: flat around 1 where the histogram has an empty valley, steep where the
classes are a matter of where one draws the line.
"""

__all__ = ["FACTORS", "Sensitivity", "sensitivity"]

from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from spurion.core.config import Config
from spurion.core.quantities import Positive, Share, check_lengths
from spurion.phases.classification import CLASSES, class_shares
from spurion.phases.rules import ThresholdInfo

FACTORS = tuple(2.0 ** (step / 8) for step in range(-16, 17))
"""The factors: 8 to the octave, from 1/4 to 4, 1 among them."""


class Sensitivity(Config):
    """Class fractions as both thresholds are scaled by common factors."""

    factors: tuple[Positive, ...] = Field(max_length=1000)
    memorized: tuple[Share, ...]
    spurious: tuple[Share, ...]
    generalized: tuple[Share, ...]

    @model_validator(mode="after")
    def _one_share_each(self) -> "Sensitivity":
        shares = {name: getattr(self, name) for name in CLASSES}
        check_lengths("factors", len(self.factors), **shares)
        return self


def sensitivity(
    distance_train: Float[Tensor, " n"], distance_sample: Float[Tensor, "n *k"], thresholds: ThresholdInfo
) -> Sensitivity:
    """Class fractions with both thresholds scaled by the same factor, from 1/4 to 4.

    Arguments:
        distance_train: Distance of each sample to its nearest training image, with shape (n,), n >= 1.
        distance_sample: Distance of each sample to its nearest other sample, with shape (n,); or to the k
            nearest, with shape (n, k), as for `classify`.
        thresholds: Both thresholds, in the unit of the distances; the factor 1 stands for them.

    Returns:
        The fractions in [0, 1] at each factor; at every factor the three add up to 1.

    Raises:
        ValueError: If there is no sample, a threshold is missing, or a distance is NaN or negative.
    """
    if len(distance_train) == 0:
        raise ValueError("`distance_train` must hold at least one sample, got none.")
    found = [
        class_shares(distance_train / factor, distance_sample / factor, thresholds) for factor in FACTORS
    ]
    memorized, spurious, generalized = zip(*found, strict=True)
    return Sensitivity(factors=FACTORS, memorized=memorized, spurious=spurious, generalized=generalized)

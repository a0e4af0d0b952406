"""What a metric of copying is handed and what it gives back."""

__all__ = ["Evidence", "Metric"]

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float, Float64
from pydantic import Field
from torch import Tensor

from spurion.core.config import Config
from spurion.core.quantities import Label, Number
from spurion.neighbors import Neighbors
from spurion.phases.null import NullTest
from spurion.statistics.intervals import Interval


class Metric(Config):
    """A metric as users of other tools know it, with its source and what to know before comparing it."""

    name: Label
    value: Number | None = Field(description="Null if it could not be computed; the note says why.")
    interval: Interval | None = Field(None, description="95 % interval where the value is a share.")
    source: str = Field(description="Where the metric comes from.")
    note: str = Field(description="How to read it, and which convention was followed.")


@dataclass(frozen=True)
class Evidence:
    """Everything a metric may look at.

    Attributes:
        samples: The samples as vectors whose Euclidean distance is meant, with shape (M, d).
        train: The training images likewise, with shape (K, d).
        holdout: The held-out images likewise, with shape (H, d), or None.
        to_train: The training images nearest to each sample, as deep as possible up to 50.
        groups: Duplicates in the training set, from `duplicate_groups`.
        null: The held-out null, if there are held-out images.
        gaps: The distance of each sample's nearest training image to its own nearest other one, duplicates
            left out, with shape (M,); looked up where needed if None.
    """

    samples: Float[Tensor, "m d"]
    train: Float[Tensor, "k d"]
    holdout: Float[Tensor, "h d"] | None
    to_train: Neighbors
    groups: Sequence[Sequence[int]] = ()
    null: NullTest | None = None
    gaps: Float64[Tensor, " m"] | None = None

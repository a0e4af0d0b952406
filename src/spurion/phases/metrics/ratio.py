r"""Share of samples that are much nearer to one training image than to any other.

With :math:`d_1` the distance to the nearest training image and :math:`d_2` to the second nearest, a sample is
called a copy if

.. math:: d_1 / d_2 < 1/3 .

An image that is in the training set twice has :math:`d_1 = d_2` for its near copies and would never be called
copied, so the second is the nearest image that is no duplicate of the first.

References:
    | Diffusion Probabilistic Models Generalize when They Fail to Memorize (Yoon et al., 2023)
    | On Memorization in Diffusion Models (Gu et al., 2023)
    | https://arxiv.org/abs/2310.02664
"""

__all__ = ["much_nearer", "neighbor_ratio"]

from jaxtyping import Bool, Float
from torch import Tensor

from spurion.phases.metrics.metric import Evidence, Metric
from spurion.phases.partition import second_outside
from spurion.statistics.intervals import proportion

RATIO = 1 / 3
"""Below it a sample is a copy."""


def much_nearer(first: Float[Tensor, " n"], second: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Whether the ratio of the distances to the two nearest different training images is below 1/3."""
    return first < RATIO * second


def neighbor_ratio(evidence: Evidence) -> Metric:
    """The share of samples with a nearest-neighbor ratio below 1/3; see the module."""
    metric = Metric(
        name="nearest-neighbor ratio below 1/3",
        value=None,
        source="Yoon et al. (2023); Gu et al. (2023)",
        note="It needs two different training images.",
    )
    second = second_outside(evidence.to_train, evidence.groups, evidence.samples, evidence.train)
    if not second.isfinite().all():
        return metric
    copied = int(much_nearer(evidence.to_train.distances[:, 0], second).sum())
    share = proportion(copied, len(second))
    note = "Share of samples. In a dense training set the two neighbors are equally near and it sees no copy."
    if evidence.groups:
        note += " The second neighbor is no duplicate of the first."
    return metric.model_copy(update={"value": share.value, "interval": share, "note": note})

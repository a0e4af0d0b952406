r"""Carlini's l2 with a local scale: near for this neighborhood, not near in numbers.

For a sample :math:`\hat x` with its n nearest training images :math:`S_{\hat x}`, the first of them x,

.. math:: \ell(\hat x, x; S_{\hat x}) = \frac{\lVert \hat x - x \rVert_2}
          {\alpha \cdot \frac{1}{n} \sum_{y \in S_{\hat x}} \lVert \hat x - y \rVert_2},
          \qquad \alpha = 0.5, \quad n = 50 .

Below 1 the sample is nearer to x than half the mean distance of its neighborhood. Plain images without detail
are near to many images, and this scale keeps them from being called copies.

References:
    | Extracting Training Data from Diffusion Models (Carlini et al., 2023), Sec. 5.1
    | https://arxiv.org/abs/2301.13188
"""

__all__ = ["NEIGHBORHOOD", "local_scale", "locally_near"]

from jaxtyping import Bool, Float
from torch import Tensor

from spurion.phases.metrics.metric import Evidence, Metric
from spurion.statistics.intervals import proportion

NEIGHBORHOOD = 50
"""Training images that set the scale (n)."""

ALPHA = 0.5


def locally_near(distances: Float[Tensor, "n k"]) -> Bool[Tensor, " n"]:
    """Whether images have a scaled distance below 1, from those to their nearest training images."""
    return distances[:, 0] < ALPHA * distances.mean(dim=1)


def local_scale(evidence: Evidence) -> Metric:
    """The share of samples with a scaled distance below 1; see the module."""
    distances = evidence.to_train.distances[:, :NEIGHBORHOOD]
    depth = distances.shape[1]
    metric = Metric(
        name="l2 with local scale below 1",
        value=None,
        source="Carlini et al. (2023)",
        note="It needs at least two training images.",
    )
    if depth < 2:
        return metric
    copied = int(locally_near(distances).sum())
    share = proportion(copied, len(distances))
    note = (
        f"Share of samples nearer to a training image than half the mean distance of the {depth} nearest, "
        "that image included. The paper ranks by the scaled distance and names no bound; 1 is ours."
    )
    if evidence.groups:
        note += " Duplicates in the training set shrink the scale and hide copies."
    return metric.model_copy(update={"value": share.value, "interval": share, "note": note})

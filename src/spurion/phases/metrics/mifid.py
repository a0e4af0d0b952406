r"""The memorization penalty of MiFID: how near the samples point to training images.

.. math:: m = \frac1M \sum_{i=1}^M \min_j \left( 1 - \frac{| x_i \cdot y_j |}
          {\lVert x_i \rVert \lVert y_j \rVert} \right), \qquad
          \mathrm{MiFID} = \mathrm{FID} / \begin{cases} m & m < \epsilon \\ 1 & \text{else} \end{cases}

with samples x, training images y and :math:`\epsilon = 0.1`. What is reported is the divisor: m, or 1 where
m reaches :math:`\epsilon`; 0 if every sample is a copy.

With unit vectors, :math:`1 - |u \cdot v| = \min(\lVert u - v \rVert^2, \lVert u + v \rVert^2) / 2`, so it
is a nearest-neighbor search for u and one for -u. The mean is over samples, as in the paper; torchmetrics
takes it over the training images instead, and drops rows whose sum is 0 where it means rows that are 0.

References:
    | On Training Sample Memorization: Lessons from Benchmarking Generative Modeling with a Large-scale
    | Competition (Bai et al., 2021), Sec. 3
    | https://arxiv.org/abs/2106.03062
"""

__all__ = ["cosine_penalty"]

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from spurion.core.random import generator
from spurion.data.storage import room, taken
from spurion.neighbors import nearest
from spurion.phases.metrics.metric import Evidence, Metric

EPSILON = 0.1
"""From this mean distance on there is no penalty."""

MOST_SAMPLES = 2_000
"""Samples, at most, of which the mean is taken."""

PART = 1_000
"""Rows that are scaled at once, at most; together they have at most `PART_ELEMENTS` numbers."""

PART_ELEMENTS = 2**22


def cosine_penalty(evidence: Evidence, *, seed: int) -> Metric:
    """The number by which MiFID divides FID; see the module.

    Arguments:
        evidence: Samples and training images.
        seed: Seed of the choice of samples where there are more than 2,000.
    """
    metric = Metric(
        name="MiFID divisor",
        value=None,
        source="Bai et al. (2021)",
        note="It needs a sample and a training image that are not 0 everywhere.",
    )
    order = torch.randperm(len(evidence.samples), generator=generator(seed, "cosine penalty"))
    chosen = _directions(evidence.samples[order[:MOST_SAMPLES]])
    train = _directions(evidence.train)
    if not len(chosen) or not len(train):
        return metric
    either = [nearest(sign * chosen, train).distances[:, 0] for sign in (1.0, -1.0)]
    mean = float((torch.minimum(*either).square() / 2).mean())
    note = (
        f"1: no penalty; 0: every sample is a copy. Mean cosine distance of {len(chosen)} samples to the "
        f"training set: {mean:.4g}, a penalty below {EPSILON:g}. Meant for features of a network."
    )
    return metric.model_copy(update={"value": mean if mean < EPSILON else 1.0, "note": note})


def _directions(rows: Float[Tensor, "n d"]) -> Float32[Tensor, "m d"]:
    """The rows that are not 0, scaled to length 1 in double precision and rounded."""
    directions = room(tuple(rows.shape), torch.float32, "the directions of a set")
    known = torch.zeros(len(rows), dtype=torch.bool)
    for part in torch.arange(len(rows)).split(min(PART, max(1, PART_ELEMENTS // rows.shape[1]))):
        largest = rows[part].abs().amax(dim=1, keepdim=True).double()
        known[part] = largest[:, 0] > 0
        scaled = rows[part].double() / largest  # no square over- or underflows
        directions[part] = (scaled / torch.linalg.vector_norm(scaled, dim=1, keepdim=True)).float()
    return directions if known.all() else taken(directions, known.nonzero()[:, 0])

r"""The generalization gap of FLD: is the density of the samples higher at training images than at new ones?

The samples make a density, a Gaussian of its own width around each, in coordinates scaled to mean 0 and
variance 1 over the held-out images:

.. math:: p(x) = \frac1M \sum_{j=1}^M \mathcal N(x;\, g_j, \sigma_j^2 I), \qquad
          \sigma = \arg\max_\sigma \sum_{x \in S} \log p(x) .

A width shrinks to nothing where a sample is a copy of a training image, and the density there soars (some
widths stay large, for every training image must have a density). Hence

.. math:: \mathrm{gap} = \frac{100}{d} \left( \mathrm{NLL}_\text{train} - \mathrm{NLL}_\text{new} \right) ,

slightly below 0 for honest samples (the widths are fitted to the training set), far below for copies.

**Convention.** The widths are fitted by expectation maximization from the width that is best for the nearest
training image, :math:`\sigma_j^2 \leftarrow \sum_i r_{ij} d_{ij}^2 / (d \sum_i r_{ij})`, in at most 50 steps;
:math:`\sigma_j^2 \geq e^{-20}`, so that a copied image adds at most about 1,000. The authors use 50 steps of
Adam and, while fitting, an extra wide Gaussian. So compare gaps of this program with each other only,
and only at equal numbers of samples: with more Gaussians more training images are near one.

The whole training set takes part, for a copy of an image that is left out would not be seen; of the samples
as many as keep the table of distances below 2^25 numbers.

References:
    | Feature Likelihood Divergence (Jiralerspong et al., 2023), Sec. 3
    | https://arxiv.org/abs/2302.04440
"""

__all__ = ["likelihood_gap"]

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from spurion.core.random import generator
from spurion.data.storage import taken
from spurion.phases.metrics.metric import Evidence, Metric

MOST_PAIRS = 2**25
"""Distances of samples and training images that are held at once, in single precision."""

PART = 1_000
"""Images that are scaled at once, at most; together they have at most `PART_ELEMENTS` numbers."""

PART_ELEMENTS = 2**22

CENTER_ELEMENTS = 2**26
"""Numbers of the samples that are held in double precision."""

STEPS = 50
LEAST_VARIANCE = math.exp(-20)
TOLERANCE = 1e-4
"""The fit ends when a step gains less than this, in nats for each image and coordinate."""


def likelihood_gap(evidence: Evidence, *, seed: int) -> Metric:
    """100 / d times the difference of mean negative log-likelihoods; see the module.

    Arguments:
        evidence: Samples, training images and held-out images.
        seed: Seed of the choice of samples where there are too many.
    """
    metric = Metric(
        name="FLD generalization gap",
        value=None,
        source="Jiralerspong et al. (2023)",
        note="It needs held-out images that differ from each other.",
    )
    if evidence.holdout is None:
        return metric
    mean, spread = _scale(evidence.holdout)
    if not (spread > 0).any():
        return metric
    most = max(1, MOST_PAIRS // max(len(evidence.train), len(evidence.holdout)))
    chosen = torch.randperm(len(evidence.samples), generator=generator(seed, "likelihood gap"))[:most]
    dim = int((spread > 0).sum())

    def scaled(images: Float[Tensor, "n d"]) -> Float64[Tensor, "n dim"]:
        return ((images.double() - mean) / spread)[:, spread > 0]

    centers = taken(evidence.samples, chosen)
    train, holdout = (_table(images, centers, scaled) for images in (evidence.train, evidence.holdout))
    variances = _fit(train, dim)
    gap = _mean_log(holdout, variances, dim) - _mean_log(train, variances, dim)
    note = (
        f"Far below 0: copies. Gaussians around {len(chosen)} of {len(evidence.samples)} samples, widths by "
        "expectation maximization on all training images; compare at equal numbers only. Meant for features."
    )
    return metric.model_copy(update={"value": 100 * gap / dim, "note": note})


def _scale(images: Float[Tensor, "n d"]) -> tuple[Float64[Tensor, " d"], Float64[Tensor, " d"]]:
    """Mean and standard deviation of every coordinate, some coordinates at a time."""
    step = 64 * max(1, PART_ELEMENTS // (64 * len(images)))
    moments = []
    for part in images.split(step, dim=1):
        exact = part.double()
        moments.append(torch.stack([exact.mean(dim=0), exact.std(dim=0, unbiased=False)]))
    mean, spread = torch.cat(moments, dim=1)
    return mean, spread


def _table(
    images: Float[Tensor, "n d"], centers: Float[Tensor, "m d"], scaled: Callable[[Tensor], Tensor]
) -> Float[Tensor, "n m"]:
    """The squared distances of scaled images and centers."""
    dim = images.shape[1]
    table = torch.empty(len(images), len(centers), dtype=torch.float32)
    rows, width = min(PART, max(1, PART_ELEMENTS // dim)), max(1, CENTER_ELEMENTS // dim)
    for columns, some in zip(table.split(width, dim=1), centers.split(width), strict=True):
        placed = scaled(some)
        for mine, part in zip(columns.split(rows), images.split(rows), strict=True):
            mine.copy_(_squares(scaled(part), placed))
    return table


def _squares(x: Float64[Tensor, "n d"], y: Float64[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """Squared distances; products in double precision lose what is below 1e-13 of a coordinate's variance."""
    squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
    return squares.addmm_(x, y.T, alpha=-2).clamp_(min=0).float()


def _fit(distances: Float[Tensor, "n m"], dim: int) -> Float64[Tensor, " m"]:
    """The variances under which the n images are likeliest; see the module."""
    variances = (distances.amin(dim=0).double() / dim).clamp(min=LEAST_VARIANCE)
    before = -math.inf
    for _ in range(STEPS):
        logs = _logs(distances, variances, dim)
        total = logs.logsumexp(dim=1, keepdim=True)
        gained = float(total.double().mean()) / dim - before
        if gained < TOLERANCE:
            break
        before += gained if math.isfinite(before) else 0.0
        shares = logs.sub_(total).exp_()
        weights = shares.sum(dim=0).double()
        fitted = shares.mul_(distances).sum(dim=0).double() / (dim * weights).clamp(min=1e-300)
        variances = torch.where(weights > 1e-6, fitted, variances).clamp(min=LEAST_VARIANCE)
    return variances


def _logs(
    distances: Float[Tensor, "n m"], variances: Float64[Tensor, " m"], dim: int
) -> Float[Tensor, "n m"]:
    """The logarithm of each Gaussian at each image, but for a constant that drops out of every difference."""
    return (distances * (-0.5 / variances).float()).add_((-0.5 * dim * variances.log()).float())


def _mean_log(distances: Float[Tensor, "n m"], variances: Float64[Tensor, " m"], dim: int) -> float:
    """The mean log-likelihood of the images, but for the same constant."""
    return float(_logs(distances, variances, dim).logsumexp(dim=1).double().mean())

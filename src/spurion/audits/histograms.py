"""Histograms of the distances of an audit, small enough to be stored whole."""

__all__ = ["histograms"]

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.audits.measurement import Measurement
from spurion.audits.results import Histograms

BINS = 60


def histograms(measurement: Measurement) -> Histograms:
    """Count the distances of samples and of held-out images in common bins.

    The bins are equally wide in log distance and cover every positive distance; distances of exactly 0
    stand in the first.
    """
    groups = [measurement.distance_train, measurement.distance_sample, measurement.holdout_train]
    known = torch.cat(groups)
    positive = known[(known > 0) & known.isfinite()]
    low, high = (float(positive.min()), float(positive.max())) if len(positive) else (0.1, 1.0)
    ends = torch.tensor([low / 1.001, max(high, low * 1.01) * 1.001], dtype=torch.float64).log()
    edges = torch.linspace(float(ends[0]), float(ends[1]), BINS + 1, dtype=torch.float64).exp()
    train, samples, holdout = (_counts(group, edges) for group in groups)
    return Histograms(
        edges=tuple(edges.tolist()),
        train=train,
        samples=samples,
        holdout=holdout if len(measurement.holdout_train) else None,
    )


def _counts(distances: Float[Tensor, " n"], edges: Float[Tensor, " edges"]) -> tuple[int, ...]:
    inside = distances[distances.isfinite()]
    bins = (torch.searchsorted(edges, inside.double(), right=True) - 1).clamp(0, BINS - 1)
    return tuple(bins.bincount(minlength=BINS).tolist())

"""The images that an audit keeps for the eye: the nearest samples, some of all others, the most copied."""

__all__ = ["chosen"]

from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

from spurion.audits.measurement import Measurement
from spurion.phases.exposed import Exposure

NEAREST = 24
"""Samples that are nearest to the training set."""

SPREAD = 24
"""Samples at even ranks over all distances."""

COPIED = 20
"""Most copied training images, each with its nearest sample."""


def chosen(measurement: Measurement, exposed: Sequence[Exposure]) -> Int64[Tensor, " g"]:
    """Which samples to keep, nearest to the training set first, each once."""
    ranked = measurement.distance_train.argsort(stable=True)
    places = torch.linspace(0, len(ranked) - 1, min(SPREAD, len(ranked))).round().long()
    first = measurement.first_equal[measurement.nearest_train[ranked]]
    copied = [ranked[first == image.train_index][:1] for image in exposed[:COPIED]]
    kept = torch.cat([ranked[:NEAREST], ranked[places], *copied]).unique()
    answer: Int64[Tensor, " g"] = kept[measurement.distance_train[kept].argsort(stable=True)]
    return answer

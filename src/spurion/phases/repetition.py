r"""Repetitions at a stated number of samples.

How many samples have another one within :math:`\delta_s` grows with their number, so a threshold that keeps
a promise does so for one number :math:`m_0` of samples. Of M samples, of which sample i has :math:`n_i`
others within :math:`\delta_s`, a random subset of :math:`m_0` that holds i holds one of these with
probability

.. math:: w_i = 1 - \binom{M - 1 - n_i}{m_0 - 1} \Big/ \binom{M - 1}{m_0 - 1} ,

exactly (`spurion.phases.rarefied`). The spurious share is the mean of :math:`w_i` over the samples, counting
0 for memorized ones; a sample is *called* spurious if :math:`w_i \geq 1/2`: if it is more likely than not to
be met again among :math:`m_0` samples. With :math:`m_0 = M`, :math:`w_i` is 1 or 0, and both say the same.

:math:`w_i` is known from the nearest others, for beyond `depth` of them it is 1 but for :math:`10^{-7}`.
"""

__all__ = ["USUAL", "depth", "repeats", "size_of"]

import math
from numbers import Real
from typing import cast

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from spurion.core.arguments import TENSOR, WHOLE, check_arguments, optional

USUAL = 1000
"""The number of samples at which repetitions are counted, or all where there are fewer."""

CERTAIN = 16.0
"""Expected number of duplicates in the subset beyond which a sample is surely repeated: exp(-16) is 1e-7."""


def size_of(sample_size: int | None, samples: int) -> int:
    """The number of samples at which repetitions are counted: what was asked for, at most all."""
    return samples if sample_size is None else min(sample_size, samples)


def depth(samples: int, sample_size: int | None) -> int:
    """How many of the nearest other samples must be known, for each of a number of samples.

    Example:
        >>> depth(2000, None), depth(2000, 1000), depth(10, 5)
        (1, 33, 9)
    """
    size = size_of(sample_size, samples)
    if size == samples or size < 2:
        return min(1, samples - 1)
    return min(samples - 1, math.ceil(CERTAIN * (samples - 1) / (size - 1)))


def repeats(
    to_samples: Float[Tensor, "m k"],
    thresholds: Float[Tensor, " g"] | float,
    sample_size: int | None = None,
) -> Float64[Tensor, "*g m"]:
    r"""The probability :math:`w_i` of each sample to have a duplicate among :math:`m_0` samples.

    Arguments:
        to_samples: The distances of each of M samples to its nearest others, ascending, with shape (M, k), k
            at least `depth` (or all others there are).
        thresholds: :math:`\delta_s`, one or several, in the unit of the distances.
        sample_size: The number :math:`m_0` of samples; None for all.

    Returns:
        The probabilities in [0, 1], with shape (M,), or (g, M) for several thresholds.

    Raises:
        ValueError: If too few neighbors are given, or an argument is of a wrong kind or out of range.

    Example:
        >>> near = torch.tensor([[0.1, 0.2], [0.1, 0.3], [0.2, 0.3]])
        >>> repeats(near, 0.2), repeats(near, 0.2, 2)
        (tensor([1., 1., 1.], dtype=torch.float64), tensor([1.0000, 0.5000, 0.5000], dtype=torch.float64))
    """
    _check(to_samples, thresholds, sample_size)
    samples, known = to_samples.shape
    size, needed = size_of(sample_size, samples), depth(samples, sample_size)
    if known < needed:
        raise ValueError(
            f"`to_samples` must hold the {needed} nearest others of each of {samples} samples, for "
            f"repetitions among {size} of them, got {known}."
        )
    table = _met_again(samples, size, known)
    if not isinstance(thresholds, Tensor) or thresholds.ndim == 0:
        return table[(to_samples <= thresholds).sum(dim=1)]
    return torch.stack([table[(to_samples <= value).sum(dim=1)] for value in thresholds])


def _check(to_samples: object, thresholds: object, sample_size: object) -> None:
    kinds = {
        "to_samples": TENSOR,
        "thresholds": (Real | Tensor, "a number or a tensor of numbers"),
        "sample_size": optional(WHOLE),
    }
    given = {"to_samples": to_samples, "thresholds": thresholds, "sample_size": sample_size}
    check_arguments(given, kinds)
    if cast(Tensor, to_samples).ndim != 2:
        raise ValueError(
            "`to_samples` must hold the nearest others of each sample in a row, with shape (M, k)."
        )
    if isinstance(sample_size, int) and sample_size < 1:
        raise ValueError(f"`sample_size` must be at least 1, got {sample_size}.")
    limits = torch.as_tensor(thresholds)
    if limits.ndim > 1 or not bool((limits >= 0).all()):
        raise ValueError("`thresholds` must be one number of at least 0, or several in a row.")


def _met_again(samples: int, size: int, most: int) -> Float64[Tensor, " most_plus_1"]:
    """W for 0 to `most` duplicates; the ratio of binomials is the product of 1 - (m - 1) / (M - 1 - j)."""
    left = samples - 1.0 - torch.arange(most, dtype=torch.float64)
    log_missed = torch.log1p(-((size - 1) / left).clamp(max=1.0)).cumsum(0)
    return torch.cat([torch.zeros(1, dtype=torch.float64), -torch.expm1(log_missed)])

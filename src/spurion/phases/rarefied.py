r"""Spurious share against the number of samples, exactly.

A sample is spurious if it is not memorized and another sample lies within :math:`\delta_s` of it (Pham et
al., 2025, Eq. 10). The more samples, the likelier such a neighbor, so the spurious share grows with
their number and is no property of the model alone. This module says what it would have been with fewer.

Let sample :math:`i` of :math:`M` have :math:`n_i` other samples within :math:`\delta_s`. In a random subset
of :math:`m` samples that holds sample :math:`i`, none of the :math:`n_i` appears with probability
:math:`\binom{M-1-n_i}{m-1} / \binom{M-1}{m-1}`, so the expected spurious share of the subset is

.. math:: f(m) = \frac{1}{M} \sum_{i \text{ not memorized}}
          \left[ 1 - \binom{M-1-n_i}{m-1} \Big/ \binom{M-1}{m-1} \right] .

No subset is drawn. :math:`f(1) = 0`; :math:`f(M)` is the spurious fraction itself; :math:`f` never falls.
What does not depend on the number of samples is the collision rate
:math:`P(d(X, X') \leq \delta_s)` of two samples, whose unbiased estimate is the share of pairs that collide.
"""

__all__ = ["Rarefaction", "collision_rate", "rarefaction"]

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int
from pydantic import Field, model_validator
from torch import Tensor

from spurion.core.config import Config
from spurion.core.quantities import Count, Share, Size, check_lengths

DEFAULT_SIZES = 40
"""Number of default subset sizes, before equal ones are merged."""


class Rarefaction(Config):
    """The spurious share expected among m samples, for m up to the number drawn."""

    sample_sizes: tuple[Size, ...] = Field(max_length=10_000)
    spurious: tuple[Share, ...]
    samples: Size = Field(description="Number M of samples drawn.")
    neighbors: tuple[tuple[Size, Count], ...] = Field(
        description="Pairs (n, samples with n > 0 duplicates that are not memorized): the whole curve."
    )

    @model_validator(mode="after")
    def _one_share_each(self) -> "Rarefaction":
        check_lengths("sample_sizes", len(self.sample_sizes), spurious=self.spurious)
        if max(self.sample_sizes, default=0) > self.samples:
            raise ValueError(f"`sample_sizes` must not exceed the {self.samples} samples, got more")
        return self

    def at(self, size: int) -> float:
        """The expected spurious share f(m) among m = `size` samples, exactly.

        Raises:
            ValueError: If `size` is not between 1 and the number of samples.
        """
        return _at(self.neighbors, self.samples, size)


def rarefaction(
    duplicates: Int[Tensor, " n"], not_memorized: Bool[Tensor, " n"], sizes: Sequence[int] | None = None
) -> Rarefaction:
    r"""Expected spurious share of a random subset of the samples, for subsets of every size asked.

    Arguments:
        duplicates: The number :math:`n_i` of other samples within :math:`\delta_s` of each sample, from 0 to
            M - 1, with shape (M,).
        not_memorized: Whether each sample is not memorized, with shape (M,).
        sizes: The subset sizes m, each from 1 to M. By default some 40, even in log m, 1 and M among them.

    Returns:
        The sizes as given and f(m) in [0, 1], with an absolute error below 1e-12 for M up to 10^6.

    Raises:
        ValueError: If there is no sample, a count is out of range or a size is.

    Example:
        >>> import torch
        >>> pair_and_single = rarefaction(torch.tensor([1, 1, 0]), torch.tensor([True, True, True]))
        >>> pair_and_single.sample_sizes, [round(f, 4) for f in pair_and_single.spurious]
        ((1, 2, 3), [0.0, 0.3333, 0.6667])
    """
    count = _check(duplicates)
    if sizes is None:
        sizes = np.unique(np.geomspace(1, count, DEFAULT_SIZES).round().astype(int)).tolist()
    values, times = duplicates[not_memorized & (duplicates > 0)].unique(return_counts=True)
    neighbors = tuple(zip(values.tolist(), times.tolist(), strict=True))
    return Rarefaction(
        sample_sizes=tuple(sizes),
        spurious=tuple(_at(neighbors, count, size) for size in sizes),
        samples=count,
        neighbors=neighbors,
    )


def _at(neighbors: Sequence[tuple[int, int]], samples: int, size: int) -> float:
    if not 1 <= size <= samples:
        raise ValueError(f"A sample size must lie between 1 and the {samples} samples, got {size}.")
    return _expected(neighbors, samples, size)


def collision_rate(duplicates: Int[Tensor, " n"]) -> float | None:
    r"""Share of pairs of samples within :math:`\delta_s`: :math:`\sum_i n_i / (M (M - 1))`.

    It estimates :math:`P(d(X, X') \leq \delta_s)` without bias, whatever the number of samples.

    Arguments:
        duplicates: The number :math:`n_i` of other samples within :math:`\delta_s` of each sample, from 0 to
            M - 1, with shape (M,).

    Returns:
        The rate in [0, 1], or None for a single sample, which has no pair.

    Raises:
        ValueError: If there is no sample or a count is out of range.
    """
    count = _check(duplicates)
    return float(duplicates.sum()) / (count * (count - 1)) if count > 1 else None


def _check(duplicates: Int[Tensor, " n"]) -> int:
    count = len(duplicates)
    if count == 0:
        raise ValueError("`duplicates` must hold at least one sample, got none.")
    low, high = int(duplicates.min()), int(duplicates.max())
    if low < 0 or high >= count:
        raise ValueError(
            f"`duplicates` must lie between 0 and the {count - 1} other samples, got {low} to {high}."
        )
    return count


def _expected(neighbors: Sequence[tuple[int, int]], count: int, size: int) -> float:
    """f(size), from the number of samples with 1, 2... duplicates.

    The ratio of binomials is the product of (1 - (m - 1) / (M - 1 - j)) over j < n: sums of logarithms of
    small numbers, where log-gammas of large ones would cancel and leave 1e-9. It is 0 for n > M - m.
    """
    if not neighbors:
        return 0.0
    n, times = np.array(neighbors).T
    finite = min(n.max(), count - size)
    log_missed = np.cumsum(np.log1p(-(size - 1) / (count - 1.0 - np.arange(finite))))
    found = np.ones(n.max())
    found[:finite] = -np.expm1(log_missed)
    return float(times @ found[n - 1] / count)

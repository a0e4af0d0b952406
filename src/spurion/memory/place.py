r"""Everything the energy says at a state, from one look at the patterns.

In few dimensions that is the log-partition, the shift to the posterior mean and the posterior covariance; in
many the covariance is never formed, and only its products with vectors are taken.
"""

__all__ = ["DENSE_DIM", "Place", "soft_modes"]

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from spurion.memory.dense import DenseAM
from spurion.memory.sums import attend_and_spread, spread

DENSE_DIM = 64  # up to here the covariance is formed for its spectrum
NEGLIGIBLE = 1e-20  # weight of a pattern that has no part in a spectrum


class Place(NamedTuple):
    """States with what the energy is there.

    Attributes:
        x: The states, with shape (n, D).
        log_partition: log Z, with shape (n).
        shift: m - x, with shape (n, D).
        covariance: The posterior covariance, with shape (n, D, D); None in many dimensions.
    """

    x: Float[Tensor, "n D"]
    log_partition: Float[Tensor, " n"]
    shift: Float[Tensor, "n D"]
    covariance: Float[Tensor, "n D D"] | None

    @classmethod
    def at(cls, memory: DenseAM, x: Float[Tensor, "n D"]) -> "Place":
        """Look at some states."""
        if memory.stored.few:
            betas = x.new_full((len(x),), memory.beta)
            return cls(x, *attend_and_spread(x, betas, memory.stored))
        log_partition, _, shift = memory.posterior(x)
        return cls(x, log_partition, shift, None)

    def some(self, rows: Shaped[Tensor, " k"]) -> "Place":
        """A copy of some of the states, by index or by mask."""
        covariance = None if self.covariance is None else self.covariance[rows]
        return Place(self.x[rows], self.log_partition[rows], self.shift[rows], covariance)

    def put(self, rows: Shaped[Tensor, " k"], others: "Place") -> None:
        """Replace some of the states, in place."""
        for part, other in zip(self, others, strict=True):
            if part is not None and other is not None:
                part[rows] = other

    def spread(
        self, memory: DenseAM, vectors: Float[Tensor, "n D"], wanted: Bool[Tensor, " n"]
    ) -> Float[Tensor, "n D"]:
        """Products C v with one vector for each state; those not wanted may be anything."""
        if self.covariance is not None:
            return (self.covariance @ vectors[:, :, None])[:, :, 0]
        output, here = torch.zeros_like(vectors), self.some(wanted)
        betas = torch.full_like(here.log_partition, memory.beta)
        state = here.x, betas, memory.stored, here.log_partition, here.shift
        output[wanted] = spread(*state, vectors[wanted, None])[:, 0]
        return output

    def modes(self, memory: DenseAM) -> tuple[Float[Tensor, "n r"], Float[Tensor, "n r D"]]:
        """Eigenvalues of the covariance, largest first, with their directions, as `soft_modes`."""
        if self.covariance is None:
            return soft_modes(memory, self.x)
        values, vectors = torch.linalg.eigh(self.covariance)
        return values.flip(1).clamp_min(0), vectors.mT.flip(1)


def soft_modes(
    memory: DenseAM, x: Float[Tensor, "n D"]
) -> tuple[Float[Tensor, "n r"], Float[Tensor, "n r D"]]:
    r"""Eigenvalues of the posterior covariance, largest first, with their directions.

    The Hessian has the eigenvalues :math:`2 - 4\beta\lambda` in these directions and 2 in all others.

    Arguments:
        memory: The memory.
        x: The states, with shape (n, D).

    Returns:
        The eigenvalues, with shape (n, r), and unit vectors, with shape (n, r, D), where r is D, or less
        where fewer patterns have a weight; absent ones are 0.
    """
    if memory.stored.few:
        return Place.at(memory, x).modes(memory)
    if memory.dim <= DENSE_DIM:
        values, vectors = torch.linalg.eigh(memory.posterior_covariance(x))
        return values.flip(1).clamp_min(0), vectors.mT.flip(1)
    modes = [_modes_of_one(memory, state) for state in x]
    rank = max((len(values) for values, _ in modes), default=1)
    all_values, all_vectors = x.new_zeros(len(x), rank), x.new_zeros(len(x), rank, memory.dim)
    for row, (values, vectors) in enumerate(modes):
        all_values[row, : len(values)], all_vectors[row, : len(values)] = values, vectors
    return all_values, all_vectors


def _modes_of_one(memory: DenseAM, x: Tensor) -> tuple[Tensor, Tensor]:
    weight = memory.weights(x[None])[0]
    used = (weight > NEGLIGIBLE).nonzero()[:, 0]
    values = memory.patterns[used]
    weighted = weight[used, None].sqrt() * (values - weight[used] @ values)
    if len(used) > memory.dim:
        values, vectors = torch.linalg.eigh(weighted.T @ weighted)
        return values.flip(0).clamp_min(0), vectors.T.flip(0)
    values, vectors = torch.linalg.eigh(weighted @ weighted.T)
    values = values.flip(0).clamp_min(0)
    return values, torch.nn.functional.normalize(vectors.T.flip(0) @ weighted, dim=1)

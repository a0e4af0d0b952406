r"""Attractor census: how many states are there, and how much of the model has not been seen?

Samples that fall into the same state come out as duplicates. Connect every two samples within
:math:`\delta_s`; the connected components are the *states* that were reached, a set that depends on no order
and no random start. With :math:`f_1, f_2` states reached once and twice among M samples:

- A state reached at least twice is an **attractor** if more than half of its pairs of members are within
  :math:`\delta_s` themselves. Its share of the samples estimates the mass of its basin.
- A component with at most half of its pairs within :math:`\delta_s` is a **chain**: neighbor after neighbor,
  as on a densely sampled manifold of generalized samples, or two attractors joined by a sample between
  them. It is no single state, so it is counted and weighed apart.
- An attractor is memorized if at least half of its members are, else spurious.
- The **unseen mass** is the Good-Turing estimate :math:`f_1 / M` of the probability that the next sample
  duplicates none of those seen. Its expectation is that probability after M - 1 samples, exactly: leave
  each sample out in turn. Chains do not disturb it.
- **Chao1**, :math:`S + f_1 (f_1 - 1) / (2 (f_2 + 1))` with S the states seen (a chain as one), estimates a
  lower bound of the number of states, unseen ones included. Without any duplicate there is no estimate.

Shares, chained mass and unseen mass add up to 1.

References:
    | The Population Frequencies of Species (Good, 1953)
    | Nonparametric Estimation of the Number of Classes in a Population (Chao, 1984); bias-corrected form
"""

__all__ = ["Census", "census", "components"]

import numpy as np
import torch
from jaxtyping import Int, Int64
from pydantic import Field, model_validator
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from spurion.core.config import Config
from spurion.core.quantities import Count, Distance, Share, check_lengths
from spurion.neighbors import Pairs
from spurion.phases.classification import CLASSES


class Census(Config):
    """Clusters of mutual duplicates among the samples: how many attractors, and how much is unseen."""

    attractors: Count = Field(description="States reached at least twice, chains left out.")
    memorized: Count = Field(description="Attractors of which at least half of the samples are memorized.")
    spurious: Count = Field(description="All other attractors.")
    unseen_mass: Share = Field(description="Probability that the next sample duplicates none seen.")
    chao1: Distance | None = Field(
        description="Lower bound of the number of states; null without duplicates."
    )
    shares: tuple[Share, ...] = Field(description="Share of samples of each attractor, largest first.")
    chains: Count = Field(description="Strings of neighbors that are not one state.")
    chained_mass: Share = Field(description="Share of samples in chains.")

    @model_validator(mode="after")
    def _one_share_each(self) -> "Census":
        check_lengths("attractors", self.attractors, shares=self.shares)
        if self.memorized + self.spurious != self.attractors:
            raise ValueError(
                f"`memorized` and `spurious` must add up to the {self.attractors} attractors, got "
                f"{self.memorized} and {self.spurious}"
            )
        return self


def census(pairs: Pairs, labels: Int[Tensor, " n"]) -> Census:
    r"""Count the attractors among samples; see the module.

    Arguments:
        pairs: The pairs of samples within :math:`\delta_s`, each in both directions and without self-pairs:
            ``within(samples, samples, delta_s, exclude_self=True)``.
        labels: The class of each sample as an index into `CLASSES`, with shape (M,).

    Raises:
        ValueError: If there is no sample, a self-pair, or another number of samples than of labels.
    """
    if len(labels) == 0 or len(pairs.counts) != len(labels):
        raise ValueError(
            f"`pairs` and `labels` must be of the same samples, at least one, got {len(pairs.counts)} and "
            f"{len(labels)}."
        )
    state = components(pairs).numpy()
    size = np.bincount(state)
    neighbors = np.bincount(state, weights=pairs.counts.cpu().numpy())
    memorized = np.bincount(state, weights=(labels == CLASSES.index("memorized")).cpu().numpy())

    cohesive = 2 * neighbors > size * (size - 1)
    attractor = (size > 1) & cohesive
    chain = (size > 1) & ~cohesive
    memorized_attractor = attractor & (2 * memorized >= size)
    once, twice = int((size == 1).sum()), int((size == 2).sum())
    return Census(
        attractors=int(attractor.sum()),
        memorized=int(memorized_attractor.sum()),
        spurious=int((attractor & ~memorized_attractor).sum()),
        unseen_mass=once / len(labels),
        chao1=len(size) + once * (once - 1) / (2 * (twice + 1)) if once < len(labels) else None,
        shares=tuple((np.sort(size[attractor])[::-1] / len(labels)).tolist()),
        chains=int(chain.sum()),
        chained_mass=float(size[chain].sum() / len(labels)),
    )


def components(pairs: Pairs) -> Int64[Tensor, " n"]:
    """Connected components of the graph of pairs of one set.

    Arguments:
        pairs: The pairs, each in both directions and without self-pairs.

    Returns:
        The number of the component of each item, from 0 up, with shape (n,).

    Raises:
        ValueError: If an item is paired with itself.

    Example:
        >>> from spurion.neighbors import within
        >>> x = torch.tensor([[0.0], [5.0], [0.1], [0.2]])
        >>> components(within(x, x, 0.15, exclude_self=True)).tolist()
        [0, 1, 0, 0]
    """
    count = len(pairs.counts)
    rows = torch.arange(count, device=pairs.indices.device).repeat_interleave(pairs.counts)
    if (rows == pairs.indices).any():
        raise ValueError("`pairs` must not pair an item with itself; search with `exclude_self=True`.")
    indptr, indices = pairs.indptr.cpu().numpy(), pairs.indices.cpu().numpy()
    graph = csr_array((np.ones(len(indices), dtype=np.int8), indices, indptr), shape=(count, count))
    return torch.from_numpy(connected_components(graph, directed=False)[1]).to(torch.int64)

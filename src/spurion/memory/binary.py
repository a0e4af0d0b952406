r"""Associative memories with binary neurons: classical Hopfield and its dense successors.

States :math:`s \in \{-1, +1\}^N` meet patterns :math:`\xi_\mu \in \{-1, +1\}^N` through the overlaps
:math:`z_\mu = \xi_\mu \cdot s`.

- `HopfieldNetwork`: :math:`E = -\frac12 s^\top W s` with the Hebbian weights
  :math:`W = \frac1N \sum_\mu \xi_\mu \xi_\mu^\top`, diagonal 0. It stores about 0.138 N random patterns.
- `BinaryDenseAM`: :math:`E = -\sum_\mu F(z_\mu)` with a separation function :math:`F`:
  :math:`z^n` (`Polynomial`; n = 2 is the classical network), :math:`\max(z, 0)^n`
  (`RectifiedPolynomial`), both with a capacity of order :math:`N^{n-1}`, or
  :math:`e^z` (`Exponential`), of order :math:`2^{N/2}`.

A neuron takes the sign that lowers the energy, :math:`s_i \leftarrow \mathrm{sign}\, f_i` with

.. math::
    f_i = \sum_\mu \big[ F(z_\mu)|_{s_i = +1} - F(z_\mu)|_{s_i = -1} \big]
        = s_i \sum_\mu \Big[ F(z_\mu) - \tfrac12 F(z_\mu + 2) - \tfrac12 F(z_\mu - 2) \Big]
        + \tfrac12 \sum_\mu \xi_{\mu i} \big[ F(z_\mu + 2) - F(z_\mu - 2) \big] ,

and keeps its state at :math:`f_i = 0`. One neuron after the other (asynchronous), the energy never
rises and the state settles. All at once (synchronous), a state may alternate for ever.

References:
    | Neural networks and physical systems with emergent collective abilities (Hopfield, 1982)
    | Storing infinite numbers of patterns in a spin-glass model (Amit et al., 1985)
    | Dense Associative Memory for Pattern Recognition (Krotov & Hopfield, 2016), Eq. 2-4
    | On a model of associative memory with huge storage capacity (Demircigil et al., 2017)
"""

__all__ = [
    "BinaryDenseAM",
    "BinaryMemory",
    "BinaryRetrieval",
    "HopfieldNetwork",
    "recall",
]

from abc import ABC, abstractmethod
from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spurion.core.arguments import TENSOR, check_arguments
from spurion.memory.separation import Separation


class BinaryRetrieval(NamedTuple):
    """Where states went.

    Attributes:
        states: The final states, with shape (n, N).
        sweeps: How many times all neurons were visited, with shape (n).
        converged: Whether the last sweep changed nothing, with shape (n).
    """

    states: Float[Tensor, "n N"]
    sweeps: Int[Tensor, " n"]
    converged: Bool[Tensor, " n"]


class BinaryMemory(ABC):
    """A memory of binary patterns. The base class owns the update loops; computations are in float64.

    Arguments:
        patterns: Entries -1 and +1, with shape (K, N).

    Raises:
        ValueError: If the patterns are empty or have another entry.
    """

    def __init__(self, patterns: Float[Tensor, "K N"]) -> None:
        check_arguments(locals(), {"patterns": TENSOR})
        if patterns.ndim != 2 or 0 in patterns.shape:
            raise ValueError(f"`patterns` must have shape (K, N), K, N >= 1, got {tuple(patterns.shape)}.")
        _check_signs(patterns, "`patterns`")
        self.patterns = patterns.detach().double()

    @abstractmethod
    def energy(self, states: Float[Tensor, "n N"]) -> Float[Tensor, " n"]:
        """Energy of each state, float64, with shape (n)."""

    @abstractmethod
    def _prepare(self, states: Tensor) -> Tensor:
        """What fields are computed from, kept up to date by `_change`."""

    @abstractmethod
    def _field(self, prepared: Tensor, states: Tensor, neuron: slice) -> Tensor:
        """Fields of some neurons, (n, number of neurons)."""

    @abstractmethod
    def _change(self, prepared: Tensor, neuron: int, change: Tensor) -> None:
        """Bring `prepared` up to date after one neuron moved by `change` (n)."""

    @final
    def update(self, states: Float[Tensor, "n N"]) -> Float[Tensor, "n N"]:
        """One synchronous update: all neurons at once."""
        states = self._states(states)
        return _sign(self._field(self._prepare(states), states, slice(None)), states)

    @final
    def retrieve(
        self,
        states: Float[Tensor, "n N"],
        *,
        generator: torch.Generator | None = None,
        synchronous: bool = False,
        sweeps: int = 100,
    ) -> BinaryRetrieval:
        """Update until nothing changes.

        Arguments:
            states: The first states, with shape (n, N).
            generator: Draws a new order of the neurons for each asynchronous sweep; without one they
                are visited from first to last.
            synchronous: All neurons at once instead of one after the other.
            sweeps: The largest number of sweeps.

        Raises:
            ValueError: If the states do not fit or `sweeps` is below 1.
        """
        if sweeps < 1:
            raise ValueError(f"`sweeps` must be at least 1, got {sweeps}.")
        states = self._states(states)
        count = torch.zeros(len(states), dtype=torch.long, device=states.device)
        active = torch.ones_like(count, dtype=torch.bool)
        for _ in range(sweeps):
            before = states[active]
            after = self.update(before) if synchronous else self._sweep(before, generator)
            count[active] += 1
            states[active] = after
            active[active.clone()] = (after != before).any(1)
            if not active.any():
                break
        return BinaryRetrieval(states, count, ~active)

    def _sweep(self, states: Tensor, generator: torch.Generator | None) -> Tensor:
        states, size = states.clone(), states.shape[1]
        prepared = self._prepare(states)
        order = torch.arange(size) if generator is None else torch.randperm(size, generator=generator)
        for i in order.tolist():
            field = self._field(prepared, states, slice(i, i + 1))[:, 0]
            new = _sign(field, states[:, i])
            self._change(prepared, i, new - states[:, i])
            states[:, i] = new
        return states

    def _states(self, states: Tensor) -> Tensor:
        if states.ndim != 2 or states.shape[1] != self.patterns.shape[1]:
            size = self.patterns.shape[1]
            raise ValueError(f"`states` must have shape (n, {size}), got {tuple(states.shape)}.")
        _check_signs(states, "`states`")
        return states.detach().double().clone()


@final
class HopfieldNetwork(BinaryMemory):
    """The classical network of Hebbian weights."""

    def __init__(self, patterns: Float[Tensor, "K N"]) -> None:
        super().__init__(patterns)
        self._couplings = (self.patterns.T @ self.patterns).fill_diagonal_(0)  # integers: ties stay ties

    @property
    def weights(self) -> Float[Tensor, "N N"]:
        """The Hebbian weights, with shape (N, N), diagonal 0."""
        return self._couplings / len(self._couplings)

    def energy(self, states: Float[Tensor, "n N"]) -> Float[Tensor, " n"]:
        """-s W s / 2."""
        states = self._states(states)
        return -(states @ self.weights * states).sum(1) / 2

    def _prepare(self, states: Tensor) -> Tensor:
        return states @ self._couplings

    def _field(self, prepared: Tensor, states: Tensor, neuron: slice) -> Tensor:
        return prepared[:, neuron]

    def _change(self, prepared: Tensor, neuron: int, change: Tensor) -> None:
        moved = change.nonzero()[:, 0]
        prepared[moved] += change[moved, None] * self._couplings[neuron]


@final
class BinaryDenseAM(BinaryMemory):
    """A dense associative memory with a separation function.

    Arguments:
        patterns: Entries -1 and +1, with shape (K, N).
        separation: The function F.

    Raises:
        ValueError: If the patterns are bad, or the separation overflows with so many neurons.
    """

    def __init__(self, patterns: Float[Tensor, "K N"], separation: Separation) -> None:
        super().__init__(patterns)
        count, neurons = patterns.shape
        largest = torch.full((1, count), neurons + 2.0, dtype=torch.float64)
        if not bool(separation.energy(largest).isfinite()):
            raise ValueError(
                f"`separation` overflows with {neurons} neurons, got {separation}; take a lower degree, or "
                "`Exponential`."
            )
        self.separation = separation

    def energy(self, states: Float[Tensor, "n N"]) -> Float[Tensor, " n"]:
        """-sum F(z), or -log sum F(z) for the exponential."""
        return self.separation.energy(self._prepare(self._states(states)))

    def _prepare(self, states: Tensor) -> Tensor:
        return states @ self.patterns.T

    def _field(self, prepared: Tensor, states: Tensor, neuron: slice) -> Tensor:
        largest = prepared.amax(1, keepdim=True) + 2
        here, above, below = (self.separation.values(prepared + d, largest) for d in (0, 2, -2))
        own = (here - (above + below) / 2).sum(1, keepdim=True)
        return states[:, neuron] * own + (above - below) @ self.patterns[:, neuron] / 2

    def _change(self, prepared: Tensor, neuron: int, change: Tensor) -> None:
        prepared += change[:, None] * self.patterns[:, neuron]


def recall(memory: BinaryMemory, *, count: int, generator: torch.Generator) -> Float[Tensor, " n"]:
    """Final overlaps z / N in [-1, 1] of stored patterns with themselves, started there: 1 is recalled.

    For a Hopfield network of random patterns they drop from above 0.96 to near 0.35 as K / N passes 0.138.

    Arguments:
        memory: The memory.
        count: How many of its patterns to try, from the first; at most K.
        generator: Draws the order of the neurons in each sweep.
    """
    started = memory.patterns[:count]
    return (memory.retrieve(started, generator=generator).states * started).mean(1)


def _sign(field: Tensor, states: Tensor) -> Tensor:
    return torch.where(field == 0, states, field.sign())


def _check_signs(x: Tensor, what: str) -> None:
    if not bool((x.abs() == 1).all()):
        raise ValueError(f"{what} must have entries -1 and +1 only.")

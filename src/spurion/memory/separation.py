"""How strongly a memory of binary patterns lets a large overlap outweigh small ones."""

__all__ = ["Exponential", "Polynomial", "RectifiedPolynomial", "Separation"]

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


class Separation(ABC):
    """How strongly a large overlap outweighs small ones."""

    @abstractmethod
    def values(self, z: Float[Tensor, "n K"], largest: Float[Tensor, "n 1"]) -> Float[Tensor, "n K"]:
        """F(z), up to a positive factor that depends on `largest` alone; `largest` bounds z from above."""

    @abstractmethod
    def energy(self, z: Float[Tensor, "n K"]) -> Float[Tensor, " n"]:
        """Energy of states with overlaps `z`."""


@dataclass(frozen=True)
class Polynomial(Separation):
    """F(z) = z^n, n >= 2. An even n stores the negatives of the patterns as well."""

    degree: int = 2

    def __post_init__(self) -> None:
        _check_degree(self.degree)

    def values(self, z: Float[Tensor, "n K"], largest: Float[Tensor, "n 1"]) -> Float[Tensor, "n K"]:
        """z^n, exactly."""
        return z**self.degree

    def energy(self, z: Float[Tensor, "n K"]) -> Float[Tensor, " n"]:
        """-sum z^n."""
        return -(z**self.degree).sum(1)


@dataclass(frozen=True)
class RectifiedPolynomial(Separation):
    """F(z) = max(z, 0)^n, n >= 2: overlaps of the wrong sign count nothing."""

    degree: int = 2

    def __post_init__(self) -> None:
        _check_degree(self.degree)

    def values(self, z: Float[Tensor, "n K"], largest: Float[Tensor, "n 1"]) -> Float[Tensor, "n K"]:
        """max(z, 0)^n, exactly."""
        return z.clamp_min(0) ** self.degree

    def energy(self, z: Float[Tensor, "n K"]) -> Float[Tensor, " n"]:
        """-sum max(z, 0)^n."""
        return -(z.clamp_min(0) ** self.degree).sum(1)


@dataclass(frozen=True)
class Exponential(Separation):
    """F(z) = exp(z). The energy is -log sum F, which has the same order and cannot overflow."""

    def values(self, z: Float[Tensor, "n K"], largest: Float[Tensor, "n 1"]) -> Float[Tensor, "n K"]:
        """exp(z - largest)."""
        return (z - largest).exp()

    def energy(self, z: Float[Tensor, "n K"]) -> Float[Tensor, " n"]:
        """-log sum exp(z)."""
        return -z.logsumexp(1)


def _check_degree(degree: int) -> None:
    if degree < 2:
        raise ValueError(f"`degree` must be at least 2, got {degree}.")

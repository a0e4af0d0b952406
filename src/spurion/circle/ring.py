r"""The circle: the toy model in which everything can be written down.

Patterns lie on the unit circle. The sets of the paper come from one stream of 60,000 angles (seed 9)
whose order is shuffled once (seed 42); the set of size K is the first K of it, so the sets are nested.

With infinitely many patterns the energy depends on the distance :math:`R` from the center alone. With
the modified Bessel functions :math:`I_0, I_1` and :math:`A(z) = I_1(z) / I_0(z)`, :math:`z = 2\beta R`,

.. math::
    E(R) = R^2 + 1 - \frac1\beta \log I_0(2\beta R), \qquad
    E'(R) = 2R - 2A, \qquad
    E''(R) = 2 - 4\beta \Big[ 1 - A^2 - \frac{A}{z} \Big] .

For :math:`\beta \le 1` the center is the only minimum; beyond, the minima are a ring of radius
:math:`R^* = A(2\beta R^*)`, near :math:`1 - 1/4\beta`. Exponentially scaled Bessel functions keep all
of it finite.

With K random patterns (the laws below hold within about 20 %):

- patterns closer than :math:`\sqrt{2/\beta}` merge, so that half of the density belongs to memories at
  :math:`K = \pi \ln 2 \sqrt{\beta/2} = 1.54 \sqrt\beta`;
- for large K the number of minima saturates near :math:`1.7 \sqrt\beta`;
- the density along the ring fluctuates by :math:`(\sqrt{2\pi\beta} / K)^{1/2}` of its mean.

References:
    | Memorization to Generalization (Pham et al., 2025), Sec. 3, Eq. 8 and 13-18
"""

__all__ = [
    "RingEnergy",
    "paper_circle",
    "ring_memory_capacity",
    "ring_minima",
    "ring_radius",
    "ring_ripple",
]

import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import i0e, i1e
from torch import Tensor

from spurion.core.arguments import NUMBER, WHOLE, check_arguments

PAPER_SIZE = 60_000

NEAR, FAR = 1e-4, 40.0
"""Where A(z) leaves its Taylor series, and where it enters its asymptotic one."""


def _asymptotic_series(count: int) -> list[float]:
    """The terms of A(z) in powers of 1 / z: those of the solution of A' = 1 - A^2 - A / z that tends to 1."""
    terms = [1.0]
    for n in range(1, count):
        products = sum(terms[i] * terms[n - i] for i in range(1, n))
        terms.append(((n - 2) * terms[n - 1] - products) / 2)
    return terms


SERIES = _asymptotic_series(18)
"""The last term is below 1e-17 from `FAR` on."""


def paper_circle(count: int) -> Float[Tensor, "count 2"]:
    """The paper's nested set of patterns on the unit circle, float64, with shape (count, 2).

    Arguments:
        count: The number K of patterns, from 1 to 60,000. The paper shows 2, 9 and 1000.

    Raises:
        ValueError: If `count` is out of range.

    Example:
        >>> first = paper_circle(2)
        >>> torch.rad2deg(torch.atan2(first[:, 1], first[:, 0])).remainder(360).round(decimals=2).tolist()
        [151.88, 325.52]
    """
    check_arguments(locals(), {"count": WHOLE})
    if not 1 <= count <= PAPER_SIZE:
        raise ValueError(f"`count` must lie in 1..{PAPER_SIZE}, got {count}.")
    angles = torch.from_numpy(np.random.RandomState(9).uniform(0, 2 * np.pi, PAPER_SIZE))
    order = torch.randperm(PAPER_SIZE, generator=torch.Generator().manual_seed(42))
    return _on_circle(angles[order[:count]])


class RingEnergy:
    """The energy of infinitely many patterns on the unit circle. States `x` have shape (n, 2), float64.

    Arguments:
        beta: The inverse temperature, positive.

    Attributes:
        radius: The radius R* of the ring of minima; 0 up to beta = 1.

    Raises:
        ValueError: If `beta` is not positive and finite.

    Example:
        >>> round(RingEnergy(20.0).radius, 5)
        0.98726
    """

    def __init__(self, beta: float) -> None:
        self.beta = _positive(beta)
        self.radius = ring_radius(beta)

    def energy(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        """R^2 + 1 - log I_0(2 beta R) / beta, with shape (n)."""
        radius = _radius(x)
        answer: Float[Tensor, " n"] = (radius - 1).square() - torch.special.i0e(
            2 * self.beta * radius
        ).log() / self.beta
        return answer

    def log_density(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        """Log-density of a point of the circle with noise of variance 1 / (2 beta), in nats."""
        return math.log(self.beta / math.pi) - self.beta * self.energy(x)

    def gradient(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        """Gradient 2 x (1 - A / R) of the energy, with shape (n, 2)."""
        return x * self._tangential(x)[:, None]

    def score(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        """Score 2 beta x (A / R - 1), with shape (n, 2)."""
        return -self.beta * self.gradient(x)

    def hessian(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2 2"]:
        """Hessian of the energy: E'' along the radius, E' / R across, with shape (n, 2, 2)."""
        z = 2 * self.beta * _radius(x)
        radial = 2 - 4 * self.beta * _bessel_slope(z)
        across = self._tangential(x)
        unit = torch.nn.functional.normalize(x, dim=1)
        along = unit[:, :, None] * unit[:, None, :]
        identity = torch.eye(2, dtype=x.dtype, device=x.device)
        return across[:, None, None] * identity + (radial - across)[:, None, None] * along

    def _tangential(self, x: Tensor) -> Tensor:
        """E'(R) / R = 2 - 4 beta A(z) / z."""
        return 2 - 4 * self.beta * _bessel_ratio(2 * self.beta * _radius(x))


def ring_radius(beta: float) -> float:
    """Radius R* of the ring of minima with infinitely many patterns on the unit circle.

    Arguments:
        beta: The inverse temperature, positive; up to 1 the radius is 0.

    Raises:
        ValueError: If `beta` is not positive and finite.
    """
    if _positive(beta) <= 1:
        return 0.0

    def excess(radius: float) -> float:
        z = 2 * beta * radius
        return float(i1e(z) / i0e(z)) / radius - 1

    # A(z) >= z / (1 + sqrt(1 + z^2)) (Amos), so R* >= sqrt(1 - 1 / beta); the margin is for rounding.
    low = math.sqrt(1 - 1 / beta) * (1 - 1e-9)
    return float(brentq(excess, low, 1.0, xtol=1e-15, rtol=1e-14))


def ring_memory_capacity(beta: float) -> float:
    """Number of random patterns on the circle at which half of the density belongs to memories."""
    return math.pi * math.log(2) * math.sqrt(_positive(beta) / 2)


def ring_minima(beta: float) -> float:
    """Number 1.7 sqrt(beta) of minima at which many random patterns on the circle saturate."""
    return 1.7 * math.sqrt(_positive(beta))


def ring_ripple(count: int, beta: float) -> float:
    """Relative fluctuation of the density along the ring of `count` random patterns."""
    check_arguments(locals(), {"count": NUMBER})
    return math.sqrt(math.sqrt(2 * math.pi * _positive(beta)) / count)


def _positive(beta: float) -> float:
    check_arguments(locals(), {"beta": NUMBER})
    if not (beta > 0 and math.isfinite(beta)):
        raise ValueError(f"`beta` must be positive and finite, got {beta}.")
    return float(beta)


def _radius(x: Tensor) -> Tensor:
    if x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(f"`x` must hold points of the plane, with shape (n, 2), got {tuple(x.shape)}.")
    answer: Tensor = x.norm(dim=1)
    return answer


def _on_circle(angles: Tensor) -> Tensor:
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def _bessel_ratio(z: Tensor) -> Tensor:
    """A(z) / z, 1/2 at z = 0."""
    safe = z.clamp(NEAR, FAR)
    ratio = torch.special.i1e(safe) / torch.special.i0e(safe) / safe
    far = _horner(SERIES, z) / z.clamp_min(FAR)
    return torch.where(z < NEAR, 0.5 - z * z / 16, torch.where(z > FAR, far, ratio))


def _bessel_slope(z: Tensor) -> Tensor:
    """A'(z) = 1 - A^2 - A / z, 1/2 at z = 0; by the series where its terms cancel."""
    safe = z.clamp(NEAR, FAR)
    a = torch.special.i1e(safe) / torch.special.i0e(safe)
    far = _horner([-k * term for k, term in enumerate(SERIES)], z) / z.clamp_min(FAR)
    return torch.where(z < NEAR, 0.5 - 3 * z * z / 16, torch.where(z > FAR, far, 1 - a * a - a / safe))


def _horner(terms: list[float], z: Tensor) -> Tensor:
    """The series of `terms` in 1 / z, for z beyond `FAR`."""
    inverse = 1 / z.clamp_min(FAR)
    total = torch.zeros_like(z)
    for term in reversed(terms):
        total = total * inverse + term
    return total

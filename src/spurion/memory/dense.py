r"""The dense associative memory whose energy is the energy of a diffusion model.

For patterns :math:`\xi_\mu` (K,D) and an inverse temperature :math:`\beta > 0` (1 / squared distance),

.. math::
    E(x) = -\frac1\beta \log \sum_{\mu=1}^K e^{-\beta \lVert x - \xi_\mu \rVert^2} .

With the softmax weights :math:`w`, the posterior mean :math:`m = \sum w_\mu \xi_\mu` and the posterior
covariance :math:`C = \sum w_\mu (\xi_\mu - m)(\xi_\mu - m)^\top`,

.. math::
    \nabla E = 2(x - m), \qquad \nabla^2 E = 2I - 4\beta C, \qquad
    s = -\beta \nabla E = 2\beta(m - x), \qquad J = -\beta \nabla^2 E .

The density :math:`p(x) = \frac1K \sum \mathcal{N}(x; \xi_\mu, I / 2\beta)` of a noisy training image is
proportional to :math:`e^{-\beta E}`, so this *is* the diffusion energy
:math:`E_{DM}(x, t) = -2\sigma^2 t \log \sum_\mu \exp(-\lVert x - \xi_\mu \rVert^2 / 2\sigma^2 t)` at
:math:`\beta = 1 / (2\sigma^2 t)` (variance exploding), or, for :math:`x = x_t / \alpha_t`, at
:math:`\beta = \bar\alpha_t / 2(1 - \bar\alpha_t)` (variance preserving): `inverse_temperature`.

References:
    | Memorization to Generalization (Pham et al., 2025), Eq. 5-7
    | Dense Associative Memory for Pattern Recognition (Krotov & Hopfield, 2016)
"""

__all__ = ["DenseAM", "inverse_temperature"]

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spurion.core.arguments import NUMBER, check_arguments
from spurion.memory.attention import Posterior, covariance_product, posterior
from spurion.memory.logits import Patterns
from spurion.memory.sums import occupation, weights


def inverse_temperature(sigma_t: float, alpha_t: float = 1.0) -> float:
    r"""Inverse temperature :math:`\beta = \alpha_t^2 / 2\sigma_t^2` of noise :math:`\sigma_t`.

    Arguments:
        sigma_t: The standard deviation of the noise, positive, in the units of the data.
        alpha_t: The scale of the clean data, positive: 1 for a variance-exploding process.

    Raises:
        ValueError: If one of them is not positive.

    Example:
        >>> round(inverse_temperature(0.15**0.5), 4)  # t = 0.15 at sigma = 1
        3.3333
    """
    check_arguments(locals(), {"sigma_t": NUMBER, "alpha_t": NUMBER})
    if not (sigma_t > 0 and alpha_t > 0):
        raise ValueError(f"`sigma_t` and `alpha_t` must be positive, got {sigma_t} and {alpha_t}.")
    return (alpha_t / sigma_t) ** 2 / 2


class Occupation(NamedTuple):
    """Which patterns a state consists of.

    Attributes:
        effective_number: 1 / sum w^2, from 1 (one pattern) to K (all alike), with shape (n).
        top_weight: The largest weight, with shape (n).
        top_pattern: The index of the pattern that has it, with shape (n).
    """

    effective_number: Float[Tensor, " n"]
    top_weight: Float[Tensor, " n"]
    top_pattern: Int[Tensor, " n"]


class DenseAM:
    """Energy of stored patterns at one temperature, with everything that follows from it.

    All methods take states `x` with shape (n, D) in the dtype of the patterns, float32 or float64, on
    their device, and work from beta 1e-6 to 1e8 in bounded memory. Energy, score, gradient and posterior
    mean are differentiable in `x`, in reverse and in forward mode.

    Arguments:
        patterns: The stored patterns, with shape (K, D); or `Patterns`, shared with another memory.
        beta: The inverse temperature, positive.

    Raises:
        ValueError: If the patterns are empty or not finite, or `beta` is not positive and finite.

    Example:
        >>> memory = DenseAM(torch.tensor([[-1.0], [1.0]]), beta=0.25)  # beta d^2 = 1: one minimum
        >>> memory.hessian(torch.zeros(1, 1))  # 2 - beta d^2
        tensor([[[1.]]])
    """

    def __init__(self, patterns: Patterns | Float[Tensor, "K D"], beta: float) -> None:
        check_arguments(locals(), {"beta": NUMBER})
        if not (beta > 0 and math.isfinite(beta)):
            raise ValueError(f"`beta` must be positive and finite, got {beta}.")
        self.beta = float(beta)
        self.stored = patterns if isinstance(patterns, Patterns) else Patterns(patterns)

    @property
    def patterns(self) -> Float[Tensor, "K D"]:
        """The stored patterns, with shape (K, D)."""
        return self.stored.values

    @property
    def dim(self) -> int:
        """The number D of coordinates."""
        return self.stored.dim

    def __len__(self) -> int:
        return len(self.stored)

    def at(self, beta: float) -> "DenseAM":
        """The same patterns at another inverse temperature, without a copy."""
        return DenseAM(self.stored, beta)

    def double(self) -> "DenseAM":
        """The same memory with float64 patterns; itself if they are."""
        if self.patterns.dtype == torch.float64:
            return self
        return DenseAM(Patterns(self.patterns.double(), self.stored.memory), self.beta)

    def posterior(self, x: Float[Tensor, "n D"]) -> Posterior:
        """Log-partition, posterior mean and shift together, for the price of one."""
        return posterior(x, self.stored, self.beta)

    def log_partition(self, x: Float[Tensor, "n D"]) -> Float[Tensor, " n"]:
        r""":math:`\log \sum_\mu e^{-\beta \lVert x - \xi_\mu \rVert^2}`, with shape (n)."""
        return self.posterior(x).log_partition

    def log_density(self, x: Float[Tensor, "n D"]) -> Float[Tensor, " n"]:
        r"""Log-density :math:`\log p` of the patterns with noise of variance :math:`1 / 2\beta`, in nats."""
        constant = 0.5 * self.dim * math.log(self.beta / math.pi) - math.log(len(self))
        return self.log_partition(x) + constant

    def energy(self, x: Float[Tensor, "n D"]) -> Float[Tensor, " n"]:
        """Energy E, in squared distance, with shape (n). A difference of 1 / beta is one kT."""
        return -self.log_partition(x) / self.beta

    def gradient(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
        """Gradient 2 (x - m) of the energy, with shape (n, D)."""
        return -2 * self.posterior(x).shift

    def score(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
        """Score 2 beta (m - x), the gradient of the log-density, with shape (n, D)."""
        return 2 * self.beta * self.posterior(x).shift

    def hessian(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n D D"]:
        """Hessian 2 I - 4 beta C of the energy, with shape (n, D, D); no eigenvalue exceeds 2."""
        identity = torch.eye(self.dim, dtype=x.dtype, device=x.device)
        return 2 * identity - 4 * self.beta * self.posterior_covariance(x)

    def posterior_mean(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
        """Mean m of the patterns given the noisy state, with shape (n, D)."""
        return self.posterior(x).mean

    def posterior_covariance(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n D D"]:
        """Covariance C of the patterns given the noisy state, symmetric, with shape (n, D, D)."""
        identity = torch.eye(self.dim, dtype=x.dtype, device=x.device).expand(len(x), -1, -1)
        covariance = self.covariance_product(x, identity)
        return (covariance + covariance.mT) / 2

    def covariance_product(
        self, x: Float[Tensor, "n D"], vectors: Float[Tensor, "n m D"]
    ) -> Float[Tensor, "n m D"]:
        """Products C v with m vectors for each state, without the D x D matrix."""
        return covariance_product(x, self.stored, self.beta, vectors)

    def weights(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n K"]:
        """Softmax weights w, with shape (n, K), rows summing to 1. Not differentiable."""
        return weights(*self._state(x))

    def occupation(self, x: Float[Tensor, "n D"]) -> Occupation:
        """Effective number of patterns, largest weight and its pattern. Not differentiable."""
        return Occupation(*occupation(*self._state(x)))

    def effective_number(self, x: Float[Tensor, "n D"]) -> Float[Tensor, " n"]:
        """Effective number of patterns 1 / sum w^2 in [1, K], with shape (n). Not differentiable."""
        return self.occupation(x).effective_number

    def sample(self, count: int, *, generator: torch.Generator) -> Float[Tensor, "count D"]:
        """Exact draws from the density: a random pattern plus noise of variance 1 / (2 beta)."""
        index = torch.randint(len(self), (count,), generator=generator)
        noise = torch.randn(count, self.dim, generator=generator, dtype=self.patterns.dtype)
        chosen = self.patterns[index.to(self.patterns.device)]
        return chosen + noise.to(chosen.device) / math.sqrt(2 * self.beta)

    def _state(self, x: Tensor) -> tuple[Tensor, Tensor, Patterns, Tensor]:
        log_partition = self.log_partition(x.detach())
        betas = torch.full_like(log_partition, self.beta)
        return x.detach(), betas, self.stored, log_partition

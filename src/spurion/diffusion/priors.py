r"""Log-densities at the noisiest time, from which `log_density` starts.

For a variance-exploding process the data are still there at t = 1. The density of K patterns is then the
mixture :math:`p_1 = \frac1K \sum_\mu \mathcal{N}(\xi_\mu, \sigma^2 I)`. The authors' code takes
:math:`\mathcal{N}(0, \sigma^2 I)`, which for patterns on a circle at :math:`\sigma = 1` is off by +0.50 nats
in the center and -0.32 at R = 2. For a variance-preserving schedule little of the data is left and the
standard normal distribution is nearly right: what is left is a mean :math:`\alpha_T \mathbb{E}[x]` and a
variance that is off by :math:`\alpha_T^2 (\operatorname{Var}[x] - 1)`. `spurion.diffusion.mismatch` says how
much that makes.

References:
    | Memorization to Generalization (Pham et al., 2025), Eq. 13-18 and 24-33
"""

__all__ = ["NormalPrior", "Prior", "mixture_prior", "normal_prior"]

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.diffusion.schedule import Schedule
from spurion.memory.dense import DenseAM, inverse_temperature

Prior = Callable[[Tensor], Tensor]
"""Log-density (n,) in nats of items (n, *shape) at the noisiest time (t = 1, or step T - 1), in float64."""


def mixture_prior(patterns: Float[Tensor, "K *shape"], schedule: Schedule) -> Prior:
    """Density of the training items at the noisiest time of a schedule.

    Arguments:
        patterns: The training items, with shape (K, *shape).
        schedule: The noise schedule.

    Raises:
        ValueError: If the patterns are empty or not finite.

    Example:
        >>> from spurion.diffusion.schedule import VESchedule
        >>> prior = mixture_prior(torch.zeros(1, 2), VESchedule())
        >>> prior(torch.zeros(1, 2).double())  # -log(2 pi)
        tensor([-1.8379], dtype=torch.float64)
    """
    t = torch.tensor(schedule.last_time)
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    memory = DenseAM(patterns.detach().flatten(1).double(), inverse_temperature(sigma, alpha))

    def log_prior(x: Tensor) -> Tensor:
        clean = x.flatten(1).to(memory.patterns.device) / alpha
        return memory.log_density(clean).to(x.device) - memory.dim * math.log(alpha)

    return log_prior


@dataclass(frozen=True)
class NormalPrior:
    """Density of independent normal numbers around 0, which knows nothing of the data.

    Attributes:
        std: Their standard deviation, positive.
    """

    std: float

    def __call__(self, x: Tensor) -> Tensor:
        """Log-density of each item."""
        flat = x.flatten(1)
        constant = flat.shape[1] * math.log(math.sqrt(2 * math.pi) * self.std)
        return -flat.square().sum(1) / (2 * self.std**2) - constant


def normal_prior(std: float = 1.0) -> NormalPrior:
    """Density of independent normal numbers around 0: nearly right for variance-preserving schedules.

    Arguments:
        std: Their standard deviation, positive.

    Raises:
        ValueError: If `std` is not positive.
    """
    if not (std > 0 and math.isfinite(std)):
        raise ValueError(f"`std` must be positive and finite, got {std}.")
    return NormalPrior(std)

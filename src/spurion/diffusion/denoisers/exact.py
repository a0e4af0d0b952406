r"""The exact posterior mean of a finite training set: attention over the stored patterns.

If the data are K patterns :math:`\xi_\mu` with equal weight, the noisy images follow a mixture of Gaussians,
:math:`p_t(x_t) = \frac1K \sum_\mu \mathcal{N}(x_t; \alpha_t \xi_\mu, \sigma_t^2 I)`, and

.. math::
    \hat x(x_t, t) = \sum_\mu w_\mu \xi_\mu, \qquad
    w = \operatorname{softmax}_\mu\Big(-\beta_t \Big\lVert \frac{x_t}{\alpha_t} - \xi_\mu \Big\rVert^2\Big),
    \qquad \beta_t = \frac{\alpha_t^2}{2 \sigma_t^2} .

It needs no training and it can only memorize: samplers, basins and energies are checked against it.

References:
    | Memorization to Generalization (Pham et al., 2025), Eq. 5-6
"""

__all__ = ["ExactConfig", "ExactDenoiser"]

from typing import Literal, final

import torch
from jaxtyping import Float, Num
from torch import Tensor

from spurion.core.config import Config
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.schedule import Schedule
from spurion.memory.attention import posterior
from spurion.memory.logits import Patterns


@final
class ExactDenoiser(Denoiser):
    """The denoiser of a finite set of patterns, in closed form; it computes in their dtype, on their device.

    Arguments:
        patterns: The stored patterns, float32 or float64, with shape (K, *shape).
        schedule: The noise schedule.

    Raises:
        ValueError: If the patterns are empty, not finite, or of another dtype.
    """

    def __init__(self, patterns: Float[Tensor, "K *shape"], schedule: Schedule) -> None:
        if patterns.ndim < 2:
            raise ValueError(f"`patterns` must have shape (K, *shape), got {tuple(patterns.shape)}.")
        self.patterns = patterns.detach()
        self.schedule = schedule
        self.shape = tuple(patterns.shape[1:])
        self.dtype, self.device = patterns.dtype, patterns.device
        self._stored = Patterns(self.patterns.flatten(1))

    def denoise(self, x_t: Float[Tensor, "n *shape"], t: Num[Tensor, " n"]) -> Float[Tensor, "n *shape"]:
        """Posterior mean: the softmax-weighted mean of the patterns."""
        alpha, sigma = self._coefficients(x_t, t)
        beta = (alpha / sigma).flatten().square() / 2
        return posterior((x_t / alpha).flatten(1), self._stored, beta).mean.view_as(x_t)


class ExactConfig(Config):
    """The exact denoiser of the training images."""

    kind: Literal["exact"] = "exact"

    def build(
        self, images: Float[Tensor, "n *shape"], schedule: Schedule, *, generator: torch.Generator
    ) -> ExactDenoiser:
        """Store the images.

        Arguments:
            images: The patterns, with shape (n, *shape).
            schedule: The noise schedule.
            generator: Not drawn from: nothing is random here.

        Raises:
            ValueError: As `ExactDenoiser`.
        """
        return ExactDenoiser(images, schedule)

r"""Log-density of a state by the probability flow: an energy difference that depends on no path.

The density is that of :math:`p_t` at the noise-free point :math:`x_t = \alpha_t x`, at a noise at which the
model has a density worth the name: as :math:`t \to 0` a model that memorizes has a spike at each image. The
trace along the flow is Hutchinson's estimate (`spurion.diffusion.likelihood`).

References:
    | Memorization to Generalization (Pham et al., 2025), Eq. 24-33
"""

__all__ = ["FlowLogDensity"]

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.likelihood import log_density
from spurion.diffusion.priors import normal_prior
from spurion.diffusion.schedule import DDPMSchedule
from spurion.geometry.curvature import judged
from spurion.geometry.jacobian import coefficients
from spurion.geometry.measure import Measure, Measured, check_points
from spurion.geometry.noise_scan import nearest_time


@final
@dataclass(frozen=True)
class FlowLogDensity(Measure):
    r"""Log-density of a point under the model at one noise.

    Arguments:
        noise: The noise :math:`\sigma_t / \alpha_t` at which it is read, in units of the clean data.
        probes: Random vectors for each trace.
        steps: Intervals of the flow from that noise to the most.
    """

    name: ClassVar[str] = "log-density"
    unit: ClassVar[str] = "nats"
    source: ClassVar[str] = "Eq. 24-33"
    noise: float = 0.1
    probes: int = 8
    steps: int = 50

    def __call__(
        self, denoiser: Denoiser, x: Float[Tensor, "n *shape"], *, generator: torch.Generator
    ) -> Measured:
        """Follow the flow from each point to the noise and add up what it contracts.

        Raises:
            ValueError: If `x` does not have the model's shape, or the schedule is not discrete: what is left
                of the data at the end of a variance-exploding process is not known here.
        """
        finite = check_points(denoiser, x)
        if not isinstance(denoiser.schedule, DDPMSchedule):
            raise ValueError(
                f"`denoiser` must have a DDPMSchedule, got {type(denoiser.schedule).__name__}; use "
                f"`spurion.diffusion.likelihood.log_density` with the density at the noisiest time."
            )
        t = int(nearest_time(denoiser.schedule, self.noise))
        alpha, _ = coefficients(denoiser.schedule, t)
        keep = finite.view(-1, *[1] * len(denoiser.shape))
        found = log_density(
            denoiser,
            alpha * torch.where(keep, x, torch.zeros_like(x)),
            t,
            prior=normal_prior(),
            divergence="hutchinson",
            probes=self.probes,
            generator=generator,
            steps=self.steps,
        )
        value = found.value.cpu()
        return judged(value, ~finite.cpu() | value.isnan())

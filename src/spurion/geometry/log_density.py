r"""Log-density of a state by the probability flow: an energy difference that depends on no path.

The density is that of :math:`p_t` at the noise-free point :math:`x_t = \alpha_t x`, at a noise at which the
model has a density worth the name: as :math:`t \to 0` a model that memorizes has a spike at each image. The
trace along the flow is Hutchinson's estimate (`spurion.diffusion.likelihood`).

References:
    | Memorization to Generalization (Pham et al., 2025), Eq. 24-33
"""

__all__ = ["FlowLogDensity", "FlowResult", "flow_log_density"]

from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.likelihood import log_density
from spurion.diffusion.priors import normal_prior
from spurion.diffusion.schedule import DDPMSchedule
from spurion.geometry.hessian import judged
from spurion.geometry.jacobian import coefficients
from spurion.geometry.kinds import Measure
from spurion.geometry.measured import Measured, check_points
from spurion.geometry.setting import Setting


@dataclass(frozen=True)
class FlowResult:
    """Log-densities of n points.

    Attributes:
        measured: In nats.
        error: How far a value may be off: the errors of the steps, of the probes and of the prior together,
            as `spurion.diffusion.likelihood.LogDensity` has it; NaN where it failed, with shape (n,).
    """

    measured: Measured
    error: Float64[Tensor, " n"]


def flow_log_density(
    denoiser: Denoiser,
    x: Float[Tensor, "n *shape"],
    *,
    generator: torch.Generator,
    noise: float = 0.1,
    probes: int = 8,
    steps: int = 50,
) -> FlowResult:
    r"""Follow the flow from each point to the noise and add up what it contracts.

    Arguments:
        denoiser: The model.
        x: Clean points, with shape (n, *shape).
        generator: The source of the probes.
        noise: The noise :math:`\sigma_t / \alpha_t` at which it is read, in units of the clean data.
        probes: Random vectors for each trace; at least 2 for an error.
        steps: Intervals of the flow from that noise to the most.

    Raises:
        ValueError: If `x` does not have the model's shape, or the schedule is not discrete: what is left of
            the data at the end of a variance-exploding process is not known here.
    """
    finite = check_points(denoiser, x)
    if not isinstance(denoiser.schedule, DDPMSchedule):
        raise ValueError(
            f"`denoiser` must have a DDPMSchedule, got {type(denoiser.schedule).__name__}; use "
            "`spurion.diffusion.likelihood.log_density` with the density at the noisiest time."
        )
    t = int(denoiser.schedule.nearest(noise))
    alpha, _ = coefficients(denoiser.schedule, t)
    keep = finite.view(-1, *[1] * len(denoiser.shape))
    found = log_density(
        denoiser,
        alpha * torch.where(keep, x, torch.zeros_like(x)),
        t,
        prior=normal_prior(),
        divergence="hutchinson",
        probes=probes,
        generator=generator,
        steps=steps,
    )
    value = found.value.cpu()
    failed = ~finite.cpu() | value.isnan()
    return FlowResult(judged(value, failed), found.error.cpu().masked_fill(failed, torch.nan))


@final
@dataclass(frozen=True)
class FlowLogDensity(Measure):
    r"""Log-density of a point under the model at one noise.

    Arguments:
        noise: The noise :math:`\sigma_t / \alpha_t` at which it is read, in units of the clean data.
        probes: Random vectors for each trace.
        steps: Intervals of the flow from that noise to the most.
    """

    name = "log-density"
    unit = "nats"
    source = "Eq. 24-33"
    descending = True
    costly = True
    section = "energy"
    noise: float = 0.1
    probes: int = 8
    steps: int = 50

    def __call__(
        self, denoiser: Denoiser, x: Float[Tensor, "n *shape"], *, generator: torch.Generator
    ) -> Measured:
        """Follow the flow from each point; `flow_log_density` also says how far the values may be off.

        Raises:
            ValueError: As `flow_log_density`.
        """
        found = flow_log_density(
            denoiser, x, generator=generator, noise=self.noise, probes=self.probes, steps=self.steps
        )
        return found.measured

    def under(self, setting: Setting) -> "FlowLogDensity":
        """At the noise of a setting, with its probes."""
        return replace(self, noise=setting.noise, probes=setting.probes)

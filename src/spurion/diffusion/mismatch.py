r"""What is left of the data at the last step of a DDPM schedule, where a log-density starts from a prior.

The noisy data at step T have mean :math:`\alpha_T \mu` and covariance
:math:`\alpha_T^2 \Sigma + \sigma_T^2 I`, with :math:`\mu, \Sigma` those of the data. A prior that knows
nothing of them is off by

.. math:: \log \mathcal{N}(x; \alpha_T \mu, (\alpha_T^2 v + \sigma_T^2) I) - \log p_\text{prior}(x) ,
          \qquad v = \operatorname{tr} \Sigma / D ,

and by what the mean variance v does not say of :math:`\Sigma`, a log-density ratio of standard deviation
:math:`\alpha_T^2 \lVert \Sigma - v I \rVert_F / \sqrt2 \sigma_T^2`, at most
:math:`\alpha_T^2 D v / \sqrt2 \sigma_T^2`. On the linear schedule of 1,000 steps :math:`\alpha_T` is 0.006:
for images that is hundredths to tenths of a nat, mostly the mean's.

The model itself knows the moments. At a noise s that drowns the data, :math:`x \leftarrow \hat x` takes
Gaussian data to their mean by the factor :math:`\lambda / (\lambda + s^2)` a step in a direction of variance
:math:`\lambda`, and that factor is the slope of :math:`\hat x`.
"""

__all__ = ["Moments", "moments", "prior_mismatch"]

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.jacobian import denoise_and_traces, random_signs
from spurion.diffusion.priors import Prior, normal_prior
from spurion.diffusion.schedule import Schedule

_NOISE = 10.0  # drowns images; of noisier ones a network that predicts epsilon no longer tells the mean
_STEPS = 10
_PROBES = 8
_STEEPEST = 0.9  # slope of the posterior mean, beyond which the noise does not drown the data


@dataclass(frozen=True)
class Moments:
    """Mean and variance of data.

    Attributes:
        mean: Their mean, float64, with shape (1, *shape).
        variance: The mean of their variances over the coordinates, at least 0.
    """

    mean: Float[Tensor, "1 *shape"]
    variance: float


def moments(denoiser: Denoiser) -> Moments:
    """Mean and variance of the data as a model knows them; NaN if its answers are not finite.

    Arguments:
        denoiser: The model.

    Example:
        >>> from spurion.diffusion import DDPMSchedule, GaussianDenoiser
        >>> data = GaussianDenoiser(torch.tensor([0.3, -0.5]), torch.tensor([0.2, 0.4]), DDPMSchedule(), (2,))
        >>> known = moments(data)
        >>> known.mean.round(decimals=4), round(known.variance, 2)
        (tensor([[ 0.3000, -0.5000]], dtype=torch.float64), 0.3)
    """
    time = min(denoiser.schedule.nearest(_NOISE), denoiser.schedule.last_time)
    t = torch.tensor(time)
    alpha, sigma = float(denoiser.schedule.alpha(t)), float(denoiser.schedule.sigma(t))
    mean = torch.zeros(1, *denoiser.shape, dtype=denoiser.dtype, device=denoiser.device)
    with torch.no_grad():
        for _ in range(_STEPS):
            mean = denoiser(alpha * mean, time)
            if not bool(mean.isfinite().all()):
                return Moments(mean.double(), math.nan)
    signs = random_signs(_PROBES, mean, generator=torch.Generator().manual_seed(0))
    _, traces = denoise_and_traces(denoiser, alpha * mean, time, signs)
    slope = alpha * float(traces.mean()) / mean.numel()
    slope = min(max(slope, 0.0), _STEEPEST) if math.isfinite(slope) else math.nan
    return Moments(mean.double(), (sigma / alpha) ** 2 * slope / (1 - slope))


def prior_mismatch(
    data: Moments, prior: Prior, x: Float[Tensor, "n *shape"], schedule: Schedule
) -> Float[Tensor, " n"]:
    """How far a prior may be from the density of the noisy data, at items of the last step; see the module.

    Arguments:
        data: The moments of the data.
        prior: The log-density to be judged.
        x: The items, float64, with shape (n, *shape).
        schedule: The noise schedule.

    Returns:
        Nats, at least 0, with shape (n,); NaN where the moments are.
    """
    t = torch.tensor(schedule.last_time)
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    if not math.isfinite(data.variance):
        return torch.full((len(x),), math.nan, dtype=x.dtype, device=x.device)
    law = normal_prior(math.sqrt(sigma**2 + alpha**2 * data.variance))
    unknown = (alpha / sigma) ** 2 * x[0].numel() * data.variance / math.sqrt(2)
    return (law(x - alpha * data.mean) - prior(x)).abs() + unknown

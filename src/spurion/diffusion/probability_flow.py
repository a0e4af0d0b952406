r"""The probability flow: the deterministic reverse process of any schedule, one starting time for each item.

In the coordinates :math:`y = x_t / \alpha_t` with noise :math:`s = \sigma_t / \alpha_t` every schedule has
the same flow,

.. math:: \frac{dy}{ds} = \frac{y - \hat x}{s} ,

whose solution has the marginals of the diffusion at every time. Between two times :math:`t > t'` it is
followed with :math:`\hat x` held fixed, which is one step of deterministic DDIM,

.. math:: x_{t'} = \alpha_{t'} \hat x + \frac{\sigma_{t'}}{\sigma_t} (x_t - \alpha_t \hat x) ,

exact where all of the data is one point, and of first order otherwise. Discrete steps are evenly spaced down
to step 0, as in `spurion.diffusion.samplers.reverse`, with which this agrees; continuous times are spaced
evenly in :math:`\log t` down to the schedule's least. The end point is :math:`\hat x` at the last time.

References:
    | Score-Based Generative Modeling through Stochastic Differential Equations (Song et al., 2021), Eq. 13
    | Denoising Diffusion Implicit Models (Song et al., 2021), Eq. 12
"""

__all__ = ["follow"]

import math

import torch
from jaxtyping import Float, Num
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.schedule import Schedule

_ROUNDING = 1e-6  # of times given in float32


@torch.no_grad()
def follow(
    denoiser: Denoiser,
    x_t: Float[Tensor, "n *shape"],
    t: Num[Tensor, " n"],
    steps: int,
    *,
    clip: bool = False,
) -> Float[Tensor, "n *shape"]:
    """Follow the probability flow from noisy items to clean ones.

    Arguments:
        denoiser: The model, with any schedule.
        x_t: Noisy items, with shape (n, *shape), on the denoiser's device.
        t: The time of each item, with shape (n,): integer steps in 0..T-1, or times of at least the
            schedule's least.
        steps: The number of denoiser calls, at least 1; fewer for items with fewer discrete steps left.
        clip: Whether every posterior mean is clipped to [-1, 1], the range of images. What is followed then
            is no longer the probability flow: it has other end points, and other marginals.

    Returns:
        The clean items, with the shape, dtype and device of `x_t`; NaN where an answer of the model on the
        way was not finite.

    Raises:
        ValueError: If `steps` is below 1, or a time is out of range.
    """
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1, got {steps}.")
    schedule, least = denoiser.schedule, denoiser.schedule.least_time
    if t.numel() and not float(t.min()) >= least * (1 - _ROUNDING):
        raise ValueError(f"`t` must be at least {least:g}, where the flow ends, got {float(t.min()):g}.")
    t = t.cpu()
    calls, order = schedule.calls(t, steps).sort(descending=True, stable=True)
    times, order = schedule.grid(t[order], calls), order.to(x_t.device)
    low, high = (-1.0, 1.0) if clip else (-math.inf, math.inf)
    clean, state, broken = torch.empty_like(x_t), x_t[order], torch.zeros_like(order, dtype=torch.bool)
    for index, now in enumerate(times):
        left = int((calls > index).sum())  # those with more calls come first
        x_hat = denoiser(state[:left], now[:left].to(x_t.device))
        broken[:left] |= ~x_hat.isfinite().flatten(1).all(dim=1)
        x_hat = x_hat.clamp(low, high)
        x_hat[broken[:left]] = 0.0  # so that the model never sees what is not finite
        clean[order[:left]] = x_hat
        if index + 1 < len(times):
            of_x_hat, of_x_t = _coefficients(schedule, now[:left], times[index + 1][:left], state)
            state = of_x_hat * x_hat + of_x_t * state[:left]
    clean[order[broken]] = math.nan
    return clean


def _coefficients(schedule: Schedule, t: Tensor, s: Tensor, x_t: Tensor) -> tuple[Tensor, Tensor]:
    """What multiplies x_hat and x_t on the way from `t` to `s`."""
    ratio = schedule.sigma(s) / schedule.sigma(t)
    of_x_hat = schedule.alpha(s) - ratio * schedule.alpha(t)
    one_each = (-1,) + (1,) * (x_t.ndim - 1)
    return of_x_hat.to(x_t).view(one_each), ratio.to(x_t).view(one_each)

r"""The iterated denoiser: where a state ends if it is denoised again and again at one small noise.

At a fixed time t with noise :math:`s = \sigma_t / \alpha_t`, in units of the clean data, the map

.. math:: x \leftarrow \hat x(\alpha_t x, t)

takes a clean state for a noisy one and puts the posterior mean in its place. The state is scaled by
:math:`\alpha_t`, so that it means the same under every schedule. With the score
:math:`\nabla \log q_s(x) = (\hat x - x) / s^2` of the density :math:`q_s` of the data with noise s, it is
ascent of that density (mean shift), and its fixed points are the states at which the density is stationary:

- for stored patterns it is the retrieval of the dense associative memory at :math:`\beta = 1 / 2 s^2`
  (`spurion.memory.retrieve`): attention over the patterns;
- for Gaussian data it shrinks a direction of variance :math:`\lambda` towards the mean by
  :math:`\lambda / (\lambda + s^2)` a step.

**The time matters.** Along directions in which the data vary more than s a step moves a state by little, and
no state has come to rest after any number of steps that one waits for: what flows together after 3,000 steps
need not have done so after 300. Whatever is said of the end points holds for a noise and a number of steps.
No posterior mean is clipped.

References:
    | Memorization to Generalization (Pham et al., 2025), Eq. 6
    | Mean shift, mode seeking, and clustering (Cheng, 1995)
"""

__all__ = ["NOISE", "STEPS", "Iterated", "iterate"]

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spurion.core.progress import Progress, silent
from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.jacobian import coefficients
from spurion.geometry.measured import check_points

NOISE = 0.1
"""The noise of the map, in units of the clean data."""

STEPS = 300
"""How often it is applied."""

_BATCH = 512


@dataclass(frozen=True)
class Iterated:
    """Where states ended.

    Attributes:
        points: The end points in the denoiser's dtype, on the CPU, NaN where failed, with shape (n, *shape).
        failed: Which states were not finite, or met an answer of the model that was not, with shape (n,).
        time: The time of the map.
        noise: Its noise, the nearest to the one asked for that the schedule has.
        steps: How often the map was applied.
    """

    points: Float[Tensor, "n *shape"]
    failed: Bool[Tensor, " n"]
    time: int | float
    noise: float
    steps: int


@torch.no_grad()
def iterate(
    denoiser: Denoiser,
    x: Float[Tensor, "n *shape"],
    *,
    noise: float = NOISE,
    steps: int = STEPS,
    batch_size: int = _BATCH,
    progress: Progress = silent,
) -> Iterated:
    r"""Denoise states again and again; see the module.

    Arguments:
        denoiser: The model, with any schedule.
        x: Clean states, with shape (n, *shape).
        noise: The noise :math:`\sigma_t / \alpha_t`, positive, in units of the clean data.
        steps: How often, at least 1. States that a step leaves exactly where they are need no further ones.
        batch_size: States denoised together. It changes speed and memory; the answers only by rounding.
        progress: Called with the number of states done after every batch.

    Raises:
        ValueError: If `x` does not have the model's shape, or `noise`, `steps` or `batch_size` is no number
            of their range.

    Example:
        >>> from spurion.diffusion import DDPMSchedule, ExactDenoiser
        >>> two = ExactDenoiser(torch.tensor([[-1.0], [1.0]]), DDPMSchedule())
        >>> iterate(two, torch.tensor([[-0.2], [0.3]])).points
        tensor([[-1.],
                [ 1.]])
    """
    finite = check_points(denoiser, x).cpu()
    for name, value in (("steps", steps), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, got {value}.")
    time = min(denoiser.schedule.nearest(noise), denoiser.schedule.last_time)
    alpha, sigma = coefficients(denoiser.schedule, time)
    ends = torch.full(x.shape, torch.nan, dtype=denoiser.dtype)
    rows = finite.nonzero().squeeze(1)
    progress(0, len(x))
    for batch in rows.split(batch_size) if len(rows) else ():
        start = x[batch.to(x.device)].to(denoiser.device, denoiser.dtype)
        ends[batch] = _repeated(denoiser, start, time, alpha, steps).cpu()
        progress(int(batch[-1]) + 1, len(x))
    return Iterated(ends, ~ends.flatten(1).isfinite().all(dim=1), time, sigma / alpha, steps)


def _repeated(denoiser: Denoiser, x: Tensor, time: int | float, alpha: float, steps: int) -> Tensor:
    """The states after so many steps; NaN for those that met an answer that was not finite."""
    moving = torch.arange(len(x), device=x.device)
    for _ in range(steps):
        x_hat = denoiser(alpha * x[moving], time)
        finite = x_hat.flatten(1).isfinite().all(dim=1)
        x_hat[~finite] = torch.nan
        moved = (x_hat != x[moving]).flatten(1).any(dim=1)
        x[moving] = x_hat
        moving = moving[moved & finite]
        if not len(moving):
            break
    return x

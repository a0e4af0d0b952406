r"""Deterministic DDIM in latent space: the way from noise to a sample that all readings of prompts share.

A walk goes down a decreasing list of times. At time :math:`t` the model says which noise
:math:`\hat\epsilon` there is, and the next state, at time :math:`s`, has the same noise in another measure:

.. math::
    x_s = \alpha_s \hat x + \sigma_s \hat\epsilon, \qquad
    \hat x = (x_t - \sigma_t \hat\epsilon) / \alpha_t .

Nothing is clipped, as latents have no range. With guidance :math:`g` the noise is that of
:math:`\hat\epsilon_0 + g (\hat\epsilon_c - \hat\epsilon_0)`; a denoiser that has its guidance inside answers
so by itself.

References:
    | Denoising Diffusion Implicit Models (Song et al., 2021), Eq. 12 with eta 0
    | Classifier-Free Diffusion Guidance (Ho & Salimans, 2022), Eq. 6
"""

__all__ = ["Walk", "bars_of", "ddim_step", "usual_walk", "walk_down"]

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.core.progress import Progress, silent
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.finite import finite_answer
from spurion.diffusion.schedule import DDPMSchedule


class Walk(NamedTuple):
    r"""The times of a walk.

    Attributes:
        times: The steps at which the model is asked, decreasing.
        last: The :math:`\bar\alpha` after the last step, in (0, 1]; 1: the sample is the last posterior mean.
    """

    times: tuple[int, ...]
    last: float


def bars_of(schedule: DDPMSchedule, walk: Walk) -> list[float]:
    r"""The :math:`\bar\alpha` of every state of a walk: one for each time, and the last one.

    Raises:
        ValueError: If the times are none, not decreasing or not of the schedule, or `last` is out of range.
    """
    times = walk.times
    inside = bool(times) and times[-1] >= 0 and times[0] < schedule.steps
    if not inside or any(t <= s for t, s in pairwise(times)):
        raise ValueError(
            f"`walk.times` must be decreasing steps in 0..{schedule.steps - 1}, got {times!s:.80}."
        )
    if not 0 < walk.last <= 1:
        raise ValueError(f"`walk.last` must lie in (0, 1], got {walk.last}.")
    return [*schedule.alphas_cumprod[list(times)].tolist(), walk.last]


def ddim_step(
    x_t: Float[Tensor, "*batch"], epsilon: Float[Tensor, "*batch"], bar_t: float, bar_s: float
) -> Float[Tensor, "*batch"]:
    r"""One step of deterministic DDIM.

    Arguments:
        x_t: The states, of any shape.
        epsilon: The noise in them, as the model says.
        bar_t: Their :math:`\bar\alpha_t`, in (0, 1).
        bar_s: The :math:`\bar\alpha_s` of the next states, in (0, 1]; 1 gives the posterior mean.

    Example:
        >>> ddim_step(torch.tensor([1.0]), torch.tensor([0.5]), 0.64, 1.0)  # (1 - 0.6 * 0.5) / 0.8
        tensor([0.8750])
    """
    x_hat = (x_t - math.sqrt(1 - bar_t) * epsilon) / math.sqrt(bar_t)
    return math.sqrt(bar_s) * x_hat + math.sqrt(1 - bar_s) * epsilon


@torch.no_grad()
def walk_down(
    denoiser: Denoiser, x_t: Float[Tensor, "n *shape"], walk: Walk, progress: Progress = silent
) -> Float[Tensor, "n *shape"]:
    """Go down a walk with a denoiser, which has its guidance inside.

    Arguments:
        denoiser: The model, with a `DDPMSchedule`.
        x_t: The noisy items at the first time, with shape (n, *shape), on the denoiser's device.
        walk: The walk.
        progress: Called after every step.

    Returns:
        The samples (of a latent model: latents), with the shape, dtype and device of `x_t`.

    Raises:
        ValueError: If the schedule is not discrete, the walk is not one of it, or the model answers NaN or
            infinity.
    """
    schedule = denoiser.schedule
    if not isinstance(schedule, DDPMSchedule):
        raise ValueError(f"`denoiser` must have a DDPMSchedule, got {type(schedule).__name__}.")
    bars = bars_of(schedule, walk)
    for done, (t, (bar_t, bar_s)) in enumerate(zip(walk.times, pairwise(bars), strict=True), start=1):
        x_hat = finite_answer(denoiser, x_t, t)
        epsilon = (x_t - math.sqrt(bar_t) * x_hat) / math.sqrt(1 - bar_t)
        x_t = math.sqrt(bar_s) * x_hat + math.sqrt(1 - bar_s) * epsilon
        progress(done, len(walk.times))
    return x_t


def usual_walk(schedule: DDPMSchedule, steps: int) -> Walk:
    """Times evenly spaced from T - 1 to 0, for models that say of no scheduler how they walk.

    Arguments:
        schedule: The schedule of the model.
        steps: The number of times, 1 to T; one is T - 1 alone.

    Raises:
        ValueError: If `steps` is out of range.

    Example:
        >>> usual_walk(DDPMSchedule(), 3)
        Walk(times=(999, 500, 0), last=1.0)
    """
    if not 1 <= steps <= schedule.steps:
        raise ValueError(f"`steps` must lie in 1..{schedule.steps}, got {steps}.")
    top, gaps = schedule.steps - 1, max(steps - 1, 1)
    return Walk(tuple((2 * top * (gaps - i) + gaps) // (2 * gaps) for i in range(steps)), 1.0)

r"""Sampling of a variance-exploding process: Euler-Maruyama steps of the reverse equation.

.. math:: dx = -\sigma^2 s(x, t) \, dt + \sigma \, d\bar w, \qquad t: 1 \to t_0,

in N equal steps :math:`h = (1 - t_0) / N`,

.. math:: x \leftarrow x + h \sigma^2 s(x, t) + \sqrt h \, \sigma z, \qquad z \sim \mathcal{N}(0, I) .

Down to :math:`t_0 = 0` the last step, from :math:`t = h`, has no noise: it ends at the posterior mean
:math:`\hat x(x, h)`. With N = 1000 this is the sampler of the authors' code. Stopped at a :math:`t_0 > 0` the
samples follow :math:`p_{t_0}`, the density of the energy at that noise.

The right start is :math:`p_1`, a random training item plus noise :math:`\sigma z`. The authors start from
:math:`\mathcal{N}(0, \sigma^2 I)`, which on the circle with :math:`\sigma = 1` is too narrow by the variance
of the data.

References:
    | Memorization to Generalization (Pham et al., 2025), Sec. A.2
    | Score-Based Generative Modeling through Stochastic Differential Equations (Song et al., 2021), Eq. 6
"""

__all__ = ["EulerMaruyamaConfig", "sample_sde"]

import math
from collections.abc import Iterator
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor

from spurion.core.config import Config
from spurion.core.progress import Progress, shifted, silent
from spurion.core.random import generator
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.samplers import stream_noises
from spurion.diffusion.schedule import VESchedule


class EulerMaruyamaConfig(Config):
    """How to sample.

    Attributes:
        steps: The number N of steps, each with one denoiser call.
        until: The time t_0 to stop at; at 0 the last step has no noise.
        batch_size: Samples made together. It changes speed and memory; the samples only by rounding.
    """

    steps: PositiveInt = 1000
    until: Annotated[float, Field(ge=0, lt=1)] = 0.0
    batch_size: PositiveInt = 2048


@torch.no_grad()
def sample_sde(
    denoiser: Denoiser,
    count: int,
    config: EulerMaruyamaConfig,
    *,
    patterns: Float[Tensor, "K *shape"] | None,
    seed: int,
    first: int = 0,
    progress: Progress = silent,
) -> Float[Tensor, "count *shape"]:
    """Draw samples.

    All randomness of sample i comes from streams of its own, so that the sample depends on nothing else: not
    on the batch size (but for rounding), nor on `count` or `first`.

    Arguments:
        denoiser: The model, with a `VESchedule`.
        count: How many samples to draw, at least 1.
        config: The sampler.
        patterns: The training items, with shape (K, *shape), to start from their density at t = 1; None to
            start from a normal distribution around 0, as the authors do.
        seed: The seed of the whole set.
        first: The index of the first sample.
        progress: Called after every step of every batch.

    Returns:
        Samples first to first + count - 1, on the CPU, in the denoiser's dtype, with shape (count, *shape).

    Raises:
        ValueError: If `count` or `first` is out of range, the patterns do not fit, the schedule is no
            `VESchedule`, or the samples are not finite.
    """
    scale = _check(denoiser, count, first, patterns)
    starts = range(first, first + count, config.batch_size)
    batches = []
    for index, start in enumerate(starts):
        members = range(start, min(start + config.batch_size, first + count))
        noises = stream_noises(denoiser, seed, members)
        x = scale * next(noises)
        if patterns is not None:
            x += _chosen(patterns, seed, members).to(x)
        tick = shifted(progress, index * config.steps, len(starts) * config.steps)
        x = _walk(denoiser, x, config, noises, tick)
        if not x.isfinite().all():
            raise ValueError(f"The model {denoiser.name} answers NaN or infinity, or leaves all bounds.")
        batches.append(x.cpu())
    return torch.cat(batches)


def _walk(
    denoiser: Denoiser,
    x: Tensor,
    config: EulerMaruyamaConfig,
    noises: Iterator[Tensor],
    tick: Progress,
) -> Tensor:
    """Go from t = 1 down to `until`."""
    step = (1 - config.until) / config.steps
    drift = float(denoiser.schedule.sigma(torch.ones(()))) ** 2 * step  # sigma^2 h
    for done in range(config.steps):
        t = 1 - done * step
        last = done == config.steps - 1 and config.until == 0
        x = denoiser(x, step) if last else _step(denoiser, x, t, drift, next(noises))
        tick(done + 1)
    return x


def _step(denoiser: Denoiser, x: Tensor, t: float, drift: float, noise: Tensor) -> Tensor:
    return x + drift * denoiser.score(x, t) + math.sqrt(drift) * noise


def _chosen(patterns: Tensor, seed: int, members: range) -> Tensor:
    """A random pattern for each sample, from a stream of its own."""
    index = [int(torch.randint(len(patterns), (), generator=generator(seed, "start", i))) for i in members]
    return patterns[torch.tensor(index, device=patterns.device)]


def _check(denoiser: Denoiser, count: int, first: int, patterns: Tensor | None) -> float:
    """Check the arguments; the scale of the noise at t = 1."""
    if count < 1:
        raise ValueError(f"`count` must be at least 1, got {count}.")
    if first < 0:
        raise ValueError(f"`first` must be at least 0, got {first}.")
    if patterns is not None and (not len(patterns) or tuple(patterns.shape[1:]) != tuple(denoiser.shape)):
        raise ValueError(
            f"`patterns` must have shape (K, {', '.join(map(str, denoiser.shape))}) with K at least 1, got "
            f"{tuple(patterns.shape)}."
        )
    if not isinstance(denoiser.schedule, VESchedule):
        raise ValueError(
            f"`denoiser` must have a VESchedule for this sampler, got {type(denoiser.schedule).__name__}."
        )
    return denoiser.schedule.scale

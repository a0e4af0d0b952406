r"""Samplers: from noise to images, one random stream for each sample.

A sampler walks down a decreasing list of steps from :math:`T-1` to 0. At step :math:`t` it asks the denoiser
for :math:`\hat x`, clips it to the range of images if asked, and goes to the next step :math:`s < t` by

.. math:: x_s = a \, \hat x + b \, x_t + c \, z, \qquad z \sim \mathcal{N}(0, I);

after step 0 the sample is :math:`\hat x`. The samplers differ in a, b, c alone. With
:math:`r = \bar\alpha_t / \bar\alpha_s` (the product of the :math:`1 - \beta` between the two steps) and
:math:`\tilde\beta = (1 - r)(1 - \bar\alpha_s) / (1 - \bar\alpha_t)`:

- **ddpm**, ancestral sampling: the exact posterior of :math:`x_s` given :math:`x_t` and :math:`\hat x`,

  .. math::
      a = \sqrt{\bar\alpha_s} \frac{1 - r}{1 - \bar\alpha_t}, \qquad
      b = \sqrt r \frac{1 - \bar\alpha_s}{1 - \bar\alpha_t}, \qquad c = \sqrt{\tilde\beta};

- **ddim**, of which :math:`\eta = 0` is deterministic and :math:`\eta = 1` is ancestral sampling again:

  .. math::
      x_s = \alpha_s \hat x + \sqrt{\sigma_s^2 - c^2} \, \hat\epsilon + c z, \qquad
      \hat\epsilon = (x_t - \alpha_t \hat x) / \sigma_t, \qquad c = \eta \sqrt{\tilde\beta} .

The noise is that of the clipped :math:`\hat x`, so that a step never leaves the line between the two.

References:
    | Denoising Diffusion Probabilistic Models (Ho et al., 2020), Eq. 6-7
    | Denoising Diffusion Implicit Models (Song et al., 2021), Eq. 12 and 16
"""

__all__ = ["SamplerConfig", "reverse", "sample", "stream_noises"]

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor

from spurion.core.arguments import FUNCTION, WHOLE, Kind, check_arguments
from spurion.core.config import Config
from spurion.core.progress import Progress, shifted, silent
from spurion.core.random import generator
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.finite import finite_answer
from spurion.diffusion.schedule import DDPMSchedule, Schedule

_NOISE_BLOCK = 4096

SAMPLE_KINDS: dict[str, Kind] = {
    "denoiser": (Denoiser, "a denoiser"),
    "count": WHOLE,
    "seed": WHOLE,
    "first": WHOLE,
    "progress": FUNCTION,
}
"""What the arguments of `sample` must be, beside its configuration."""


class SamplerConfig(Config):
    """How to sample.

    Attributes:
        kind: "ddpm" (ancestral) or "ddim".
        steps: The number of denoiser calls for one sample, 1 to the T of the schedule, evenly spaced. If not
            given, 1,000, or all of a schedule that has fewer; see `within`.
        eta: Share of the ancestral noise, 0 (deterministic) to 1; for "ddim" only.
        clip: Whether every posterior mean is clipped to the `clip_range` of the model: [-1, 1], the range of
            images, unless its scheduler says otherwise.
        batch_size: Samples made together. It changes speed and memory; the samples only by rounding.
    """

    kind: Literal["ddpm", "ddim"] = "ddpm"
    steps: PositiveInt = 1000
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    clip: bool = True
    batch_size: PositiveInt = 512

    @model_validator(mode="after")
    def _check(self) -> "SamplerConfig":
        if self.kind != "ddim" and self.eta:
            raise ValueError(f"`eta` is a field of ddim only; leave it out for {self.kind}, got {self.eta:g}")
        return self

    def within(self, schedule: Schedule) -> "SamplerConfig":
        """The same sampler, with all steps of a short schedule where no number of steps was given.

        Raises:
            ValueError: If more steps than those of the schedule were given.
        """
        most = getattr(schedule, "steps", self.steps)
        if self.steps <= most:
            return self
        if "steps" in self.model_fields_set:
            raise ValueError(f"`steps` must be at most the schedule's {most}, got {self.steps}.")
        return self.model_copy(update={"steps": most})


class _Step(NamedTuple):
    """The coefficients a, b, c of one step."""

    x_hat: float
    x_t: float
    noise: float


def _ddpm(bar_t: float, bar_s: float, eta: float) -> _Step:
    ratio = bar_t / bar_s
    share = (1 - bar_s) / (1 - bar_t)
    return _Step(
        x_hat=math.sqrt(bar_s) * (1 - ratio) / (1 - bar_t),
        x_t=math.sqrt(ratio) * share,
        noise=math.sqrt((1 - ratio) * share),
    )


def _ddim(bar_t: float, bar_s: float, eta: float) -> _Step:
    ratio = bar_t / bar_s
    share = (1 - bar_s) / (1 - bar_t)
    # sigma_s^2 - c^2 as a sum of non-negative terms, which rounding cannot make negative.
    rest = share * ((1 - eta**2) * (1 - ratio) + ratio - bar_t)
    epsilon = math.sqrt(rest / (1 - bar_t))
    return _Step(
        x_hat=math.sqrt(bar_s) - epsilon * math.sqrt(bar_t),
        x_t=epsilon,
        noise=eta * math.sqrt((1 - ratio) * share),
    )


_STEPS: dict[str, Callable[[float, float, float], _Step]] = {"ddpm": _ddpm, "ddim": _ddim}
"""The step of each sampler: from the cumulative products at t and s, and eta, to a, b, c."""


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    count: int,
    config: SamplerConfig,
    *,
    seed: int,
    first: int = 0,
    progress: Progress = silent,
) -> Float[Tensor, "count *shape"]:
    """Draw samples.

    All noise of sample i comes from its own stream, ``generator(seed, "sample", i)``, so that the sample
    depends on nothing else: not on the batch size (but for rounding), nor on `count` or `first`.

    Arguments:
        denoiser: The model, with a `DDPMSchedule`.
        count: How many samples to draw, at least 1.
        config: The sampler.
        seed: The seed of the whole set.
        first: The index of the first sample.
        progress: Called after every step of every batch.

    Returns:
        Samples first to first + count - 1, on the CPU, in the denoiser's dtype, with shape (count, *shape).

    Raises:
        ValueError: If `count` or `first` is out of range, the schedule is not discrete, the sampler has more
            steps than the schedule, or the model answers NaN or infinity.
    """
    check_arguments(locals(), SAMPLE_KINDS | {"config": (SamplerConfig, "a SamplerConfig")})
    if count < 1:
        raise ValueError(f"`count` must be at least 1, got {count}.")
    if first < 0:
        raise ValueError(f"`first` must be at least 0, got {first}.")
    schedule = _discrete(denoiser)
    config = config.within(schedule)
    times = _evenly_spaced(schedule.steps - 1, config.steps)
    starts = range(first, first + count, config.batch_size)
    batches = []
    for index, start in enumerate(starts):
        noises = stream_noises(denoiser, seed, range(start, min(start + config.batch_size, first + count)))
        if denoiser.device.type == "cuda":
            noises = drawn_ahead(noises)
        tick = shifted(progress, index * config.steps, len(starts) * config.steps)
        batches.append(_walk(denoiser, next(noises), times, config, noises, tick).cpu())
    return torch.cat(batches)


@torch.no_grad()
def reverse(
    denoiser: Denoiser, x_t: Float[Tensor, "n *shape"], t: int, steps: int, *, clip: bool = True
) -> Float[Tensor, "n *shape"]:
    """Follow deterministic DDIM from noisy items at step `t` to clean ones.

    Arguments:
        denoiser: The model, with a `DDPMSchedule`.
        x_t: Noisy items at step `t`, with shape (n, *shape), on the denoiser's device.
        t: Their step, in 0..T-1.
        steps: The number of denoiser calls, 1 to t + 1, evenly spaced from `t` to 0.
        clip: Whether every posterior mean is clipped to the model's `clip_range`.

    Returns:
        The clean items, with the shape, dtype and device of `x_t`.

    Raises:
        ValueError: If `t` or `steps` is out of range, the schedule is not discrete, or the model answers NaN
            or infinity.
    """
    schedule = _discrete(denoiser)
    if not 0 <= t < schedule.steps:
        raise ValueError(f"`t` must lie in 0..{schedule.steps - 1}, got {t}.")
    if not 1 <= steps <= t + 1:
        raise ValueError(f"`steps` must lie in 1..{t + 1} for a start at step {t}, got {steps}.")
    config = SamplerConfig(kind="ddim", steps=steps, clip=clip)
    return _walk(denoiser, x_t, _evenly_spaced(t, steps), config, iter(()), silent)


def _walk(
    denoiser: Denoiser,
    x_t: Tensor,
    times: list[int],
    config: SamplerConfig,
    noises: Iterator[Tensor],
    tick: Progress,
) -> Tensor:
    """Go down the decreasing steps `times` and return the posterior mean at the last one."""
    products = _discrete(denoiser).alphas_cumprod.tolist()
    limit = denoiser.clip_range if config.clip else math.inf
    for done, (t, s) in enumerate(pairwise(times), start=1):
        x_hat = finite_answer(denoiser, x_t, t).clamp(-limit, limit)
        step = _STEPS[config.kind](products[t], products[s], config.eta)
        x_t = step.x_hat * x_hat + step.x_t * x_t
        if step.noise:
            x_t += step.noise * next(noises)
        tick(done)
    x_hat = finite_answer(denoiser, x_t, times[-1]).clamp(-limit, limit)
    tick(len(times))
    return x_hat


def stream_noises(denoiser: Denoiser, seed: int, members: range) -> Iterator[Tensor]:
    """Yield standard normal tensors (n, *shape) without end, each row from the stream of its sample.

    Every stream is read in blocks of several steps, whose size depends on the shape alone; always in float32,
    so that models in float32 and float64 see the same noise.
    """
    streams = [generator(seed, "sample", member) for member in members]
    block = max(1, _NOISE_BLOCK // math.prod(denoiser.shape))
    while True:
        noise = torch.empty(len(streams), block, *denoiser.shape)
        for row, stream in zip(noise, streams, strict=True):
            row.normal_(generator=stream)
        yield from noise.to(denoiser.device, denoiser.dtype).unbind(1)


def drawn_ahead(noises: Iterator[Tensor]) -> Iterator[Tensor]:
    """The same endless noises, the next one drawn by a thread while a step is computed elsewhere."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, noises)
        while True:
            noise = waiting.result()
            waiting = pool.submit(next, noises)
            yield noise


def _evenly_spaced(top: int, count: int) -> list[int]:
    """The `count` steps from `top` down to 0, evenly spaced and rounded; `top` alone for one."""
    gaps = max(count - 1, 1)
    return [(2 * top * (gaps - i) + gaps) // (2 * gaps) for i in range(count)]


def _discrete(denoiser: Denoiser) -> DDPMSchedule:
    if not isinstance(denoiser.schedule, DDPMSchedule):
        raise ValueError(
            f"`denoiser` must have a DDPMSchedule to be sampled, got {type(denoiser.schedule).__name__}."
        )
    return denoiser.schedule

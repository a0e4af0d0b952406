r"""Noise schedules: how much signal and how much noise a noisy image holds.

All of Spurion writes a noisy image as

.. math:: x_t = \alpha_t x + \sigma_t \epsilon, \qquad \epsilon \sim \mathcal{N}(0, I).

`DDPMSchedule` is the variance-preserving schedule of the image models: steps
:math:`t = 0 \dots T-1` (0 has the least noise), :math:`\beta_t` linear or of another kind (`BetaSchedule`),
:math:`\bar\alpha_t = \prod_{s \le t} (1 - \beta_s)`, :math:`\alpha_t = \sqrt{\bar\alpha_t}`,
:math:`\sigma_t = \sqrt{1 - \bar\alpha_t}`. `VESchedule` is the variance-exploding process of the
theory: :math:`\alpha_t = 1`, :math:`\sigma_t = \sigma \sqrt t` for :math:`t \in (0, 1]`.

The inverse temperature of the associative memory that the exact score belongs to is
:math:`\beta = \alpha_t^2 / (2 \sigma_t^2)` in the coordinates :math:`x_t / \alpha_t`.

References:
    | Denoising Diffusion Probabilistic Models (Ho et al., 2020), Eq. 4
    | Improved Denoising Diffusion Probabilistic Models (Nichol & Dhariwal, 2021), Eq. 17
    | Memorization to Generalization (Pham et al., 2025), Sec. 2 and Eq. 41-42
"""

__all__ = ["BetaSchedule", "DDPMSchedule", "Schedule", "VESchedule"]

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor

from spurion.core.arguments import check_choice

BetaSchedule = Literal["linear", "scaled_linear", "squaredcos_cap_v2"]
r"""How the betas grow, in the words of diffusers' scheduler configurations: :math:`\beta_t` linear,
:math:`\sqrt{\beta_t}` linear, or the cosine schedule, :math:`\bar\alpha` at :math:`u = t / T` being
:math:`\cos^2(\tfrac{\pi}{2} (u + 0.008) / 1.008)`, which knows neither first nor last beta."""

_LARGEST_BETA = 0.999  # of the cosine schedule


class Schedule(ABC):
    """The pair (alpha_t, sigma_t) as functions of time, and which times there are.

    Attributes:
        discrete: Whether times are integer steps 0 to T - 1; else they are numbers in (0, 1].
        least_time: Where the reverse process ends: step 0, or time 1e-4; both have noise 0.01 by default.
    """

    discrete: ClassVar[bool]
    least_time: ClassVar[float | int]

    @property
    @abstractmethod
    def last_time(self) -> float | int:
        """The noisiest time: step T - 1, or 1."""

    @abstractmethod
    def alpha(self, t: Num[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Scale of the clean image at time `t`, float64."""

    @abstractmethod
    def sigma(self, t: Num[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Standard deviation of the noise at time `t`, float64, positive."""

    @abstractmethod
    def nearest(self, noise: float) -> float | int:
        r"""The time whose noise :math:`\sigma_t / \alpha_t` is nearest, in its logarithm.

        A step of a discrete schedule; for a variance-exploding one a number, whatever its largest time.

        Arguments:
            noise: The noise, in units of the clean data.

        Raises:
            ValueError: If `noise` is not positive.
        """

    @abstractmethod
    def drift(self, t: float | int) -> tuple[float, float]:
        """The factors g^2 of the score and f of x in the drift of the reverse process at a time.

        Raises:
            ValueError: If the time is out of range.
        """

    @abstractmethod
    def calls(self, t: Num[Tensor, " n"], steps: int) -> Int64[Tensor, " n"]:
        """Denoiser calls on the way of each item from time `t`: `steps`, or fewer where there are fewer."""

    @abstractmethod
    def grid(self, t: Num[Tensor, " n"], calls: Int64[Tensor, " n"]) -> Num[Tensor, "most n"]:
        """The times of all calls on the way of each item, one row a call.

        Integer steps are evenly spaced down to step 0, others in log t down to the least; the last time is
        repeated for items that need fewer calls.

        Arguments:
            t: Where each item starts.
            calls: How many calls each gets, decreasing.
        """

    @abstractmethod
    def ladder(self, count: int = 40) -> Num[Tensor, " levels"]:
        """At most `count` increasing times above the least, on which recovery from noise is tested.

        Evenly spaced integer steps from 1 up to, at most, one stride below the last; or times from 2e-4 to 1,
        evenly spaced in log t.

        Raises:
            ValueError: If `count` is below 1.
        """


@dataclass(frozen=True)
class DDPMSchedule(Schedule):
    r"""Discrete variance-preserving schedule.

    Arguments:
        steps: The number :math:`T` of steps.
        beta_start: :math:`\beta_0`, in (0, 1).
        beta_end: :math:`\beta_{T-1}`, in [beta_start, 1).
        beta_schedule: How the betas grow; see `BetaSchedule`.

    Raises:
        ValueError: If `steps` is below 1, the betas are out of order or range, or `beta_schedule` is unknown.
    """

    discrete: ClassVar[bool] = True
    least_time: ClassVar[float | int] = 0

    steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 2e-2
    beta_schedule: str = "linear"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"`steps` must be at least 1, got {self.steps}.")
        if not 0 < self.beta_start <= self.beta_end < 1:
            raise ValueError(
                "`beta_start` and `beta_end` must satisfy 0 < beta_start <= beta_end < 1, got "
                f"{self.beta_start} and {self.beta_end}."
            )
        check_choice("beta_schedule", self.beta_schedule, get_args(BetaSchedule))

    @cached_property
    def betas(self) -> Float[Tensor, " steps"]:
        """The variances added at each step, float64, with shape (T,)."""
        if self.beta_schedule == "squaredcos_cap_v2":
            u = torch.arange(self.steps + 1, dtype=torch.float64) / self.steps
            bar = ((u + 0.008) / 1.008 * math.pi / 2).cos().square()
            return (1 - bar[1:] / bar[:-1]).clamp(max=_LARGEST_BETA)
        power = 2 if self.beta_schedule == "scaled_linear" else 1
        first, last = self.beta_start ** (1 / power), self.beta_end ** (1 / power)
        return torch.linspace(first, last, self.steps, dtype=torch.float64) ** power

    @cached_property
    def alphas_cumprod(self) -> Float[Tensor, " steps"]:
        r"""The products :math:`\bar\alpha_t`, float64, decreasing, with shape (T,)."""
        return torch.cumprod(1 - self.betas, dim=0)

    def alpha(self, t: Num[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Scale of the clean image at integer step `t` in 0..T-1, float64."""
        return self.alphas_cumprod[self._index(t)].sqrt().to(t.device)

    def sigma(self, t: Num[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Standard deviation of the noise at integer step `t` in 0..T-1, float64."""
        return (1 - self.alphas_cumprod[self._index(t)]).sqrt().to(t.device)

    @property
    def last_time(self) -> int:
        """The noisiest step, T - 1."""
        return self.steps - 1

    def nearest(self, noise: float) -> int:
        r"""The step whose noise :math:`\sigma_t / \alpha_t` is nearest, in its logarithm.

        Example:
            >>> DDPMSchedule().nearest(0.1)
            26
        """
        every = torch.arange(self.steps)
        logs = (self.sigma(every) / self.alpha(every)).log()
        return int((logs - math.log(_positive(noise))).abs().argmin())

    def drift(self, t: float | int) -> tuple[float, float]:
        r""":math:`(\beta_t, \beta_t / 2)`."""
        beta = float(self.betas[self._index(torch.tensor(t))])
        return beta, beta / 2

    def calls(self, t: Num[Tensor, " n"], steps: int) -> Int64[Tensor, " n"]:
        """`steps`, but at most t + 1."""
        return (t.long() + 1).clamp(max=steps)

    def grid(self, t: Num[Tensor, " n"], calls: Int64[Tensor, " n"]) -> Int64[Tensor, "most n"]:
        """Evenly spaced steps down to 0, rounded."""
        gaps, done = _walk(calls)
        return (2 * t.long() * (gaps - done) + gaps) // (2 * gaps)

    def ladder(self, count: int = 40) -> Int64[Tensor, " levels"]:
        """Evenly spaced steps from 1.

        Example:
            >>> DDPMSchedule().ladder()[:3], DDPMSchedule().ladder()[-1]
            (tensor([ 1, 26, 51]), tensor(976))
        """
        steps = min(1, self.steps - 1) + torch.arange(_at_least_one(count)) * self.steps // count
        answer: Int64[Tensor, " levels"] = steps.clamp(max=self.steps - 1).unique()
        return answer

    def _index(self, t: Num[Tensor, "*batch"]) -> Tensor:
        if t.is_floating_point():
            raise ValueError(f"`t` must hold integer steps, got {t.dtype}.")
        if t.numel() and not 0 <= int(t.min()) <= int(t.max()) < self.steps:
            raise ValueError(f"`t` must lie in 0..{self.steps - 1}, got {int(t.min())} to {int(t.max())}.")
        return t.long().cpu()


@dataclass(frozen=True)
class VESchedule(Schedule):
    r"""Variance-exploding process of the theory: :math:`\alpha_t = 1`, :math:`\sigma_t = \sigma\sqrt t`.

    Arguments:
        scale: The diffusion coefficient :math:`\sigma > 0`.

    Raises:
        ValueError: If `scale` is not positive, or a time is not positive.
    """

    discrete: ClassVar[bool] = False
    least_time: ClassVar[float | int] = 1e-4

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"`scale` must be positive, got {self.scale}.")

    def alpha(self, t: Num[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Ones, float64."""
        return torch.ones_like(t, dtype=torch.float64)

    def sigma(self, t: Num[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        r""":math:`\sigma \sqrt t`, float64."""
        if t.numel() and not float(t.min()) > 0:
            raise ValueError(f"`t` must be positive, got {float(t.min()):g}.")
        return self.scale * t.double().sqrt()

    @property
    def last_time(self) -> float:
        """The noisiest time, 1."""
        return 1.0

    def nearest(self, noise: float) -> float:
        r""":math:`(\text{noise} / \sigma)^2`.

        Example:
            >>> VESchedule(2.0).nearest(0.5)
            0.0625
        """
        return (_positive(noise) / self.scale) ** 2

    def drift(self, t: float | int) -> tuple[float, float]:
        r""":math:`(\sigma^2, 0)`, at any time."""
        return self.scale**2, 0.0

    def calls(self, t: Num[Tensor, " n"], steps: int) -> Int64[Tensor, " n"]:
        """`steps` for every item."""
        return torch.full(t.shape, steps, dtype=torch.int64, device=t.device)

    def grid(self, t: Num[Tensor, " n"], calls: Int64[Tensor, " n"]) -> Float[Tensor, "most n"]:
        """Times evenly spaced in log t down to the least."""
        gaps, done = _walk(calls)
        return t.double() * (self.least_time / t.double()) ** (done / gaps)

    def ladder(self, count: int = 40) -> Float[Tensor, " levels"]:
        """Times from twice the least to 1, evenly spaced in log t."""
        first = 2 * self.least_time
        return torch.logspace(0, 1, _at_least_one(count), base=1 / first, dtype=torch.float64) * first


def _walk(calls: Int64[Tensor, " n"]) -> tuple[Tensor, Tensor]:
    """Of each item, the gaps between its calls; and at every call, how many gaps are behind it."""
    most = torch.arange(int(calls.max()) if len(calls) else 0)
    return (calls - 1).clamp(min=1), most.unsqueeze(1).minimum(calls - 1)


def _positive(noise: float) -> float:
    if not noise > 0:
        raise ValueError(f"`noise` must be positive, got {noise}.")
    return noise


def _at_least_one(count: int) -> int:
    if count < 1:
        raise ValueError(f"`count` must be at least 1, got {count}.")
    return count

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
from typing import Literal, get_args

import torch
from jaxtyping import Float, Num
from torch import Tensor

BetaSchedule = Literal["linear", "scaled_linear", "squaredcos_cap_v2"]
r"""How the betas grow, in the words of diffusers' scheduler configurations: :math:`\beta_t` linear,
:math:`\sqrt{\beta_t}` linear, or the cosine schedule, :math:`\bar\alpha` at :math:`u = t / T` being
:math:`\cos^2(\tfrac{\pi}{2} (u + 0.008) / 1.008)`, which knows neither first nor last beta."""

_LARGEST_BETA = 0.999  # of the cosine schedule


class Schedule(ABC):
    """The pair (alpha_t, sigma_t) as functions of time."""

    @abstractmethod
    def alpha(self, t: Num[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Scale of the clean image at time `t`, float64."""

    @abstractmethod
    def sigma(self, t: Num[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Standard deviation of the noise at time `t`, float64, positive."""


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

    steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 2e-2
    beta_schedule: str = "linear"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"`steps` must be at least 1, got {self.steps}.")
        if not 0 < self.beta_start <= self.beta_end < 1:
            raise ValueError(
                f"`beta_start` and `beta_end` must satisfy 0 < beta_start <= beta_end < 1, "
                f"got {self.beta_start} and {self.beta_end}."
            )
        if self.beta_schedule not in get_args(BetaSchedule):
            known = ", ".join(get_args(BetaSchedule))
            raise ValueError(f"`beta_schedule` must be one of {known}, got {self.beta_schedule!r}.")

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

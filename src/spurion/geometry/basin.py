"""How basins are looked for, and what is found: settings and result of `spurion.geometry.critical.basins`."""

__all__ = ["BasinConfig", "BasinResult"]

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float64, Int64, Num
from pydantic import Field, PositiveInt
from torch import Tensor

from spurion.core.config import Config
from spurion.geometry.measured import STATUSES, Measured


class BasinConfig(Config):
    """How to look for critical noise.

    Attributes:
        draws: The number M of noise draws for each point.
        share: The share of draws that must recover, p_min, in (0, 1].
        steps: Denoiser calls on the way back, at most; fewer from the lowest discrete steps.
        levels: The number of levels of the ladder, where no times are given.
        search: "bisection", or "scan" (Algorithm 1 as it is written, several times as dear).
        every_draw: Whether to find the own level of every draw, which the area of recovery needs;
            about twice as dear.
        clip: Whether every posterior mean is clipped to [-1, 1], the range of images, as many samplers do.
            If not, the flow back is the probability flow of the model. No model needs it: where a network
            that predicts epsilon answers far beyond images, at much noise, a step weighs the answer by the
            little signal there is. Clipping helps the way back to images, so that critical noise is larger
            with it. It is for images only: what lies beyond the range by more than the tolerance could never
            be recovered, so that a point there is "undecided", and most points there are an error.
        batch_size: Noisy points denoised together. It changes speed and memory; the answers only by rounding.
    """

    draws: PositiveInt = 10
    share: Annotated[float, Field(gt=0, le=1)] = 0.9
    steps: PositiveInt = 20
    levels: PositiveInt = 40
    search: Literal["bisection", "scan"] = "bisection"
    every_draw: bool = False
    clip: bool = False
    batch_size: PositiveInt = 512

    @property
    def needed(self) -> int:
        """The number of draws that must recover."""
        return math.ceil(self.share * self.draws - 1e-9)


@dataclass(frozen=True)
class BasinResult:
    """The basins of n points; computed once, read by several measures.

    A point that is never recovered has critical level -1, radius 0 and status "never". One that is recovered
    even from the highest level has that level and its radius, lower bounds, and status "always". Where
    recovery is not monotone in a way that matters (first failure and bisection disagree), the level is that
    of first failure and the status "undecided"; so is the status where clipping keeps every flow away from
    the point. A point that is not finite, or at which the model's answer is not, is "failed", with level -1
    and radius NaN.

    Attributes:
        times: The ladder, with shape (L,).
        sigmas: Its noise sigma_t, with shape (L,).
        critical: The critical level of each point, -1 to L-1, with shape (n,).
        draws: The own level of each draw: at most the critical one, unless `complete`, with shape (n, M).
        status: Index into `STATUSES`, with shape (n,).
        monotone: Whether recovery was monotone wherever it was tried, with shape (n,).
        radius: The mean recovered perturbation, in the units of the data, with shape (n,).
        dim: The number D of coordinates of a point.
        complete: Whether the own levels of all draws are known.
        evaluations: How many noisy points were denoised in all.
    """

    times: Num[Tensor, " L"]
    sigmas: Float64[Tensor, " L"]
    critical: Int64[Tensor, " n"]
    draws: Int64[Tensor, "n M"]
    status: Int64[Tensor, " n"]
    monotone: Bool[Tensor, " n"]
    radius: Float64[Tensor, " n"]
    dim: int
    complete: bool
    evaluations: int

    @property
    def sigma(self) -> Float64[Tensor, " n"]:
        """Critical noise sigma_t of each point: 0 if never recovered, NaN if failed, with shape (n,)."""
        sigma = self.at_level(self.critical)
        return sigma.masked_fill(self.status == STATUSES.index("failed"), math.nan)

    def at_level(self, level: Int64[Tensor, "*batch"]) -> Float64[Tensor, "*batch"]:
        """Noise sigma_t at a level of the ladder, and 0 at level -1."""
        return torch.where(level < 0, 0.0, self.sigmas[level.clamp(min=0)])

    def measured(self, values: Float64[Tensor, " n"]) -> Measured:
        """The values with their status, NaN wherever it is not "measured"."""
        return Measured(values.masked_fill(self.status != STATUSES.index("measured"), math.nan), self.status)

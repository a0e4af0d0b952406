"""Trials of recovery: noise a point, follow the flow back, look where it ended.

Everything that the search of critical noise knows of the model is here. The noise of a point comes from a
stream that is named by the seed and the point's own values, and the same draw is used at every level.
"""

__all__ = ["Trials"]

import hashlib

import torch
from jaxtyping import Bool, Float, Float64, Int64, Num
from torch import Tensor

from spurion.core.random import generator
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.probability_flow import follow
from spurion.geometry.basin import BasinConfig
from spurion.neighbors import Distance
from spurion.neighbors.distances.distance import subtracted

_CHECKS = 3


class Trials:
    """Whether points are recovered from draws of noise at levels of a ladder.

    Arguments:
        denoiser: The model.
        x: The clean points, with shape (n, *shape).
        tolerance: The distance up to which a point counts as recovered.
        config: Draws, steps, clipping and batch size.
        distance: The distance.
        times: The ladder, with shape (L,).
        finite: Which points are finite; the others are failed from the start, with shape (n,).
        seed: The seed of all noise.

    Attributes:
        failed: The points that are not finite or from which the model's answer once was not, with shape (n,).
        checks: Uniform random numbers from the streams of the points, for at most 3 draws, with shape (n, c).
        evaluations: How many noisy points were denoised so far.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        x: Float[Tensor, "n *shape"],
        tolerance: float,
        config: BasinConfig,
        distance: Distance,
        times: Num[Tensor, " L"],
        finite: Bool[Tensor, " n"],
        seed: int,
    ) -> None:
        self._denoiser, self._tolerance, self._config, self._distance = denoiser, tolerance, config, distance
        self._times = times
        self._x = x.to(denoiser.device, denoiser.dtype)
        self._embedded = distance.embed(torch.where(_like(finite, x).to(self._x.device), self._x, 0.0))
        streams = [generator(seed, "basin", _name(point)) for point in x]
        noise = torch.empty(len(x), config.draws, *x.shape[1:])
        for row, stream in zip(noise, streams, strict=True):
            row.normal_(generator=stream)
        self._noise = noise.to(denoiser.device, denoiser.dtype)
        self.checks = torch.stack(
            [torch.rand(min(_CHECKS, config.draws), generator=stream) for stream in streams]
        )
        self.failed = ~finite
        self.evaluations = 0

    def __call__(
        self, points: Int64[Tensor, " q"], draws: Int64[Tensor, " q"], levels: Int64[Tensor, " q"]
    ) -> Bool[Tensor, " q"]:
        """Which trials recover their point; none of a failed point does, and it is not tried."""
        recovered = torch.zeros(len(points), dtype=torch.bool)
        tried = (~self.failed[points]).nonzero().squeeze(1)
        tried = tried[levels[tried].argsort(descending=True, stable=True)]
        for batch in tried.split(self._config.batch_size):
            recovered[batch] = self._batch(points[batch], draws[batch], levels[batch])
        return recovered

    def moved(self, levels: Int64[Tensor, "n M"]) -> Float64[Tensor, "n M"]:
        """How far the noise of each draw moves its point at a level, and 0 at level -1, with shape (n, M)."""
        rows = []
        for point, noise, level in zip(self._x, self._noise, levels, strict=True):
            alpha, sigma = (
                value.view(-1, *[1] * point.ndim) for value in self._alpha_sigma(level.clamp(min=0))
            )
            clean = point.double().cpu()
            rows.append((clean - alpha * clean - sigma * noise.double().cpu()).flatten(1).norm(dim=1))
        return torch.stack(rows).masked_fill(levels < 0, 0.0)

    def _batch(self, points: Tensor, draws: Tensor, levels: Tensor) -> Tensor:
        times = self._times[levels]
        alpha, sigma = (_like(value, self._x).to(self._x) for value in self._alpha_sigma(levels))
        x_t = alpha * self._x[points] + sigma * self._noise[points, draws]
        clean = follow(self._denoiser, x_t, times, self._config.steps, clip=self._config.clip)
        self.evaluations += int(self._denoiser.schedule.calls(times, self._config.steps).sum())
        finite = clean.flatten(1).isfinite().all(dim=1)
        self.failed[points[~finite.cpu()]] = True
        distances = self._distance.value(subtracted(self._distance.embed(clean), self._embedded[points]))
        return (finite & (distances <= self._tolerance)).cpu()

    def _alpha_sigma(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        times = self._times[levels]
        return self._denoiser.schedule.alpha(times), self._denoiser.schedule.sigma(times)


def _like(values: Tensor, x: Tensor) -> Tensor:
    """One value for each item, shaped to multiply the items."""
    return values.view(-1, *[1] * (x.ndim - 1))


def _name(point: Tensor) -> str:
    """A name for the values of a point, whatever their floating-point type."""
    values = point.detach().cpu().double() + 0.0  # which makes -0 of 0
    return hashlib.sha256(values.numpy().tobytes()).hexdigest()

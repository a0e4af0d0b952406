r"""Training batches as a function of the seed and the step alone.

Step i draws from its own stream, ``generator(seed, "step", i)``: the images (with replacement), the times
and the noise :math:`\epsilon \sim \mathcal{N}(0, I)`, in this order. The times of a DDPM schedule are
:math:`t \sim U\{0, \dots, T-1\}`. In continuous time they are uniform on :math:`(10^{-5}, 1]` and
stratified: one in each of as many equal parts as the batch has rows, in random order, so that every batch
covers the range; this changes the variance of the gradient, not its mean.

Without replacement the images come from an endless row of seeded permutations, one for each epoch; batches
run across their joints, so that no image of any permutation is left out. Nothing is carried from step to
step, so a training that is resumed sees what it would have seen.

All numbers are drawn on the CPU: every device trains on the same data. For an accelerator, which would wait
for them, threads draw those of the next steps.
"""

__all__ = ["FIRST_TIME", "Batch", "Batches"]

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor

from spurion.core.random import derive_seed, generator
from spurion.diffusion.denoisers.network import Prediction
from spurion.diffusion.schedule import DDPMSchedule, VESchedule

FIRST_TIME = 1e-5
"""The smallest time a network is trained on in continuous time."""
THREADS = 4
"""Threads that draw for an accelerator."""
AHEAD = 8
"""Steps that are drawn before they are asked for."""


class Batch(NamedTuple):
    """What a network sees in one training step, noisy items and their times, and what it shall predict."""

    x_t: Float[Tensor, "b *shape"]
    t: Num[Tensor, " b"]
    target: Float[Tensor, "b *shape"]


class Draw(NamedTuple):
    """The random numbers of one step, on the CPU: images, what times are made of, and noise."""

    images: Int64[Tensor, " b"]
    times: Num[Tensor, " b"]
    noise: Float[Tensor, "b *shape"]


class Batches:
    """The batches of one training.

    Arguments:
        images: The training items, with shape (K, *shape).
        schedule: The noise schedule.
        batch_size: The largest batch.
        replacement: Whether images are drawn with replacement; if not, a batch of DDPM has
            min(batch_size, K), one of continuous time is filled by repeating the images.
        prediction: What the network shall predict; see `spurion.diffusion.denoisers.network`.
        seed: The seed of the training.
        device: Where the batches are wanted.
    """

    def __init__(
        self,
        images: Float[Tensor, "K *shape"],
        schedule: DDPMSchedule | VESchedule,
        *,
        batch_size: int,
        replacement: bool,
        seed: int,
        prediction: Prediction = "epsilon",
        device: torch.device | str = "cpu",
    ) -> None:
        one_each = (-1,) + (1,) * (images.ndim - 1)
        self._images, self._one_each = images.to(device), one_each
        self._replacement, self._prediction, self._seed = replacement, prediction, seed
        self._size = batch_size
        self._schedule = schedule
        if isinstance(schedule, DDPMSchedule):
            self._size = batch_size if replacement else min(batch_size, len(images))
            times = torch.arange(schedule.steps)
            self._alpha = schedule.alpha(times).to(images.dtype).view(one_each).to(device)
            self._sigma = schedule.sigma(times).to(images.dtype).view(one_each).to(device)
        self._order = lru_cache(maxsize=2)(self._permutation)
        self._threads = THREADS if self._images.is_cuda else 0

    def __call__(self, step: int) -> Batch:
        """Draw the batch of one step."""
        return self._mixed(self._drawn(step))

    def ahead(self, steps: range) -> Iterator[Batch]:
        """The batches of consecutive steps; where threads draw them, a few are drawn before they are due."""
        if not self._threads:
            yield from map(self, steps)
            return
        pool = ThreadPoolExecutor(self._threads)
        try:
            waiting = deque(pool.submit(self._drawn, step) for step in steps[:AHEAD])
            for step in steps:
                drawn = waiting.popleft().result()
                if step + AHEAD in steps:
                    waiting.append(pool.submit(self._drawn, step + AHEAD))
                yield self._mixed(drawn)
        finally:
            pool.shutdown(cancel_futures=True)

    def _drawn(self, step: int) -> Draw:
        """The random numbers of one step, in pinned memory where they must travel."""
        draw = torch.Generator().manual_seed(derive_seed(self._seed, "step", step))
        if self._replacement:
            index = torch.randint(len(self._images), (self._size,), generator=draw)
        else:
            index = self.epochs(step * self._size, self._size)
        if isinstance(self._schedule, DDPMSchedule):
            times = torch.randint(self._schedule.steps, (self._size,), generator=draw)
        else:
            times = torch.randperm(self._size, generator=draw) + torch.rand(self._size, generator=draw)
        shape = self._size, *self._images.shape[1:]
        drawn = Draw(index, times, torch.randn(shape, generator=draw, dtype=self._images.dtype))
        return Draw(*(value.pin_memory() for value in drawn)) if self._images.is_cuda else drawn

    def _mixed(self, drawn: Draw) -> Batch:
        """The batch that random numbers make."""
        device = self._images.device
        t, alpha, sigma = self._times(drawn.times)
        noise = drawn.noise.to(device, non_blocking=True)
        x = self._images[drawn.images.to(device, non_blocking=True)]
        targets = {
            "epsilon": lambda: noise,
            "sample": lambda: x,
            "v_prediction": lambda: alpha * noise - sigma * x,
        }
        return Batch(alpha * x + sigma * noise, t, targets[self._prediction]())

    def _times(self, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Times of a batch, with alpha and sigma shaped to multiply it."""
        device, schedule = self._images.device, self._schedule
        if isinstance(schedule, DDPMSchedule):
            t = drawn.to(device, non_blocking=True)
            return t, self._alpha[t], self._sigma[t]
        t = FIRST_TIME + (1 - FIRST_TIME) * drawn / self._size
        sigma = schedule.sigma(t).to(self._images).view(self._one_each)
        return t.to(device), torch.ones_like(sigma), sigma

    def epochs(self, first: int, count: int) -> Int64[Tensor, " count"]:
        """Positions first to first + count - 1 of the endless row of permutations."""
        size = len(self._images)
        pieces = []
        while count:
            epoch, start = divmod(first, size)
            pieces.append(self._order(epoch)[start : start + count])
            first, count = first + len(pieces[-1]), count - len(pieces[-1])
        return torch.cat(pieces)

    def _permutation(self, epoch: int) -> Int64[Tensor, " K"]:
        return torch.randperm(len(self._images), generator=generator(self._seed, "epoch", epoch))

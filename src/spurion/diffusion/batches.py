r"""Training batches as a function of the seed and the step alone.

Step i draws from its own stream, ``generator(seed, "step", i)``: the images (with replacement), the steps
:math:`t \sim U\{0, \dots, T-1\}` and the noise :math:`\epsilon \sim \mathcal{N}(0, I)`, in this order.
Without replacement the images come from an endless row of seeded permutations, one for each epoch; batches
run across their joints, so that no image of any permutation is left out. Nothing is carried from step to
step, so a training that is resumed sees what it would have seen.

All numbers are drawn on the CPU: every device trains on the same data.
"""

__all__ = ["Batch", "Batches"]

from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spurion.core.random import derive_seed, generator
from spurion.diffusion.denoisers.network import Prediction
from spurion.diffusion.schedule import DDPMSchedule


class Batch(NamedTuple):
    """What a network sees in one training step, noisy items and their steps, and what it shall predict."""

    x_t: Float[Tensor, "b *shape"]
    t: Int64[Tensor, " b"]
    target: Float[Tensor, "b *shape"]


class Batches:
    """The batches of one training.

    Arguments:
        images: The training items, with shape (K, *shape).
        schedule: The noise schedule.
        batch_size: The largest batch.
        replacement: Whether images are drawn with replacement; if not, a batch has min(batch_size, K).
        prediction: What the network shall predict; see `spurion.diffusion.denoisers.network`.
        seed: The seed of the training.
        device: Where the batches are wanted.
    """

    def __init__(
        self,
        images: Float[Tensor, "K *shape"],
        schedule: DDPMSchedule,
        *,
        batch_size: int,
        replacement: bool,
        seed: int,
        prediction: Prediction = "epsilon",
        device: torch.device | str = "cpu",
    ) -> None:
        one_each = (-1,) + (1,) * (images.ndim - 1)
        times = torch.arange(schedule.steps)
        self._images = images.to(device)
        self._alpha = schedule.alpha(times).to(images.dtype).view(one_each).to(device)
        self._sigma = schedule.sigma(times).to(images.dtype).view(one_each).to(device)
        self._steps, self._seed = schedule.steps, seed
        self._replacement, self._prediction = replacement, prediction
        self._size = batch_size if replacement else min(batch_size, len(images))
        self._order = lru_cache(maxsize=2)(self._permutation)
        self._generator = torch.Generator()

    def __call__(self, step: int) -> Batch:
        """Draw the batch of one step."""
        draw = self._generator.manual_seed(derive_seed(self._seed, "step", step))
        device, shape = self._images.device, self._images.shape[1:]
        if self._replacement:
            index = torch.randint(len(self._images), (self._size,), generator=draw)
        else:
            index = self.epochs(step * self._size, self._size)
        t = torch.randint(self._steps, (self._size,), generator=draw).to(device)
        noise = torch.randn((self._size, *shape), generator=draw, dtype=self._images.dtype).to(device)
        x, alpha, sigma = self._images[index.to(device)], self._alpha[t], self._sigma[t]
        targets = {
            "epsilon": lambda: noise,
            "sample": lambda: x,
            "v_prediction": lambda: alpha * noise - sigma * x,
        }
        return Batch(alpha * x + sigma * noise, t, targets[self._prediction]())

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

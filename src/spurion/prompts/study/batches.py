"""Batches of noisy images with their captions, as a function of the seed and the step alone.

They are those of `spurion.diffusion.batches`, whose times become rows of a time and the tokens of a caption.
Which captions are replaced by the empty one is drawn from a stream of its own, ``(seed, "empty", step)``.
"""

__all__ = ["CaptionedBatches"]

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spurion.core.random import generator
from spurion.diffusion.batches import Batch, Batches
from spurion.diffusion.denoisers.network import Prediction
from spurion.diffusion.schedule import DDPMSchedule


class CaptionedBatches:
    """The batches of one training, by random orders of the training list.

    Arguments:
        images: The image of each item of the training list.
        tokens: The tokens of its caption.
        empty: The tokens of the empty caption.
        schedule: The noise schedule.
        batch_size: Items of a batch; not more than there are.
        prediction: What the network shall predict.
        unconditional: The share of captions that are replaced by the empty one, in [0, 1].
        seed: The seed of the training.
        device: Where the batches are wanted.
    """

    def __init__(
        self,
        images: Float[Tensor, "k C H W"],
        tokens: Int64[Tensor, "k l"],
        *,
        empty: Int64[Tensor, " l"],
        schedule: DDPMSchedule,
        batch_size: int,
        prediction: Prediction,
        unconditional: float,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self._tokens, self._empty = tokens.to(device), empty.to(device)
        self._size, self._share, self._seed = min(batch_size, len(images)), unconditional, seed
        self._batches = Batches(
            images,
            schedule,
            batch_size=self._size,
            replacement=False,
            prediction=prediction,
            seed=seed,
            device=device,
        )

    def ahead(self, steps: range) -> Iterator[Batch]:
        """The batches of consecutive steps."""
        for step, batch in zip(steps, self._batches.ahead(steps), strict=True):
            yield batch._replace(t=torch.cat([batch.t.unsqueeze(1), self._captions(step)], dim=1))

    def _captions(self, step: int) -> Int64[Tensor, "b l"]:
        items = self._batches.epochs(step * self._size, self._size)
        draw = torch.rand(self._size, generator=generator(self._seed, "empty", step))
        dropped = (draw < self._share).unsqueeze(1)
        return torch.where(dropped.to(self._tokens.device), self._empty, self._tokens[items])

"""Embedding images by a network: in batches of one size.

A convolution rounds differently in batches of different size, so that an image would be at a distance
above 0 from its own copy. Here every batch is filled up to the same size, which depends on the shape of the
images alone; the place within a batch makes no difference.
"""

__all__ = ["Embedder"]

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

BATCH_PIXELS = 2**16
"""Pixels of a batch, if nothing else is known."""

LARGEST_BATCH = 64
"""Images of a batch, however small."""


class Embedder:
    """Calls a function on batches of images.

    Arguments:
        function: From images with shape (b, *shape) to vectors with shape (b, d); a row must not depend on
            the other rows.
        batch_pixels: Pixels of a batch: 2^16 are 64 images of 32 x 32.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], *, batch_pixels: int = BATCH_PIXELS) -> None:
        self._function = function
        self._batch_pixels = batch_pixels
        self._widths: dict[tuple[int, ...], int] = {}

    def __call__(self, images: Float[Tensor, "n *shape"]) -> Float[Tensor, "n d"]:
        """The vector of every image, with shape (n, d)."""
        if not len(images):
            return self._padded(images.new_zeros(1, *images.shape[1:]))[:0]
        parts = images.split(self._batch_size(tuple(images.shape[1:])))
        first = self._padded(parts[0])
        vectors = first.new_empty(len(images), first.shape[1])
        for part, rows in zip(parts, vectors.split(len(parts[0])), strict=True):
            rows.copy_(first if part is parts[0] else self._padded(part))
        return vectors

    @torch.no_grad()
    def _padded(self, images: Float[Tensor, "b *shape"]) -> Float[Tensor, "b d"]:
        """One call of the function on a batch of full size."""
        shape = tuple(images.shape[1:])
        batch = images.new_zeros(self._batch_size(shape), *shape)
        batch[: len(images)] = images
        with torch.autocast(images.device.type, enabled=False):
            vectors = self._function(batch)
        self._check(vectors, batch)
        return vectors[: len(images)].detach()

    def _check(self, vectors: object, batch: Float[Tensor, "b *shape"]) -> None:
        """Refuse what is no vector for each image, of one length for all images of a shape."""
        if not isinstance(vectors, Tensor):
            raise ValueError(f"an embedding must return a tensor, got {type(vectors).__name__}.")
        if (
            vectors.ndim != 2
            or 0 in vectors.shape
            or len(vectors) != len(batch)
            or not vectors.is_floating_point()
        ):
            raise ValueError(
                f"an embedding must return one row of floats for each of {len(batch)} images, got "
                f"{str(vectors.dtype).removeprefix('torch.')} of shape {tuple(vectors.shape)}."
            )
        width = vectors.shape[1]
        known = self._widths.setdefault(tuple(batch.shape[1:]), width)
        if width != known:
            raise ValueError(
                f"an embedding must return rows of one length, got {known} numbers and then {width}."
            )

    def _batch_size(self, shape: tuple[int, ...]) -> int:
        return max(1, min(LARGEST_BATCH, self._batch_pixels // max(1, math.prod(shape[-2:]))))

"""Embedding images by a network: in batches of one size, and each image once.

A convolution rounds differently in batches of different size, so that an image would be at a distance
above 0 from its own copy. Here every batch is filled up to the same size, which depends on the shape of the
images alone; the place within a batch makes no difference.

Vectors are remembered by the content of their image, the least recently used forgotten first.
"""

__all__ = ["Embedder", "image_digest"]

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

BATCH_PIXELS = 2**16
"""Pixels of a batch, if nothing else is known."""

LARGEST_BATCH = 64
"""Images of a batch, however small."""

REMEMBERED_BYTES = 2**30
"""Memory for vectors that may be asked for again."""


def image_digest(image: Float[Tensor, "*shape"]) -> bytes:
    """The SHA-256 of an image's numbers and type: equal for equal images; adding 0 makes -0 and 0 equal."""
    content = (image.detach() + 0.0).cpu().contiguous().numpy()
    return hashlib.sha256(f"{content.dtype}{content.shape}".encode() + content.tobytes()).digest()


class Embedder:
    """Calls a function on batches of images and remembers what it returned.

    Arguments:
        function: From images with shape (b, *shape) to vectors with shape (b, d); a row must not depend on
            the other rows.
        batch_pixels: Pixels of a batch: 2^16 are 64 images of 32 x 32.
        remembered_bytes: Memory for vectors that may be asked for again; 0 remembers none.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        *,
        batch_pixels: int = BATCH_PIXELS,
        remembered_bytes: int = REMEMBERED_BYTES,
    ) -> None:
        self._function = function
        self._batch_pixels = batch_pixels
        self._limit = remembered_bytes
        self._known: OrderedDict[tuple[bytes, torch.device], Tensor] = OrderedDict()
        self._bytes = 0

    def __call__(self, images: Float[Tensor, "n *shape"]) -> Float[Tensor, "n d"]:
        """The vector of every image, with shape (n, d)."""
        if not len(images):
            return self._padded(images.new_zeros(1, *images.shape[1:]))[:0]
        keys = [(image_digest(image), images.device) for image in images]
        first: dict[tuple[bytes, torch.device], int] = {}
        source = torch.tensor([first.setdefault(key, index) for index, key in enumerate(keys)])
        rows = {index: self._known[key] for key, index in first.items() if key in self._known}
        fresh = torch.tensor([i for i in first.values() if i not in rows], dtype=torch.int64)
        vectors = self._fresh(images, fresh) if len(fresh) else self._empty(images, next(iter(rows.values())))
        for index, vector in rows.items():
            vectors[index] = vector
            self._known.move_to_end(keys[index])
        for index in fresh.tolist():
            self._remember(keys[index], vectors[index])
        copies = (source != torch.arange(len(images))).nonzero()[:, 0]
        vectors[copies] = vectors[source[copies]]
        return vectors

    def _fresh(
        self, images: Float[Tensor, "n *shape"], indices: Int64[Tensor, " fresh"]
    ) -> Float[Tensor, "n d"]:
        """A tensor for all vectors, with those of `indices` computed."""
        parts = indices.split(self._batch_size(tuple(images.shape[1:])))
        embedded = self._padded(images[parts[0]])
        vectors = self._empty(images, embedded[0])
        vectors[parts[0]] = embedded
        for part in parts[1:]:
            vectors[part] = self._padded(images[part])
        return vectors

    @staticmethod
    def _empty(images: Float[Tensor, "n *shape"], like: Float[Tensor, " d"]) -> Float[Tensor, "n d"]:
        return like.new_empty(len(images), len(like))

    @torch.no_grad()
    def _padded(self, images: Float[Tensor, "b *shape"]) -> Float[Tensor, "b d"]:
        """One call of the function on a batch of full size."""
        shape = tuple(images.shape[1:])
        batch = images.new_zeros(self._batch_size(shape), *shape)
        batch[: len(images)] = images
        with torch.autocast(images.device.type, enabled=False):
            vectors = self._function(batch)
        if vectors.ndim != 2 or len(vectors) != len(batch) or not vectors.is_floating_point():
            raise ValueError(
                f"an embedding must return one row of floats for each of {len(batch)} images, "
                f"got {str(vectors.dtype).removeprefix('torch.')} of shape {tuple(vectors.shape)}."
            )
        return vectors[: len(images)].detach()

    def _remember(self, key: tuple[bytes, torch.device], vector: Float[Tensor, " d"]) -> None:
        if vector.nbytes > self._limit:
            return
        self._known[key] = vector.clone()
        self._bytes += vector.nbytes
        while self._bytes > self._limit:
            self._bytes -= self._known.popitem(last=False)[1].nbytes

    def _batch_size(self, shape: tuple[int, ...]) -> int:
        return max(1, min(LARGEST_BATCH, self._batch_pixels // max(1, math.prod(shape[-2:]))))

"""Embedding a whole set: vectors in memory where they fit, in a file where they do not.

Where vectors cost something, each image is embedded once: they are kept in the file of the distance's
`Keeper`, and read from there by whoever asks for them.
"""

__all__ = ["embedded"]

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spurion.core.progress import Progress, silent
from spurion.neighbors.distances import Distance
from spurion.neighbors.distances.keeper import Embed, Keeper, VectorFile
from spurion.neighbors.distances.l2 import L2
from spurion.neighbors.rows import Rows

PART_BYTES = 2**26
"""Bytes of images, and of vectors, that are made at once, at most."""
PART_ROWS = 64
"""Images are embedded in multiples of this many, fewer only if they or their vectors are large."""


def embedded(
    images: Rows,
    distance: Distance,
    *,
    dtype: torch.dtype | None = None,
    memory_limit: int = 2**31,
    progress: Progress = silent,
) -> Rows:
    """The vectors of all images.

    Arguments:
        images: The images.
        distance: Whose vectors. If it keeps them (`Distance.kept`), known ones are not computed again.
        dtype: What the images are made before they are embedded; their own type by default.
        memory_limit: In bytes; more vectors stay in a file, one that vanishes after use if none is kept.
        progress: Called with (images done, images in all).
    """
    if isinstance(distance, L2):
        return images
    images = images if dtype is None else _Typed(images, dtype)
    first = images.images(slice(0, 1))
    if not len(images):
        return Rows(distance.embed(first))
    if not distance.costly:
        row = distance.embed(first)
        if len(images) * row.nbytes <= memory_limit:
            return _computed(images, distance, row, memory_limit, progress)
    embed = _checked(distance)
    file = (distance.keeper or Keeper()).file(first, distance.info.model_dump_json(), embed)
    places = torch.empty(len(images), dtype=torch.int64)
    done = 0
    while done < len(images):
        part = _part(images, done, file.row_bytes, memory_limit)
        places[part] = file.places(images.images(part), embed)
        done = part.stop
        progress(done, len(images))
    vectors = _Kept(file, places, images.device)
    return vectors if len(images) * file.row_bytes > memory_limit else Rows(vectors.in_memory())


class _Typed(Rows):
    """Images, read as another type."""

    def __init__(self, images: Rows, dtype: torch.dtype) -> None:
        super().__init__(torch.empty(len(images), *images.shape, device="meta"), images.device)
        self._images, self._dtype = images, dtype

    def images(self, part: slice) -> Float[Tensor, "b *shape"]:
        return self._images.images(part).to(self._dtype)


class _Kept(Rows):
    """Vectors that stay in a file.

    Arguments:
        file: The file.
        places: Where in it the vectors are, with shape (n,).
        device: Where to put what is read.
    """

    def __init__(self, file: VectorFile, places: Int64[Tensor, " n"], device: torch.device) -> None:
        super().__init__(places, device)
        self._file, self._places = file, places
        self.dim = file.width
        self.shape = (file.width,)

    def images(self, part: slice) -> Float[Tensor, "b d"]:
        return self._file.read(self._places[part]).to(self.device)

    def take(self, indices: Int64[Tensor, " p"]) -> Float[Tensor, "p d"]:
        return self._file.read(self._places[indices.cpu()]).to(self.device)

    def in_memory(self) -> Float[Tensor, "n d"]:
        """All vectors, read some at a time."""
        vectors = self.images(slice(0, 0)).new_empty(len(self), self.dim)
        for part, rows in self.parts():
            vectors[part] = rows
        return vectors


def _computed(
    images: Rows, distance: Distance, row: Float[Tensor, "1 d"], memory_limit: int, progress: Progress
) -> Rows:
    """Vectors that are made in memory and not kept."""
    vectors, embed = row.new_empty(len(images), row.shape[1]), _checked(distance)
    done = 0
    while done < len(images):
        part = _part(images, done, row.nbytes, memory_limit)
        vectors[part] = embed(images.images(part))
        done = part.stop
        progress(done, len(images))
    return Rows(vectors)


def _checked(distance: Distance) -> Embed:
    """The embedding, which tells vectors that are not finite from images that are not."""

    def embed(images: Float[Tensor, "n *shape"]) -> Float[Tensor, "n d"]:
        vectors = distance.embed(images)
        if all(math.isfinite(end) for end in vectors.aminmax()):
            return vectors
        wrong = ~vectors.isfinite().all(dim=1)
        if images[wrong].flatten(start_dim=1).isfinite().all(dim=1).any():
            raise ValueError(
                f"The distance `{distance.info.name}` makes vectors that are not finite of images that are; "
                "check its weights or its function."
            )
        return vectors

    return embed


def _part(images: Rows, start: int, row_bytes: int, memory_limit: int) -> slice:
    """The images from one on that are embedded together: few if they are large or their vectors are."""
    largest = max(1, images.dim * images.images(slice(0, 0)).element_size(), row_bytes)
    fitting = min(PART_BYTES, memory_limit // 2) // largest if row_bytes else 0
    fewest = max(1, min(PART_ROWS, PART_BYTES // largest))
    return slice(start, min(start + max(fewest, fitting - fitting % PART_ROWS), len(images)))

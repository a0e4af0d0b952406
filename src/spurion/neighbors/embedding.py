"""Embedding a whole set once: in memory where it fits, in a file where it does not.

With a cache folder the vectors are kept under a digest of the images and of the distance, and are read again
by whoever asks for them. A file that was not finished is continued. Before a file is trusted, its first
rows are computed anew and must agree bit by bit: other weights or another version of a library may round
differently, and copies would be apart.
"""

__all__ = ["embedded"]

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from filelock import FileLock
from jaxtyping import Float
from torch import Tensor

from spurion.core.files import read_json, write_json
from spurion.core.progress import Progress, silent
from spurion.neighbors.distances import Distance
from spurion.neighbors.distances.l2 import L2
from spurion.neighbors.rows import Rows

PART_BYTES = 2**26
"""Bytes of vectors that are computed between two looks at the progress."""
PART_ROWS = 64
"""Images are embedded in multiples of this many."""
CHECKED_ROWS = 2
"""Vectors of a file that are computed anew before it is trusted."""


def embedded(
    images: Rows,
    distance: Distance,
    *,
    cache: Path | str | None = None,
    memory_limit: int = 2**31,
    progress: Progress = silent,
) -> Rows:
    """The vectors of all images.

    Arguments:
        images: The images.
        distance: Whose vectors.
        cache: A folder that keeps vectors from one search to the next.
        memory_limit: In bytes; more vectors go to a file, without a cache to one that vanishes after use.
        progress: Called with (images done, images in all).
    """
    if isinstance(distance, L2):
        return images
    first = distance.embed(images.images(slice(0, CHECKED_ROWS)))
    size = len(images) * first.shape[1] * first.element_size()
    if cache is None and size <= memory_limit:
        vectors = first.new_empty(len(images), first.shape[1])
        for part, rows in _in_parts(images, distance, first, 0):
            vectors[part] = rows
            progress(part.stop, len(images))
        return Rows(vectors)
    if cache is None:
        folder = tempfile.TemporaryDirectory(prefix="spurion-")
        values = _in_file(Path(folder.name) / "vectors.npy", images, distance, first, progress)
        return Rows(values, images.device, keep=folder)
    identity = f"{images.digest()} {distance.info.model_dump_json()}"
    path = Path(cache) / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        return Rows(_in_file(path, images, distance, first, progress), images.device)


def _in_file(
    path: Path, images: Rows, distance: Distance, first: Float[Tensor, "c d"], progress: Progress
) -> np.ndarray:
    """A map of the file of vectors, which is written or finished first if need be."""
    shape = (len(images), first.shape[1])
    if _mapped(path, shape, first) is None:
        unfinished, state = path.with_suffix(".unfinished.npy"), path.with_suffix(".unfinished.json")
        done = read_json(state)["images"] if state.exists() else 0
        values = _mapped(unfinished, shape, first, "r+") if done else None
        if values is None:
            done, dtype = 0, first.cpu().numpy().dtype
            values = np.lib.format.open_memmap(unfinished, "w+", dtype, shape)
        for part, rows in _in_parts(images, distance, first, done):
            values[part] = rows.cpu().numpy()
            values.flush()
            write_json(state, {"images": part.stop})
            progress(part.stop, len(images))
        unfinished.replace(path)
        state.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r")


def _in_parts(
    images: Rows, distance: Distance, first: Float[Tensor, "c d"], done: int
) -> Iterator[tuple[slice, Float[Tensor, "b d"]]]:
    """The vectors of images from one on, some at a time, each time with their place."""
    step = max(1, PART_BYTES // (PART_ROWS * first[:1].nbytes)) * PART_ROWS if len(first) else 1
    for start in range(done, len(images), step):
        part = slice(start, min(start + step, len(images)))
        yield part, distance.embed(images.images(part))


def _mapped(
    path: Path, shape: tuple[int, int], first: Float[Tensor, "c d"], mode: Literal["r", "r+"] = "r"
) -> np.memmap | None:
    """A file of vectors of a given shape, if it starts with these."""
    try:
        values = np.load(path, mmap_mode=mode, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    expected = first.cpu().numpy()
    if values.shape != shape or values.dtype != expected.dtype:
        return None
    starts_so = np.array_equal(values[: len(expected)], expected)
    return values if isinstance(values, np.memmap) and starts_so else None

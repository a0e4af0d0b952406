"""Vectors that are kept: each under the digest of its image, in a file, computed once.

A `Keeper` lives as long as a search or an audit, and its files with it; or it keeps its files in a folder,
where later runs and other processes find them. Images are known by their content, so that subsets, other
orders and copies find their vectors, and two equal images have the same vector, bit by bit.

In a folder the name of a file is a digest of the distance, of the shape and type of its images, and of the
vectors of two fixed images: other weights or another version of a library, which may round differently, have
a file of their own. The same two vectors are the first rows of the file and are compared when it is opened;
a file that begins otherwise is started over. Every row has a checksum, which is verified when a process looks
the row up for the first time; a row that is damaged is told and made again, at the end of the file.
"""

__all__ = ["Embed", "Keeper", "VectorFile", "image_digests"]

import hashlib
import io
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor

from spurion.core.random import generator
from spurion.core.tensors import Damaged, tell

DIGEST_BYTES = 32
"""Bytes of a SHA-256."""
SUM_BYTES = 16
"""Bytes of the checksum of a row, of its SHA-256 the first."""
PROBES = 2
"""Fixed images whose vectors tell one file from another."""

Embed = Callable[[Tensor], Tensor]
"""From images with shape (n, *shape) to vectors with shape (n, d)."""

File = io.FileIO | io.BytesIO


def image_digests(images: Float[Tensor, "n *shape"]) -> list[bytes]:
    """The SHA-256 of every image's numbers, shape and type; adding 0 makes -0 and 0 equal."""
    content = (images.detach() + 0.0).cpu().contiguous()
    kind = f"{str(images.dtype).removeprefix('torch.')}{tuple(images.shape[1:])}".encode()
    return [hashlib.sha256(kind + _bytes(image).tobytes()).digest() for image in content]


class Keeper:
    """Keeps the vectors of a distance; see the module.

    Arguments:
        folder: Where to keep them; None for nameless temporary files, which vanish with the keeper.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._files: dict[tuple[object, ...], VectorFile] = {}

    def file(self, images: Float[Tensor, "n *shape"], identity: str, embed: Embed) -> "VectorFile":
        """The file with the vectors of images of this shape, type and device.

        Arguments:
            images: Any number of images.
            identity: What tells the distance from others.
            embed: Makes the vectors.
        """
        kind = (tuple(images.shape[1:]), images.dtype, images.device)
        if kind not in self._files:
            self._files[kind] = VectorFile() if self._folder is None else self._named(images, identity, embed)
        return self._files[kind]

    def _named(self, images: Float[Tensor, "n *shape"], identity: str, embed: Embed) -> "VectorFile":
        """A file in the folder."""
        shape = (PROBES, *images.shape[1:])
        probes = torch.rand(shape, generator=generator(0, "probes"), dtype=torch.float64) * 2 - 1
        probes = probes.to(images.device, images.dtype)
        first = embed(probes).detach().cpu()
        kind = f"{identity} {shape} {images.dtype} {images.device.type} {first.shape[1]} {first.dtype}"
        name = hashlib.sha256(kind.encode() + _bytes(first).tobytes()).hexdigest()[:32]
        return VectorFile(Path(self._folder or "", name), image_digests(probes), first)


class VectorFile:
    """A file of vectors that only grows, and the digests of their images; see the module.

    Arguments:
        path: The files are this path with ".vectors" (the rows), ".sums" (their checksums), ".sha256" (the
            digests in the same order) and ".lock"; None for a nameless file.
        digests: The digests of the first rows of a file with a name.
        first: These rows.
    """

    def __init__(
        self,
        path: Path | None = None,
        digests: Sequence[bytes] = (),
        first: Float[Tensor, "c d"] | None = None,
    ) -> None:
        self._known: dict[bytes, int] = {}
        self._count = 0
        self._name = path
        self._sound = bytearray()  # which rows were written or verified here
        self._like = torch.empty(0, 0) if first is None else first[:0]
        self._lock: AbstractContextManager[object] = nullcontext()
        if path is None or first is None:
            self._rows: io.FileIO = tempfile.TemporaryFile(prefix="spurion-", buffering=0)  # noqa: SIM115
            self._sums: File = io.BytesIO()
            self._digests: File = io.BytesIO()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(f"{path}.lock")
            with self._lock:
                self._open(path, list(digests), first)
        weakref.finalize(self, _close, self._rows, self._sums, self._digests)

    @property
    def width(self) -> int:
        """Numbers of a vector; 0 as long as none is known."""
        return self._like.shape[1]

    @property
    def row_bytes(self) -> int:
        """Bytes of a vector."""
        return self.width * self._like.element_size()

    def places(self, images: Float[Tensor, "n *shape"], embed: Embed) -> Int64[Tensor, " n"]:
        """Where in the file the vectors of images are; those that are not there are made and added.

        Raises:
            ValueError: If vectors differ in width or type.
        """
        digests = image_digests(images)
        with self._lock:
            self._refresh()
        self._forget_damaged(digests)
        fresh: dict[bytes, int] = {}
        for index, digest in enumerate(digests):
            if digest not in self._known:
                fresh.setdefault(digest, index)
        if fresh:
            vectors = embed(images[torch.tensor(list(fresh.values()), device=images.device)])
            with self._lock:
                self._refresh()
                self._append(list(fresh), vectors.detach().cpu())
        return torch.tensor([self._known[digest] for digest in digests], dtype=torch.int64)

    def read(self, places: Int64[Tensor, " p"]) -> Float[Tensor, "p d"]:
        """The vectors at some places.

        Raises:
            OSError: If the file was cut while it was in use.
        """
        rows = self._like.new_empty(len(places), self.width)
        target, width, at = memoryview(_bytes(rows).data), self.row_bytes, 0
        for start, count in _runs(places):
            self._rows.seek(start * width)
            size = count * width
            if self._rows.readinto(target[at : at + size]) != size:
                raise OSError("a file of vectors was cut while it was in use; start again.")
            at += size
        return rows

    def _open(self, path: Path, digests: list[bytes], first: Float[Tensor, "c d"]) -> None:
        """Open the files, or start them over if they do not begin with the first rows."""
        files = [Path(f"{path}.{end}") for end in ("vectors", "sums", "sha256")]
        self._rows, self._sums, self._digests = map(_opened, files)
        self._complete_sums()
        self._refresh()
        begins_so = list(self._known)[: len(digests)] == digests
        if begins_so and np.array_equal(_bytes(self.read(torch.arange(len(digests)))), _bytes(first)):
            return
        if self._count:
            tell(Damaged(f"{path}.vectors is damaged."), "it is started over")
        _close(self._rows, self._sums, self._digests)
        for file in files:  # whoever has them open goes on reading the old ones
            file.unlink()
        self._rows, self._sums, self._digests = map(_opened, files)
        self._known, self._count, self._sound = {}, 0, bytearray()
        self._append(digests, first)

    def _complete_sums(self) -> None:
        """Make the checksums that a former version did not write, or that were cut."""
        known = self._sums.seek(0, os.SEEK_END) // SUM_BYTES
        digests = self._digests.seek(0, os.SEEK_END) // DIGEST_BYTES
        whole = min(digests, self._rows.seek(0, os.SEEK_END) // self.row_bytes)
        self._sums.seek(known * SUM_BYTES)
        for place in range(known, whole):
            _write(self._sums, memoryview(_row_sum(self.read(torch.tensor([place]))[0])))

    def _forget_damaged(self, digests: Sequence[bytes]) -> None:
        """Forget the rows of some images that do not fit their checksums; each row is looked at once."""
        if self._name is None:
            return
        for digest in digests:
            place = self._known.get(digest)
            if place is None or self._sound[place]:
                continue
            self._sums.seek(place * SUM_BYTES)
            if self._sums.read(SUM_BYTES) == _row_sum(self.read(torch.tensor([place]))[0]):
                self._sound[place] = True
            else:
                del self._known[digest]
                tell(Damaged(f"A row of {self._name}.vectors is damaged."), "it is made again")

    def _refresh(self) -> None:
        """Look up what others have added."""
        self._digests.seek(self._count * DIGEST_BYTES)
        added = self._digests.read()
        whole = len(added) // DIGEST_BYTES
        if whole:
            rows = self._rows.seek(0, os.SEEK_END) // self.row_bytes
            whole = min(whole, rows - self._count, self._sums.seek(0, os.SEEK_END) // SUM_BYTES - self._count)
        for index in range(whole):
            self._known[added[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]] = self._count + index
        self._count += max(0, whole)
        self._sound.extend(bytes(self._count - len(self._sound)))

    def _append(self, digests: list[bytes], vectors: Float[Tensor, "n d"]) -> None:
        """Add vectors that others have not added meanwhile: first the rows, then the digests."""
        if not self._count:
            self._like = vectors[:0].clone()
        if (vectors.shape[1], vectors.dtype) != (self.width, self._like.dtype):
            raise ValueError(
                f"an embedding must return vectors of one width and type, got {_kind(self._like)} and then "
                f"{_kind(vectors)}."
            )
        new = [index for index, digest in enumerate(digests) if digest not in self._known]
        self._digests.seek(self._count * DIGEST_BYTES)
        self._digests.truncate()
        self._rows.seek(self._count * self.row_bytes)
        rows = vectors[torch.tensor(new, dtype=torch.int64)]
        _write(self._rows, _bytes(rows).data)
        if not isinstance(self._lock, nullcontext):
            os.fsync(self._rows.fileno())  # the digests must not outlive their rows
        self._sums.seek(self._count * SUM_BYTES)
        self._sums.truncate()
        _write(self._sums, memoryview(b"".join(map(_row_sum, rows))))
        _write(self._digests, memoryview(b"".join(digests[index] for index in new)))
        self._known |= {digests[index]: self._count + number for number, index in enumerate(new)}
        self._count += len(new)
        self._sound.extend(b"\x01" * len(new))


def _bytes(values: Shaped[Tensor, "..."]) -> UInt8[np.ndarray, " b"]:
    """The bytes of a tensor on the CPU: the same memory if its numbers lie in a row."""
    return values.contiguous().flatten().view(torch.uint8).numpy()


def _row_sum(row: Float[Tensor, " d"]) -> bytes:
    return hashlib.sha256(_bytes(row).data).digest()[:SUM_BYTES]


def _runs(places: Int64[Tensor, " p"]) -> Iterator[tuple[int, int]]:
    """First place and length of every run of consecutive places."""
    starts = [0, *((places.diff() != 1).nonzero()[:, 0] + 1).tolist(), len(places)]
    for start, stop in pairwise(starts):
        if stop > start:
            yield int(places[start]), stop - start


def _opened(path: Path) -> io.FileIO:
    """A file to read and write, made if there is none."""
    path.touch()
    return path.open("r+b", buffering=0)


def _write(file: File, content: memoryview) -> None:
    left = content
    while len(left):
        left = left[file.write(left) :]


def _close(*files: File) -> None:
    for file in files:
        file.close()


def _kind(vectors: Float[Tensor, "n d"]) -> str:
    return f"{str(vectors.dtype).removeprefix('torch.')} of {vectors.shape[1]} numbers"

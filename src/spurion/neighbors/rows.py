"""Images to be compared, read in parts: tensors, arrays and files larger than memory.

A set may be a tensor, a numpy array (a memory map as well) or the path of a ``.npy`` file, which is mapped
and never read whole. Bytes stand for pixels, :math:`x = u / 127.5 - 1`, as in `spurion.data`.
"""

__all__ = ["Rows", "Source", "same_rows"]

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from spurion.data.numbers import plain_tensor

Source = Tensor | np.ndarray | Path | str
"""What a set of images may be given as."""

KINDS = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8),
    *(np.dtype(kind) for kind in (np.float16, np.float32, np.float64, np.uint8)),
)
"""The numbers that images may hold; what can be converted to one of them is."""

PART_ELEMENTS = 2**18
"""Numbers that are read at once: few enough for the processor's cache."""
ACCELERATED_ELEMENTS = 2**23
"""Numbers that an accelerator takes at once: every operation costs it some microseconds, however small."""


class Rows:
    """A set of n images as rows of d numbers, of which some are read at a time.

    Arguments:
        values: The images, floats or uint8, with shape (n, ...).
        device: Where to put what is read; the values' own by default.
        keep: Anything that must live as long as the values, such as their folder.
    """

    def __init__(
        self, values: Tensor | np.ndarray, device: torch.device | None = None, keep: object = None
    ) -> None:
        self._values = values
        self._keep = keep
        own = values.device if isinstance(values, Tensor) else torch.device("cpu")
        self.device = device or own
        self.shape = tuple(int(side) for side in values.shape[1:])
        self.count = int(values.shape[0])
        self.dim = int(np.prod(self.shape, dtype=np.int64))

    @classmethod
    def open(cls, source: object, name: str) -> "Rows":
        """The rows of a set, given as a `Source` or as rows.

        Raises:
            ValueError: If it is nothing of the kind, a file is not a ``.npy`` of plain numbers, or numbers
                are neither floats nor bytes.
        """
        if isinstance(source, Rows):
            return source
        if isinstance(source, str | Path):
            source = _mapped(Path(source), name)
        if not isinstance(source, Tensor | np.ndarray):
            given = type(source).__name__
            raise ValueError(f"`{name}` must be a tensor, an array or the path of a .npy file, got {given}.")
        source = _plain(source, name)
        kind = source.dtype if isinstance(source, Tensor) else source.dtype.newbyteorder("=")
        if kind not in KINDS:
            raise ValueError(
                f"`{name}` must hold floats or bytes, got {source.dtype}; convert it, such as to float32."
            )
        if source.ndim < 2:
            raise ValueError(
                f"`{name}` must hold images of one shape, as (n, C, H, W), got {(*source.shape,)}."
            )
        return cls(source)

    def __len__(self) -> int:
        """The number n of images."""
        return self.count

    @property
    def at_once(self) -> int:
        """Rows that are looked at together."""
        elements = ACCELERATED_ELEMENTS if self.device.type == "cuda" else PART_ELEMENTS
        return max(1, elements // max(1, self.dim))

    def images(self, part: slice) -> Float[Tensor, "b *shape"]:
        """Some consecutive images, in the shape they were given in."""
        return self._as_floats(self._values[part])

    def read(self, part: slice) -> Float[Tensor, "b d"]:
        """Some consecutive rows."""
        return self.images(part).flatten(start_dim=1)

    def take(self, indices: Int64[Tensor, " p"]) -> Float[Tensor, "p d"]:
        """The rows of any indices."""
        if isinstance(self._values, np.ndarray):
            taken: Tensor | np.ndarray = self._values[indices.cpu().numpy()]
        else:
            taken = self._values[indices.to(self._values.device)]
        return self._as_floats(taken).flatten(start_dim=1)

    def parts(self, part: slice | None = None) -> Iterator[tuple[slice, Float[Tensor, "b d"]]]:
        """Consecutive rows, few at a time, each with its place in the set."""
        first, last, _ = (part or slice(None)).indices(self.count)
        for start in range(first, last, self.at_once):
            piece = slice(start, min(start + self.at_once, last))
            yield piece, self.read(piece)

    def selected(self, indices: Int64[Tensor, " p"]) -> "Rows":
        """The set of some of these rows, which stay where they are."""
        return _Selected(self, indices)

    def on(self, device: torch.device) -> "Rows":
        """The same set, read onto a device."""
        return Rows(self._values, device, self._keep)

    def digest(self) -> str:
        """The SHA-256 of shape, type and content."""
        first = self.images(slice(0, 0))
        seen = hashlib.sha256(f"{self.count} {self.shape} {first.dtype}".encode())
        for _, rows in self.parts():
            seen.update(rows.cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return seen.hexdigest()

    def is_same_as(self, other: "Rows") -> bool:
        """Whether both read the very same memory."""
        return self is other or self._values is other._values

    def _as_floats(self, part: Shaped[Tensor, "..."] | Shaped[np.ndarray, "..."]) -> Float[Tensor, "..."]:
        if isinstance(part, np.ndarray):
            native = part.dtype.newbyteorder("=")
            part = torch.from_numpy(np.array(part, dtype=native))  # a copy: what is mapped is let go
        part = part.to(self.device)
        if part.dtype == torch.uint8:
            return part.float().div_(127.5).sub_(1.0)
        return part


class _Selected(Rows):
    """Some rows of a set, in any order."""

    def __init__(self, rows: Rows, indices: Int64[Tensor, " p"]) -> None:
        self._rows, self._indices = rows, indices
        self.device, self.shape, self.dim = rows.device, rows.shape, rows.dim
        self.count = len(indices)

    def images(self, part: slice) -> Float[Tensor, "b *shape"]:
        return self.read(part).reshape(-1, *self.shape)

    def read(self, part: slice) -> Float[Tensor, "b d"]:
        return self._rows.take(self._indices[part])

    def take(self, indices: Int64[Tensor, " p"]) -> Float[Tensor, "p d"]:
        return self._rows.take(self._indices[indices])


def same_rows(first: Rows, second: Rows) -> bool:
    """Whether two sets hold equal images in the same order."""
    if first.is_same_as(second):
        return True
    if (first.count, first.shape) != (second.count, second.shape):
        return False
    return all(torch.equal(rows, second.read(part)) for part, rows in first.parts())


def _plain(values: Tensor | np.ndarray, name: str) -> Tensor | np.ndarray:
    """Dense numbers of one of the `KINDS`, if it is clear which; a bool is a black or a white byte."""
    if isinstance(values, Tensor):
        plain = plain_tensor(values, f"`{name}`")
        return plain.to(torch.uint8) * 255 if plain.dtype == torch.bool else plain
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    return values.astype(np.float64) if values.dtype.name == np.dtype(np.longdouble).name else values


def _mapped(path: Path, name: str) -> np.ndarray:
    try:
        if path.suffix != ".npy":
            raise ValueError("its name does not end in .npy")
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"`{name}` cannot be read from {path} ({error!s:.120}).") from None
    answer: np.ndarray = values
    return answer

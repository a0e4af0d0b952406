r"""A set of images as the whole package sees it: numbers in [-1, 1] with a name and a content hash.

An 8-bit gray level :math:`u \in \{0, \dots, 255\}` is the number :math:`x = u / 127.5 - 1`, computed
in float32, and back: :math:`u = \mathrm{round}(127.5\,(x + 1))`, exactly.
"""

__all__ = ["ImageSet"]

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Float32, Int, Shaped, UInt8
from torch import Tensor

from spurion.data.reading import Reading
from spurion.data.rights import Rights
from spurion.data.storage import room, taken

_PART_ELEMENTS = 2**20  # numbers that are rounded at once


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images in a fixed order, float32 in [-1, 1].

    Attributes:
        images: The images with shape (n, C, H, W), n >= 1, float32 on the CPU, contiguous, every value in
            [-1, 1]. Held, not copied: do not change it afterwards.
        name: What the set is called in reports.
        item_names: One name for every image (its path inside a folder or an archive), or None.
        reading: What became of the other files of the source they were read from; subsets keep it.
        clipped: How many images reached beyond the range of their source and were clipped to it.
        misfits: How many of them did so by more than a gray level, and do not say that they may.
        rights: Whose images they are, if somebody has to be named; subsets keep it.

    Raises:
        ValueError: If `images` is empty, of another shape or type, not finite or outside [-1, 1]; the
            sentence names the first bad image.

    Example:
        >>> pair = ImageSet(torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1), name="pair")
        >>> pair
        ImageSet('pair', 2 images of shape (1, 1, 1))
        >>> pair.to_uint8().flatten().tolist()
        [0, 255]
    """

    images: Tensor
    name: str = "images"
    item_names: tuple[str, ...] | None = None
    reading: Reading = field(default_factory=Reading)
    clipped: int = 0
    misfits: int = 0
    rights: Rights | None = None

    value_range = (-1.0, 1.0)
    """The smallest and the largest value a pixel may have."""

    def __post_init__(self) -> None:
        _check(self.images)
        object.__setattr__(self, "images", self.images.detach().contiguous())
        if self.item_names is not None and len(self.item_names) != len(self.images):
            raise ValueError(
                f"`item_names` must name every one of the {len(self.images)} images, got "
                f"{len(self.item_names)} names."
            )

    @classmethod
    def from_uint8(
        cls,
        images: UInt8[Tensor, "n channels height width"],
        name: str = "images",
        item_names: tuple[str, ...] | None = None,
    ) -> "ImageSet":
        """Make a set from 8-bit images with shape (n, C, H, W): x = u / 127.5 - 1."""
        return cls(images.to(torch.float32).div_(127.5).sub_(1.0), name, item_names)

    def to_uint8(self) -> UInt8[Tensor, "n channels height width"]:
        """Round to the nearest of 256 gray levels; the exact inverse of `from_uint8`."""
        levels = room(tuple(self.images.shape), torch.uint8, self.name)
        for mine, part in zip(_parts(levels), _parts(self.images), strict=True):
            mine.copy_(part.add(1.0).mul_(127.5).round_())
        return levels

    def __repr__(self) -> str:
        """The name, the number of images and their shape."""
        return f"ImageSet({self.name!r}, {len(self)} images of shape {self.shape})"

    def __len__(self) -> int:
        """The number n of images."""
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @property
    def dim(self) -> int:
        """The number D = C H W of coordinates of one image."""
        return self.images[0].numel()

    @cached_property
    def sha256(self) -> str:
        """Hash of the shape and of every pixel, in order; names do not enter.

        SHA-256 over the ASCII text ``n,C,H,W;`` followed by the little-endian float32 bytes.
        """
        digest = hashlib.sha256((",".join(map(str, self.images.shape)) + ";").encode())
        digest.update(self.images.numpy().astype("<f4", copy=False).data)
        return digest.hexdigest()

    def flat(self) -> Float32[Tensor, "n dim"]:
        """The images as rows, a view with shape (n, D)."""
        return self.images.flatten(1)

    def subset(self, indices: Int[Tensor, " k"] | Sequence[int], name: str | None = None) -> "ImageSet":
        """The images at `indices`, in that order.

        Arguments:
            indices: Which images, each in [0, n).
            name: What to call them; by default as the whole set.

        Raises:
            ValueError: If there are no indices or one is outside the set.
        """
        where = torch.as_tensor(indices, dtype=torch.long).reshape(-1)
        outside = (where < 0) | (where >= len(self))
        if outside.any():
            raise ValueError(f"`indices` must be in 0..{len(self) - 1}, got {int(where[outside][0])}.")
        names = self.item_names and tuple(self.item_names[i] for i in where.tolist())
        return ImageSet(taken(self.images, where), name or self.name, names, self.reading, rights=self.rights)

    def credited(self, rights: Rights | None) -> "ImageSet":
        """The same images, which say whose they are; unchanged if nobody has to be named."""
        return self if rights is None else replace(self, rights=rights)


def _check(images: Tensor) -> None:
    if images.ndim != 4:
        raise ValueError(f"`images` must have the shape (n, C, H, W), got {tuple(images.shape)}.")
    if images.dtype != torch.float32 or images.device.type != "cpu":
        raise ValueError(f"`images` must be float32 on the CPU, got {images.dtype} on {images.device}.")
    if images.numel() == 0:
        raise ValueError(
            f"`images` must hold at least one image of at least one pixel, got {tuple(images.shape)}."
        )
    low, high = images.aminmax()
    if low >= -1 and high <= 1:  # false for NaN
        return
    for number, image in enumerate(images):
        if not image.isfinite().all():
            raise ValueError(f"`images` must be finite, but image {number} holds NaN or infinity.")
    first = next(number for number, image in enumerate(images) if image.abs().max() > 1)
    raise ValueError(
        f"`images` must lie in [-1, 1], but image {first} reaches from {images[first].min():g} to "
        f"{images[first].max():g}; scale the values first, 8-bit ones by u / 127.5 - 1."
    )


def _parts(images: Shaped[Tensor, "n channels height width"]) -> tuple[Shaped[Tensor, "..."], ...]:
    answer: tuple[Shaped[Tensor, "..."], ...] = images.split(max(1, _PART_ELEMENTS // images[0].numel()))
    return answer

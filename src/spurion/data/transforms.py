r"""Transformed copies: versions of an image that a model may learn, and a distance between pixels misses.

Models are trained on shifted, mirrored or cropped images, and files are saved again. Each transform of
`TRANSFORMS` has a grid, the versions that a search looks at, and a range, from which a control draws:

- ``shift``: by up to :math:`s = \min(4, \max(1, \lfloor \text{side} / 16 \rfloor))` pixels down or up and
  right or left, all offsets; what comes in is the other side of the image, or the edge again;
- ``mirror``, ``flip``: left and right, or above and below, exchanged; ``transpose``: rows and columns
  (square images alone); ``invert``: dark for light;
- ``crop``: the central part without up to an eighth of the side at each end, enlarged again;
- ``rescale``: reduced to between a half and three quarters, and enlarged again;
- ``jpeg``: saved as JPEG with a quality from 70 to 95.

All take and give images with shape (n, C, H, W) in [-1, 1].
"""

__all__ = ["TRANSFORMS", "Transform", "Version", "parse_transforms", "versions"]

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

Images = Float[Tensor, "n channels height width"]
Parameters = tuple[int, ...]

FARTHEST = 4
"""Pixels by which images are shifted, at most."""

CROPS = 4
"""Crops that a search looks at, at most."""


@dataclass(frozen=True)
class Transform:
    """A way to change images; its parameters are whole numbers.

    Attributes:
        words: What changed images are called.
        apply: The images changed by some parameters.
        grid: The parameters that a search looks at, for a height and a width; none where it does not apply.
        whole: All parameters that a control may draw, if they are more than the grid.
    """

    words: str
    apply: Callable[[Tensor, Parameters], Tensor]
    grid: Callable[[int, int], Sequence[Parameters]] = lambda height, width: ((),)
    whole: Callable[[int, int], Sequence[Parameters]] | None = None

    def drawn(self, images: Images, random: torch.Generator) -> Images | None:
        """Each image changed by parameters from the whole range at random; None where it does not apply."""
        every = (self.whole or self.grid)(*images.shape[2:])
        if not every:
            return None
        picks = torch.randint(len(every), (len(images),), generator=random).tolist()
        return torch.cat([self.apply(images[i : i + 1], every[pick]) for i, pick in enumerate(picks)])


class Version(NamedTuple):
    """One change of images that a search looks at."""

    name: str
    apply: Callable[[Tensor], Tensor]


def parse_transforms(text: str | Sequence[str]) -> tuple[str, ...]:
    """Read which transforms are meant: ``all``, or names with commas between.

    Raises:
        ValueError: If a name is unknown.

    Example:
        >>> parse_transforms("mirror, shift")
        ('shift', 'mirror')
    """
    names = [name.strip() for name in text.split(",")] if isinstance(text, str) else list(text)
    if names == ["all"]:
        return tuple(TRANSFORMS)
    unknown = [name for name in names if name not in TRANSFORMS]
    if unknown or not names:
        raise ValueError(
            f"`transforms` must be `all` or names among {', '.join(TRANSFORMS)} with commas between, got "
            f"`{', '.join(map(str, unknown))}`."
        )
    return tuple(name for name in TRANSFORMS if name in names)


def versions(names: Sequence[str], shape: tuple[int, ...]) -> list[Version]:
    """All changes by some transforms that a search among images of shape (C, H, W) looks at."""
    return [
        Version(name, partial(_changed, TRANSFORMS[name], values))
        for name in names
        for values in TRANSFORMS[name].grid(*shape[1:])
    ]


def _changed(transform: Transform, values: Parameters, images: Images) -> Images:
    return transform.apply(images, values)


def _offsets(height: int, width: int) -> list[Parameters]:
    down, right = (min(FARTHEST, max(1, side // 16)) for side in (height, width))
    return [
        (y, x, wrap)
        for y in range(-down, down + 1)
        for x in range(-right, right + 1)
        for wrap in (0, 1)
        if y or x
    ]


def _shifted(images: Images, values: Parameters) -> Images:
    down, right, wrap = values
    if wrap:
        return images.roll((down, right), (2, 3))
    rows, columns = (
        (torch.arange(size) - offset).clamp(0, size - 1)
        for size, offset in zip(images.shape[2:], (down, right), strict=True)
    )
    return images[:, :, rows][:, :, :, columns]


def _square(height: int, width: int) -> Sequence[Parameters]:
    return ((),) if height == width else ()


def _margins(height: int, width: int) -> list[Parameters]:
    most = max(1, min(height, width) // 8)
    return [(margin,) for margin in range(1, most + 1) if 2 * margin < min(height, width)]


def _some_margins(height: int, width: int) -> list[Parameters]:
    every = _margins(height, width)
    places = np.linspace(0, len(every) - 1, min(CROPS, len(every))).round().astype(int)
    return [every[place] for place in places]


def _cropped(images: Images, values: Parameters) -> Images:
    (margin,) = values
    height, width = images.shape[2:]
    inner = images[:, :, margin : height - margin, margin : width - margin]
    return interpolate(inner, (height, width), mode="bilinear")


def _rescaled(images: Images, values: Parameters) -> Images:
    """Reduced to a share, in hundredths, of height and width."""
    sides = tuple(max(1, round(side * values[0] / 100)) for side in images.shape[2:])
    small = interpolate(images, sides, mode="bilinear", antialias=True)
    return interpolate(small, images.shape[2:], mode="bilinear")


def _saved_as_jpeg(images: Images, values: Parameters) -> Images:
    """Saved and read again in 8 bits: color as it is, any other channels one by one."""
    if not images.numel():
        return images
    color = images.shape[1] == 3
    levels = (images.clamp(-1, 1) + 1).mul(127.5).round().to(torch.uint8)
    pages = levels.permute(0, 2, 3, 1) if color else levels.flatten(0, 1)
    read = np.stack([_by_jpeg(page, values[0]) for page in pages.cpu().numpy()])
    back = torch.from_numpy(read).permute(0, 3, 1, 2) if color else torch.from_numpy(read)
    return back.reshape(images.shape).to(images) / 127.5 - 1


def _by_jpeg(levels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer, formats=["JPEG"]))


TRANSFORMS: dict[str, Transform] = {
    "shift": Transform("shifted", _shifted, _offsets),
    "mirror": Transform("mirrored", lambda images, _: images.flip(3)),
    "flip": Transform("turned upside down", lambda images, _: images.flip(2)),
    "transpose": Transform("transposed", lambda images, _: images.transpose(2, 3), _square),
    "invert": Transform("inverted", lambda images, _: -images),
    "crop": Transform("cropped", _cropped, _some_margins, _margins),
    "rescale": Transform(
        "rescaled",
        _rescaled,
        lambda height, width: ((50,), (62,), (75,)),
        lambda height, width: [(share,) for share in range(50, 76)],
    ),
    "jpeg": Transform(
        "JPEG-compressed",
        _saved_as_jpeg,
        lambda height, width: [(quality,) for quality in range(70, 96, 5)],
        lambda height, width: [(quality,) for quality in range(70, 96)],
    ),
}
"""All transforms."""

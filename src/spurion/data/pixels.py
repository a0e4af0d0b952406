r"""One image in one form, whatever it came from, so that any container gives the same bytes.

An image here is an array (H, W, C) that is either **uint8**, or **float32 in [-1, 1]** if its values do
not lie on the 8-bit grid. :func:`scale` decides by looking: values in :math:`[a, b]` are on the grid
if every :math:`255 (v - a) / (b - a)` is within 0.001 of a whole number. So a PNG, the same numbers
divided by 255, and the same numbers in [-1, 1] become the same image; the answer never depends on the
other images of a set.
"""

__all__ = ["MOST_PIXELS", "Pixels", "beyond", "center_crop", "resized", "scale", "stack"]

from collections.abc import Callable, Iterable

import numpy as np
import torch
from jaxtyping import Float32, Shaped, UInt8
from PIL import Image
from torch import Tensor

from spurion.data.imageset import ImageSet
from spurion.data.reading import Reading
from spurion.data.storage import room

Pixels = UInt8[np.ndarray, "height width channels"] | Float32[np.ndarray, "height width channels"]

_Square = UInt8[np.ndarray, "size size channels"] | Float32[np.ndarray, "size size channels"]

MOST_PIXELS = 2**26
"""Images of more pixels (8192 x 8192) are refused before they are decoded."""

_GRID_TOLERANCE = 1e-3  # of a gray level; float32 rounding is a hundred times smaller
_RANGE_TOLERANCE = 1e-5  # of the range; values this far outside it are rounding, and are clipped


def scale(
    values: Shaped[np.ndarray, "height width channels"],
    value_range: tuple[float, float],
    label: str,
    *,
    clip: bool = False,
) -> Pixels:
    """Bring one image to uint8 if it is on the 8-bit grid, else to float32 in [-1, 1].

    Arguments:
        values: The image, of any real type or bool, with shape (H, W, C).
        value_range: What stands for black and for white.
        label: What to call the image in an error.
        clip: Whether values outside the range are moved to its ends.

    Raises:
        ValueError: If a value is not finite or, without `clip`, outside the range.
    """
    low, high = value_range
    if values.dtype == np.uint8 and (low, high) == (0, 255):
        return values
    exact = values.astype(np.float64)
    if not np.isfinite(exact).all():
        raise ValueError(f"{label} holds NaN or infinity.")
    half = (high - low) / 2
    x = (exact - (low + high) / 2) / half
    if not clip and abs(x).max() > 1 + _RANGE_TOLERANCE:
        raise ValueError(
            f"{label} holds values from {exact.min():g} to {exact.max():g}, outside [{low:g}, {high:g}]; "
            "give the true range as `value_range`, for all sets or for each, or `clip` what lies outside."
        )
    levels = (x.clip(-1, 1) + 1) * 127.5
    nearest = np.rint(levels)
    if abs(levels - nearest).max() <= _GRID_TOLERANCE:
        return nearest.astype(np.uint8)
    return x.clip(-1, 1).astype(np.float32)


def beyond(
    values: Shaped[np.ndarray, "..."], value_range: tuple[float, float], slack: float = _RANGE_TOLERANCE
) -> bool:
    """Whether finite values lie outside a range by more than rounding, so that `scale` must clip them.

    Arguments:
        values: The values.
        value_range: The range.
        slack: How much counts as rounding, in halves of the range.

    Example:
        >>> beyond(np.array([0.0, 1.001]), (0, 1)), beyond(np.array([0.0, 1.000001]), (0, 1))
        (True, False)
    """
    low, high = value_range
    most = slack * (high - low) / 2
    return bool(values.min() < low - most or values.max() > high + most)


def center_crop(pixels: Pixels, size: int, label: str) -> _Square:
    """Shrink or enlarge to `size` on the shorter side, then cut out the central square.

    As in ADM: the image is halved by 2 x 2 averages while its shorter side is at least 2 `size`,
    then resampled bicubically. An image of that size already is left alone.

    Arguments:
        pixels: The image with shape (H, W, C).
        size: The height and width wanted.
        label: What to call the image in an error.

    Raises:
        ValueError: If the image is so elongated that it would grow beyond `MOST_PIXELS`.

    References:
        | Diffusion Models Beat GANs on Image Synthesis (Dhariwal & Nichol, 2021), https://arxiv.org/abs/2105.05233
    """
    height, width, channels = pixels.shape
    if size * size * max(height, width) / min(height, width) > MOST_PIXELS:
        raise ValueError(f"{label} is {width} x {height}, too large once resized to {size}.")
    if height == width == size:
        return pixels
    planes = [_crop_plane(Image.fromarray(pixels[..., c]), size) for c in range(channels)]
    square = np.stack(planes, axis=2)
    return square if pixels.dtype == np.uint8 else square.clip(-1, 1)


def _crop_plane(plane: Image.Image, size: int) -> np.ndarray:
    while min(plane.size) >= 2 * size:
        plane = plane.resize((plane.width // 2, plane.height // 2), Image.Resampling.BOX)
    ratio = size / min(plane.size)
    plane = plane.resize((round(plane.width * ratio), round(plane.height * ratio)), Image.Resampling.BICUBIC)
    left, top = (plane.width - size) // 2, (plane.height - size) // 2
    return np.asarray(plane.crop((left, top, left + size, top + size)))


def stack(
    images: Iterable[tuple[str, Pixels]],
    count: int,
    *,
    name: str,
    item_names: tuple[str, ...] | None = None,
    resize: int | None = None,
    reading: Callable[[], Reading] = Reading,
) -> ImageSet:
    """Collect images one by one into a set, which is in a temporary file if it is large; see `room`.

    Arguments:
        images: Pairs of a label for errors and an image.
        count: How many there are, at least 1.
        name: The name of the set.
        item_names: The names of the images.
        resize: Crop and resize every image to this height and width; see `center_crop`.
        reading: Called at the end: what became of the files they came from.

    Raises:
        ValueError: If two images differ in channels or, without `resize`, in size; or if there is no room for
            the set.
    """
    out: Tensor | None = None
    for i, (label, pixels) in enumerate(images):
        image = pixels if resize is None else center_crop(pixels, resize, label)
        if out is None:
            first, shape = label, image.shape
            out = room((count, shape[2], *shape[:2]), torch.float32, name)
            values = out.numpy()
        _check_same(shape, first, image.shape, label)
        planes = image.transpose(2, 0, 1)
        values[i] = planes if image.dtype == np.float32 else _X_OF_LEVEL[planes]
    if out is None:
        raise ValueError(f"{name} holds no images.")
    return ImageSet(out, name, item_names, reading())


_X_OF_LEVEL = (
    ImageSet.from_uint8(torch.arange(256, dtype=torch.uint8).reshape(-1, 1, 1, 1)).flat()[:, 0].numpy()
)


def resized(images: ImageSet, size: int) -> ImageSet:
    """The same images, cropped and resized to `size` x `size`."""
    arrays = images.images.permute(0, 2, 3, 1).numpy()
    pixels = ((label, scale(arrays[i], (-1, 1), label)) for i, label in _labels(images))
    return stack(
        pixels,
        len(images),
        name=images.name,
        item_names=images.item_names,
        resize=size,
        reading=lambda: images.reading,
    ).credited(images.rights)


def _labels(images: ImageSet) -> Iterable[tuple[int, str]]:
    return ((i, f"image {i} of {images.name}") for i in range(len(images)))


def _check_same(shape: tuple[int, ...], first: str, other: tuple[int, ...], label: str) -> None:
    if other[2] != shape[2]:
        kind = {1: "gray", 3: "color"}
        raise ValueError(
            f"Gray and color images are mixed: {first} is {kind[shape[2]]} and {label} is {kind[other[2]]}; "
            "convert them to one kind."
        )
    if other != shape:
        raise ValueError(
            f"The images differ in size: {first} is {shape[1]} x {shape[0]} and {label} is {other[1]} x "
            f"{other[0]}; give one size with `--resize N`."
        )

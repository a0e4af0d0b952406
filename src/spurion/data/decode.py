"""One encoded image (PNG, JPEG, WebP, BMP, TIFF) to pixels; nothing a file says is trusted.

What a file may hold, and what becomes of it:

- gray, gray with alpha, black and white, a palette of which only grays are used: one channel;
- RGB, RGBA, other palettes, CMYK: three channels;
- 16 bits a channel keep all their levels, in gray, RGB and RGBA; other formats of 16 bits are refused;
- **alpha is dropped, not blended**: pixels are trained on as they are stored, which is what
  the usual training pipelines see (a plain conversion to RGB);
- rotation tags and color profiles are not applied, for the same reason.
"""

__all__ = ["MOST_BYTES", "brief", "decode_image"]

import io
import os
import sys
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from spurion.data.pixels import MOST_PIXELS, Pixels, scale

MOST_BYTES = 2**28
"""Files of more bytes (256 MiB) are refused unread."""

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_GRAY = {"1", "L", "LA"}
_GRAY_16 = {"I;16", "I;16B"}
_PALETTE = {"P", "PA"}
_COLOR = {"RGB", "RGBA", "RGBX", "CMYK"}

_NATIVE = "L" if sys.byteorder == "little" else "B"
_OTHER_ENDIAN = {f"{mode};16{a}": f"{mode};16{b}" for mode in ("RGB", "RGBA") for a, b in ("LB", "BL")}
_OTHER_ENDIAN |= {f"{mode};16N": _OTHER_ENDIAN[f"{mode};16{_NATIVE}"] for mode in ("RGB", "RGBA")}
_BITS_PER_SAMPLE = 258  # a tag of TIFF


def decode_image(data: bytes, label: str) -> Pixels:
    """Decode one image file.

    Arguments:
        data: The whole file.
        label: What to call it in an error.

    Returns:
        The pixels with shape (H, W, C), C = 1 (gray) or 3 (color).

    Raises:
        ValueError: If the file is damaged, has several frames, an unusual pixel format or more than
            `MOST_PIXELS` pixels; one sentence that names it.
    """
    try:
        with warnings.catch_warnings(), _libtiff_quiet(data):
            warnings.simplefilter("ignore")  # decoders warn of what is refused or harmless here
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                refusal = _refusal(image)
                levels = None if refusal else _levels(image, data)
    except Exception as error:  # decoders raise anything on damaged bytes
        reason = "unknown format" if isinstance(error, Image.UnidentifiedImageError) else brief(error)
        raise ValueError(f"{label} cannot be read as an image ({reason}).") from None
    if levels is None:
        raise ValueError(f"{label} {refusal}.")
    white = 255 if levels.dtype == np.uint8 else 65535
    return scale(levels, (0, white), label)


@contextmanager
def _libtiff_quiet(data: bytes) -> Iterator[None]:
    """Keep libtiff from writing to the standard error of the process, past Python, on damaged files."""
    try:
        kept = os.dup(2) if data.startswith((b"II", b"MM")) else None
    except OSError:  # there is no standard error
        kept = None
    if kept is None:
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _refusal(image: ImageFile) -> str | None:
    if image.width * image.height > MOST_PIXELS:
        return f"is too large: {image.width} x {image.height}, at most {MOST_PIXELS} pixels are read"
    if image.mode not in _GRAY | _GRAY_16 | _PALETTE | _COLOR:
        return f"has the pixel format {image.mode}; convert it to gray or RGB of 8 or 16 bits"
    if getattr(image, "n_frames", 1) > 1:
        return f"holds {getattr(image, 'n_frames', 1)} frames; store every frame as an image of its own"
    if _is_deep_color(image) and not set(_raw_modes(image)).issubset(_OTHER_ENDIAN):
        return "has 16 bits a channel in an unusual layout; convert it to plain RGB or gray of 16 bits"
    return None


def _levels(image: ImageFile, data: bytes) -> np.ndarray:
    if image.mode in _GRAY_16:
        return np.asarray(image)[..., None]
    if image.mode in _GRAY:
        return np.asarray(image.convert("L"))[..., None]
    if _is_deep_color(image):
        return _deep_color(image, data)
    color = np.asarray(image.convert("RGB"))
    if image.mode in _PALETTE and (color == color[..., :1]).all():
        return color[..., :1]
    return color


def _is_deep_color(image: ImageFile) -> bool:
    """Whether it has color of 16 bits a channel (or gray with alpha), of which the decoder gives half."""
    if image.mode not in _COLOR:
        return False
    if isinstance(image, TiffImageFile):
        return 16 in image.tag_v2.get(_BITS_PER_SAMPLE, ())
    return image.format == "PNG" and any(";16" in mode for mode in _raw_modes(image))


def _raw_modes(image: ImageFile) -> list[str]:
    """How the bytes of each of its parts are laid out, in the words of the decoder."""
    return [tile.args if isinstance(tile.args, str) else str((tile.args or "?")[0]) for tile in image.tile]


def _deep_color(image: ImageFile, data: bytes) -> np.ndarray:
    """All 16 bits: the lower 8 are what the decoder takes for the upper ones in the other byte order."""
    upper = np.asarray(image.convert("RGB")).astype(np.uint16)
    with Image.open(io.BytesIO(data), formats=_FORMATS) as again:
        again.tile = [tile._replace(args=_swapped(tile.args)) for tile in again.tile]
        return 256 * upper + np.asarray(again.convert("RGB"))


def _swapped(args: Any) -> Any:
    return _OTHER_ENDIAN[args] if isinstance(args, str) else (_OTHER_ENDIAN[args[0]], *args[1:])


def brief(error: Exception) -> str:
    """What an error of a decoder says, in one printable line of at most 120 characters."""
    said = str(error).encode("unicode_escape").decode() or type(error).__name__
    return textwrap.shorten(said, 120, placeholder=" ...").rstrip(".")

"""One encoded image (PNG, JPEG, WebP, BMP, TIFF) to pixels; nothing a file says is trusted.

What a file may hold, and what becomes of it:

- gray, gray with alpha (of 8 bits), black and white: one channel;
- RGB, RGBA, palette, CMYK, gray with alpha of 16 bits: three channels;
- 16 bits a channel: gray keeps all its levels, color keeps the upper 8 bits of each channel;
- **alpha is dropped, not blended**: pixels are trained on as they are stored, which is what
  the usual training pipelines see (a plain conversion to RGB);
- rotation tags and color profiles are not applied, for the same reason.
"""

__all__ = ["MOST_BYTES", "brief", "decode_image"]

import io
import textwrap
import warnings

import numpy as np
from PIL import Image

from spurion.data.pixels import MOST_PIXELS, Pixels, scale

MOST_BYTES = 2**28
"""Files of more bytes (256 MiB) are refused unread."""

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_GRAY = {"1", "L", "LA"}
_GRAY_16 = {"I;16", "I;16B"}
_COLOR = {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK"}


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decoders warn of what is refused or harmless here
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                refusal = _refusal(image)
                levels = None if refusal else _levels(image)
    except Exception as error:  # decoders raise anything on damaged bytes
        reason = "unknown format" if isinstance(error, Image.UnidentifiedImageError) else brief(error)
        raise ValueError(f"{label} cannot be read as an image ({reason}).") from None
    if levels is None:
        raise ValueError(f"{label} {refusal}.")
    white = 255 if levels.dtype == np.uint8 else 65535
    return scale(levels, (0, white), label)


def _refusal(image: Image.Image) -> str | None:
    if image.width * image.height > MOST_PIXELS:
        return f"is too large: {image.width} x {image.height}, at most {MOST_PIXELS} pixels are read"
    if image.mode not in _GRAY | _GRAY_16 | _COLOR:
        return f"has the pixel format {image.mode}; convert it to gray or RGB of 8 or 16 bits"
    if getattr(image, "n_frames", 1) > 1:
        return f"holds {getattr(image, 'n_frames', 1)} frames; store every frame as an image of its own"
    return None


def _levels(image: Image.Image) -> np.ndarray:
    if image.mode in _GRAY_16:
        return np.asarray(image)[..., None]
    if image.mode in _GRAY:
        return np.asarray(image.convert("L"))[..., None]
    return np.asarray(image.convert("RGB"))


def brief(error: Exception) -> str:
    """What an error of a decoder says, in one printable line of at most 120 characters."""
    said = str(error).encode("unicode_escape").decode() or type(error).__name__
    return textwrap.shorten(said, 120, placeholder=" ...").rstrip(".")

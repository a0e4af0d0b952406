"""One encoded image to pixels; nothing a file says is trusted.

What a file may hold (see `spurion.data.formats`), and what becomes of it:

- gray, gray with alpha, black and white, a palette of which only grays are used: one channel;
- RGB, RGBA, other palettes, CMYK: three channels;
- 16 bits a channel keep all their levels, in gray of PNG, TIFF, PGM and JPEG 2000 and in color of PNG,
  TIFF and PPM, and so do 12 bits of a gray TIFF; elsewhere they are refused, but for AVIF, which
  is rounded to 8;
- WhiteIsZero of a TIFF is obeyed: what is shown as white is 1;
- **alpha is dropped, not blended**: pixels are trained on as they are stored, which is what
  the usual training pipelines see (a plain conversion to RGB); color profiles are not applied, likewise;
- several frames are refused, but for the second picture of a camera's JPEG, which no pipeline sees;
- **orientation tags** (EXIF) are what pipelines differ in. PIL and torchvision's `ImageFolder` give what is
  stored, and so do files here. The library `datasets` rotates, and so do data sets of Hugging Face here
  (`upright`). TIFF is rotated by PIL itself. What was done is told with the set (`spurion.data.reading`).
"""

__all__ = ["MOST_BYTES", "Decoded", "brief", "decode_image"]

import io
import os
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from spurion.data.formats import HEAD, form_of, is_unread
from spurion.data.levels import Levels, levels_of, refusal
from spurion.data.pixels import MOST_PIXELS, Pixels, scale
from spurion.data.tiff import layout, restated

MOST_BYTES = 2**28
"""Files of more bytes (256 MiB) are refused unread."""

_ORIENTATION = 274  # a tag of EXIF and of TIFF
_UPRIGHT: dict[int, Callable[[Levels], Levels]] = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
}
"""What makes an image upright, by its tag."""


Rotation = Literal["none", "ignored", "applied"]


class Decoded(NamedTuple):
    """An image, and whether it was rotated.

    Attributes:
        pixels: The pixels with shape (H, W, C), C = 1 (gray) or 3 (color).
        rotation: What became of an orientation tag that asks for a rotation, if there is one.
    """

    pixels: Pixels
    rotation: Rotation


def decode_image(data: bytes, label: str, *, suffix: str = "", upright: bool = False) -> Decoded:
    """Decode one image file.

    Arguments:
        data: The whole file.
        label: What to call it in an error.
        suffix: The suffix of its name, in lower case, for formats that the content does not tell.
        upright: Whether to rotate it as its orientation tag asks.

    Raises:
        ValueError: If the file is damaged, has several frames, an unusual pixel format or more than
            `MOST_PIXELS` pixels; one sentence that names it.
    """
    form = form_of(data[:HEAD], suffix)
    if form is None:
        unread = is_unread(data[:HEAD], suffix)
        reason = "a format that is not read" if unread else "unknown format"
        raise ValueError(f"{label} cannot be read as an image ({reason}).")
    with warnings.catch_warnings(), _libtiff_quiet(data):
        warnings.simplefilter("ignore")  # decoders warn of what is refused or harmless here
        try:
            found = _opened(data, form, upright)
        except Exception as error:  # decoders raise anything on damaged bytes
            unknown = isinstance(error, Image.UnidentifiedImageError)
            reason = (layout(data) if form == "TIFF" else f"damaged {form}") if unknown else brief(error)
            raise ValueError(f"{label} cannot be read as an image ({reason}).") from None
    if isinstance(found, str):
        raise ValueError(f"{label} {found}.")
    levels, white, rotation = found
    return Decoded(scale(levels, (0, white), label), rotation)


def _opened(data: bytes, form: str, upright: bool) -> str | tuple[Levels, int, Rotation]:
    """Levels, white, and what became of the orientation tag; or why the image is refused."""
    data, inverted = restated(data) if form == "TIFF" else (data, False)
    with Image.open(io.BytesIO(data), formats=(form,)) as image:
        if refused := _refusal(image, data):
            return refused
        tag = _orientation(image) if form == "TIFF" else 0  # which is rotated, and forgets it
        levels, white = levels_of(image, data)
        tag = tag or _orientation(image)  # a PNG may have it at its end
    levels = white - levels if inverted else levels
    if tag not in _UPRIGHT:
        return levels, white, "none"
    if form == "TIFF":
        return levels, white, "applied"
    return (_UPRIGHT[tag](levels), white, "applied") if upright else (levels, white, "ignored")


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


def _refusal(image: ImageFile, data: bytes) -> str | None:
    if image.width * image.height > MOST_PIXELS:
        return f"is too large: {image.width} x {image.height}, at most {MOST_PIXELS} pixels are read"
    if image.width * image.height == 0:
        return f"has no pixels: {image.width} x {image.height}"
    if _has_frames(image):
        return "holds more than one frame; store every frame as an image of its own"
    return refusal(image, data)


def _has_frames(image: ImageFile) -> bool:
    """Whether there is a second frame; they are not counted, as there may be any number."""
    if image.format == "MPO":
        return False
    try:
        image.seek(1)
    except EOFError:
        return False
    return True


def _orientation(image: ImageFile) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a damaged tag, of an image that may be sound
        return 1


def brief(error: Exception) -> str:
    """What an error of a decoder says, in one printable line of at most 120 characters."""
    said = str(error).encode("unicode_escape").decode() or type(error).__name__
    return textwrap.shorten(said, 120, placeholder=" ...").rstrip(".")

"""The gray levels of an opened image, none lost and none inverted; what cannot be had right is refused.

Decoders give eight bits a channel, or sixteen for gray, and say little of what they did to get there:

- 12 bits of a TIFF come as numbers up to 4095, and its WhiteIsZero is obeyed up to 8 bits only (see
  `spurion.data.tiff` for what is done before);
- of 16 bits a channel in color they give the upper half; the lower 8 are what they take for the upper ones
  in the other byte order;
- JPEG 2000 of other than 8 or 16 bits is shifted, so that white is not the largest number;
- a PNM whose white is neither 255 nor 65535 is rounded to 8 or 16 bits, and one in plain numbers always;
- CMYK of JPEG is taken for inverted, as Adobe writes it, even where nothing says so.
"""

__all__ = ["levels_of", "refusal"]

import io
import math
import re
import sys
from typing import Any

import numpy as np
from jaxtyping import UInt
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

Levels = UInt[np.ndarray, "height width channels"]

_GRAY = {"1", "L", "LA"}
_GRAY_16 = {"I;16", "I;16B"}
_PALETTE = {"P", "PA"}
_COLOR = {"RGB", "RGBA", "RGBX", "CMYK"}

_NATIVE = "L" if sys.byteorder == "little" else "B"
_OTHER_ENDIAN = {f"{mode};16{a}": f"{mode};16{b}" for mode in ("RGB", "RGBA") for a, b in ("LB", "BL")}
_OTHER_ENDIAN |= {f"{mode};16N": _OTHER_ENDIAN[f"{mode};16{_NATIVE}"] for mode in ("RGB", "RGBA")}

_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF
_WHITE_IS_ZERO = 0
_SIZ = b"\xff\x4f\xff\x51"  # how the header of JPEG 2000 starts, and where the bits of a channel are in it
_SSIZ = 42


def refusal(image: ImageFile, data: bytes) -> str | None:
    """Why the levels of an opened image cannot be had right; None if they can.

    Arguments:
        image: The image, not decoded yet.
        data: The whole file.
    """
    if image.mode not in _GRAY | _GRAY_16 | _PALETTE | _COLOR and not _is_deep_pnm(image):
        return f"has the pixel format {image.mode}; convert it to gray or RGB of 8 or 16 bits"
    if isinstance(image, TiffImageFile):
        if _PHOTOMETRIC not in image.tag_v2:
            return "does not say whether 0 is black or white; convert it"
        if image.mode in _GRAY_16 and image.tag_v2[_PHOTOMETRIC] == _WHITE_IS_ZERO:
            return "has 0 for white in a BigTIFF; convert it"
        if set(image.tag_v2.get(_SAMPLE_FORMAT, (1,))) != {1}:
            return "has levels with a sign; convert it to gray or RGB of 8 or 16 bits"
    if image.format == "JPEG2000" and (odd := _odd_depth(image, data)):
        return f"has {odd} a channel; convert it to gray of 8 or 16 bits or RGB of 8 bits"
    if image.format == "JPEG" and image.mode == "CMYK" and "adobe" not in image.info:
        return "is CMYK that does not say whether it is inverted; convert it to RGB"
    if _is_deep_color(image) and not set(_raw_modes(image)).issubset(_OTHER_ENDIAN):
        return "has 16 bits a channel in an unusual layout; convert it to plain RGB or gray of 16 bits"
    return None


def levels_of(image: ImageFile, data: bytes) -> tuple[Levels, int]:
    """Decode an opened image that is not refused.

    Arguments:
        image: The image.
        data: The whole file.

    Returns:
        The levels with shape (H, W, C), C = 1 or 3, where 0 is black, and the level of white.
    """
    if image.mode in _GRAY_16:
        return _gray_16(image)
    if _is_scaled_pnm(image):
        return _pnm(image, data)
    if _is_deep_pnm(image):
        return np.asarray(image).astype(np.uint16)[..., None], 65535
    if image.mode in _GRAY:
        return np.asarray(image.convert("L"))[..., None], 255
    if _is_deep_color(image):
        return _deep_color(image, data), 65535
    color = np.asarray(image.convert("RGB"))
    if image.mode in _PALETTE and (color == color[..., :1]).all():
        return color[..., :1], 255
    return color, 255


def _gray_16(image: ImageFile) -> tuple[Levels, int]:
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    white = 2 ** tags.get(_BITS_PER_SAMPLE, (16,))[0] - 1
    return np.asarray(image).astype(np.uint16)[..., None], white


def _is_scaled_pnm(image: ImageFile) -> bool:
    """Whether it is a PNM that says what white is, which the decoder scales, number by number."""
    return image.mode != "1" and any(tile.codec_name in ("ppm", "ppm_plain") for tile in image.tile)


def _pnm(image: ImageFile, data: bytes) -> tuple[Levels, int]:
    (tile,) = image.tile
    shape, white = (image.height, image.width, len(image.getbands())), _largest(tile.args)
    kind = np.dtype(np.uint8 if white < 256 else ">u2")
    if tile.codec_name == "ppm_plain":
        levels = _plain_numbers(data[tile.offset :], math.prod(shape), white)
    else:
        levels = np.frombuffer(data, kind, math.prod(shape), tile.offset).clip(max=white)
    return levels.reshape(shape).astype(kind.newbyteorder("=")), white


def _plain_numbers(text: bytes, count: int, white: int) -> UInt[np.ndarray, " count"]:
    """Whole numbers of a PNM in plain text, between white space and remarks."""
    numbers = np.fromstring(re.sub(rb"#[^\r\n]*", b" ", text), np.int64, sep=" ")
    if len(numbers) < count:
        raise ValueError(f"{len(numbers)} numbers for {count} levels")
    levels = numbers[:count]
    if levels.min() < 0 or levels.max() > white:
        raise ValueError(f"its levels must be between 0 and {white}, got {levels.min()} to {levels.max()}")
    return levels.astype(np.uint16)


def _is_deep_pnm(image: ImageFile) -> bool:
    """Whether it is gray of more than 8 bits in a PGM, which the decoder stretches to 16."""
    return image.format == "PPM" and image.mode == "I"


def _is_deep_color(image: ImageFile) -> bool:
    """Whether it has color of 16 bits a channel (or gray with alpha), of which the decoder gives half."""
    if isinstance(image, TiffImageFile):
        return image.mode in _COLOR and 16 in image.tag_v2.get(_BITS_PER_SAMPLE, ())
    if image.format == "SGI":
        return any("16" in f"{tile.codec_name} {tile.args}" for tile in image.tile)
    return image.mode in _COLOR and image.format == "PNG" and any(";16" in mode for mode in _raw_modes(image))


def _largest(args: Any) -> int:
    """The largest level that a part of a PNM claims."""
    return args[1] if isinstance(args, tuple) and isinstance(args[1], int) else 255


def _odd_depth(image: ImageFile, data: bytes) -> str | None:
    """How deep the channels of a JPEG 2000 are, if not 8 bits, or 16 bits of gray."""
    start = data.find(_SIZ) + _SSIZ
    depths = {data[at] for at in range(start, start + 3 * len(image.getbands()), 3)}
    right = {15} if image.mode in _GRAY_16 else {7}  # one less than the bits; signed ones are above 127
    signs = {depth: " with a sign" if depth > 127 else "" for depth in sorted(depths)}
    told = [f"{(depth & 127) + 1} bits{sign}" for depth, sign in signs.items()]
    return None if depths == right else ", ".join(told)


def _raw_modes(image: ImageFile) -> list[str]:
    """How the bytes of each of its parts are laid out, in the words of the decoder."""
    return [tile.args if isinstance(tile.args, str) else str((tile.args or "?")[0]) for tile in image.tile]


def _deep_color(image: ImageFile, data: bytes) -> Levels:
    """All 16 bits: the lower 8 are what the decoder takes for the upper ones in the other byte order."""
    upper = np.asarray(image.convert("RGB")).astype(np.uint16)
    with Image.open(io.BytesIO(data), formats=(str(image.format),)) as again:
        again.tile = [tile._replace(args=_swapped(tile.args)) for tile in again.tile]
        answer: Levels = 256 * upper + np.asarray(again.convert("RGB"))
        return answer


def _swapped(args: Any) -> Any:
    return _OTHER_ENDIAN[args] if isinstance(args, str) else (_OTHER_ENDIAN[args[0]], *args[1:])

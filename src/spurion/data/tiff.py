"""Gray TIFF files that the decoder does not know, restated as ones that it does.

The decoder takes 12 bits a sample from little-endian files alone, and obeys WhiteIsZero, where 0 stands for
white, up to 8 bits. But 12 bits are packed alike in both byte orders, and WhiteIsZero is a single number in
the directory of the file: so a new directory behind the file, which points into it, says the same in words
that the decoder knows.
"""

__all__ = ["layout", "restated"]

import io
import struct

from PIL.TiffImagePlugin import ImageFileDirectory_v2

_BITS, _PHOTOMETRIC, _FILL_ORDER, _SAMPLE_FORMAT = 258, 262, 266, 339
_WHITE_IS_ZERO, _BLACK_IS_ZERO = 0, 1
_CLASSIC = (b"*\0", b"\0*")  # in the header of all but BigTIFF
_KEPT = (256, 257, _BITS, 259, _PHOTOMETRIC, 266, 273, 274, 277, 278, 279, 317, 322, 323, 324, 325, 339)
"""Size, layout and place of the samples; all are whole numbers."""
_FORMS = {2: "2 (numbers with a sign)", 3: "3 (floats)", 5: "5 (complex numbers)", 6: "6 (complex floats)"}


def restated(data: bytes) -> tuple[bytes, bool]:
    """A TIFF whose first image the decoder takes, and whether its levels must then be inverted.

    Arguments:
        data: The whole file. What is no gray image of 12 or 16 bits comes back as it is.

    Raises:
        Exception: Of any kind, if the file is damaged.
    """
    tags = _tags(data)
    bits, photometric = tags.get(_BITS), tags.get(_PHOTOMETRIC)
    inverted = photometric == _WHITE_IS_ZERO
    gray = bits in ((12,), (16,)) and photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
    swapped = bits == (12,) and tags.prefix == b"MM"
    if data[2:4] not in _CLASSIC or not gray or not (inverted or swapped):
        return data, False
    prefix = b"II" if swapped else tags.prefix
    kept = {tag: tags[tag] for tag in _KEPT if tag in tags} | {_PHOTOMETRIC: _BLACK_IS_ZERO}
    return _with_directory(data, kept, prefix), inverted


def _with_directory(data: bytes, tags: dict[int, int | tuple[int, ...]], prefix: bytes) -> bytes:
    """The file with another directory, behind it, in place of its first."""
    order = "<" if prefix == b"II" else ">"
    after = len(data) + 2 + 12 * len(tags) + 4
    entries, behind = struct.pack(f"{order}H", len(tags)), b""
    for tag, value in tags.items():
        numbers = value if isinstance(value, tuple) else (value,)
        body = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            body, behind = struct.pack(f"{order}I", after + len(behind)), behind + body
        entries += struct.pack(f"{order}HHI", tag, 4, len(numbers)) + body
    header = prefix + struct.pack(f"{order}HI", 42, len(data))
    return header + data[8:] + entries + bytes(4) + behind


def layout(data: bytes) -> str:
    """What a TIFF that the decoder does not take says of its samples."""
    try:
        tags = _tags(data)
        bits, photometric = ", ".join(map(str, tags[_BITS])), tags[_PHOTOMETRIC]
        forms, order = set(tags.get(_SAMPLE_FORMAT, (1,))), tags.get(_FILL_ORDER, 1)
    except Exception:  # a damaged directory raises anything
        return "damaged directory"
    told = [f"TIFF of {bits} bits a sample", f"photometric interpretation {photometric}"]
    if forms != {1}:
        told.append(f"SampleFormat {', '.join(_FORMS.get(form, str(form)) for form in sorted(forms))}")
    if order != 1:
        told.append(f"FillOrder {order} (other than highest bit first)")
    return " and ".join(told)


def _tags(data: bytes) -> ImageFileDirectory_v2:
    """The first directory."""
    tags = ImageFileDirectory_v2(data[: 8 if data[2:4] in _CLASSIC else 16])
    file = io.BytesIO(data)
    file.seek(tags.next)
    tags.load(file)
    return tags

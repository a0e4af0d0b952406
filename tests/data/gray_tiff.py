"""Gray TIFF files of any depth, which Pillow reads in part and does not write."""

import struct
import zlib

import numpy as np

TYPES = {1: "B", 3: "H", 4: "I"}


def gray_tiff(levels, bits, *, photometric=1, order="<", strips=1, packed=False, extra=None):
    """Encode whole numbers (H, W) below 2^bits.

    `extra` adds or replaces tags: numbers to pairs of a type and values; None takes one out.
    """
    height, width = levels.shape
    rows = height // strips
    parts = [packed_rows(levels[i : i + rows], bits, order) for i in range(0, height, rows)]
    parts = [zlib.compress(part) for part in parts] if packed else parts
    tags = {256: (4, [width]), 257: (4, [height]), 258: (3, [bits]), 259: (3, [8 if packed else 1])}
    tags |= {262: (3, [photometric]), 277: (3, [1]), 278: (4, [rows]), 339: (3, [1])}
    tags[273] = (4, [8 + sum(map(len, parts[:i])) for i in range(len(parts))])
    tags[279] = (4, list(map(len, parts)))
    tags = {tag: value for tag, value in sorted((tags | (extra or {})).items()) if value is not None}
    return written(tags, b"".join(parts), order)


def written(tags, data, order):
    """A TIFF of these tags behind its data."""
    start = 8 + len(data)
    after = start + 2 + 12 * len(tags) + 4
    entries, behind = b"", b""
    for tag, (kind, numbers) in tags.items():
        body = struct.pack(f"{order}{len(numbers)}{TYPES[kind]}", *numbers)
        if len(body) > 4:
            body, behind = struct.pack(f"{order}I", after + len(behind)), behind + body
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + body.ljust(4, b"\0")
    header = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    return header + data + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + behind


def packed_rows(levels, bits, order):
    """The rows, each in whole bytes: numbers of 16 bits in the byte order, smaller ones highest bit first."""
    if bits >= 16:
        return levels.astype(f"{order}u{bits // 8}").tobytes()
    planes = (levels[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(planes.reshape(len(levels), -1).astype(np.uint8), axis=1).tobytes()


def pages(count):
    """A TIFF of so many directories, all of one image of 4 x 4 pixels."""
    tags = [(256, 4), (257, 4), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 4), (279, 16)]
    entries = struct.pack("<H", 9) + b"".join(struct.pack("<HHII", tag, 4, 1, n) for tag, n in tags)
    size, start = len(entries) + 4, 8 + 16
    after = [struct.pack("<I", start + size * i) for i in range(1, count)] + [bytes(4)]
    return struct.pack("<2sHI", b"II", 42, start) + bytes(16) + b"".join(entries + end for end in after)

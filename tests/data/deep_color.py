"""Images of unusual depth as PNG and TIFF, which Pillow reads but does not write."""

import struct
import zlib

from data.gray_tiff import packed_rows


def deep_png(pixels):
    """Encode uint16 pixels (H, W, C): C = 2 gray with alpha, 3 color, 4 color with alpha."""
    height, width, channels = pixels.shape
    row = 2 * width * channels
    raw = pixels.astype(">u2").tobytes()
    lines = [raw[start : start + row] for start in range(0, len(raw), row)]
    above = [bytes(row), *lines]
    rows = [
        b"\2" + bytes((a - b) & 255 for a, b in zip(*pair, strict=True))
        for pair in zip(lines, above, strict=False)
    ]
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    return png((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))


def shallow_png(levels, bits, palette=None):
    """Encode numbers (H, W) of 1, 2 or 4 bits, as gray or as indices of a palette of RGB bytes."""
    height, width = levels.shape
    raw = packed_rows(levels, bits, "<")
    step = len(raw) // height
    rows = b"".join(b"\0" + raw[i : i + step] for i in range(0, len(raw), step))
    header = struct.pack(">IIBBBBB", width, height, bits, 0 if palette is None else 3, 0, 0, 0)
    colors = () if palette is None else ((b"PLTE", palette), (b"tRNS", b"\0"))
    return png((b"IHDR", header), *colors, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


def png(*chunks):
    """A PNG of these kinds and contents of chunks."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def deep_tiff(pixels, order, *, packed=False, planes=False):
    """Encode uint16 pixels (H, W, C), C = 3 or 4, in the byte order "<" or ">"."""
    height, width, channels = pixels.shape
    values = pixels.transpose(2, 0, 1) if planes else pixels
    data = values.astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if packed else data
    strips = channels if planes else 1
    sizes = [len(data) // strips] * strips
    tags = {256: width, 257: height, 259: 8 if packed else 1, 262: 2, 277: channels, 278: height}
    tags |= {284: 2 if planes else 1} | ({338: 2} if channels == 4 else {})
    lists = {258: ("H", [16] * channels)}
    end = 8 + 2 + 12 * (len(tags) + 3) + 4
    lists |= {279: ("I", sizes), 273: ("I", [end + 40 + i * sizes[0] for i in range(strips)])}
    behind, entries = b"", []
    for tag in sorted([*tags, *lists]):
        kind, numbers = lists.get(tag, ("I", [tags.get(tag)]))
        body = struct.pack(f"{order}{len(numbers)}{kind}", *numbers)
        if len(body) > 4:
            body, behind = struct.pack(f"{order}I", end + len(behind)), behind + body
        entries.append(struct.pack(f"{order}HHI", tag, 3 if kind == "H" else 4, len(numbers)) + body)
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    return start + b"".join(entries) + bytes(4) + behind.ljust(40, b"\0") + data

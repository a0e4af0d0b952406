"""Damaged images and archives, made from sound ones by a seeded generator."""

import io
import zipfile

import numpy as np
from PIL import Image

from data.encoded import encode, random_levels
from data.gray_tiff import gray_tiff


def sound_files():
    """One small file of every kind that is read, by its suffix-bearing name."""
    gray = random_levels(1, 12, 10)[0]
    color = random_levels(1, 12, 10, 3)[0]
    alpha = np.dstack([color, gray])
    animated = io.BytesIO()
    frames = [Image.fromarray(color), Image.fromarray(color[::-1])]
    frames[0].save(animated, "WEBP", save_all=True, append_images=frames[1:])
    files = {
        "gray.png": encode(gray),
        "deep.png": encode(gray.astype(np.uint16) * 200),
        "palette.png": encode(color, mode="P"),
        "alpha.png": encode(alpha),
        "color.jpg": encode(color, "JPEG"),
        "progressive.jpg": encode(color, "JPEG", progressive=True),
        "color.webp": encode(color, "WEBP"),
        "lossless.webp": encode(alpha, "WEBP", lossless=True),
        "animated.webp": animated.getvalue(),
        "color.bmp": encode(color, "BMP"),
        "bits.bmp": encode(gray, "BMP", mode="1"),
        "plain.tif": encode(color, "TIFF"),
        "lzw.tif": encode(color, "TIFF", compression="tiff_lzw"),
        "deflate.tif": encode(gray, "TIFF", compression="tiff_deflate"),
        "jpeg.tif": encode(color, "TIFF", compression="jpeg"),
        "deep.tif": encode(gray.astype(np.uint16) * 200, "TIFF"),
        "inverted.tif": gray_tiff(gray.astype(int) * 16, 12, photometric=0, order=">", packed=True),
        "color.gif": encode(color, "GIF", mode="P"),
        "color.jp2": encode(color, "JPEG2000"),
        "deep.j2k": encode(gray.astype(np.uint16) * 200, "JPEG2000", no_jp2=True),
        "color.avif": encode(color, "AVIF"),
        "color.ppm": encode(color, "PPM"),
        "scaled.pgm": b"P5 10 12 999\n" + gray.astype(">u2").tobytes(),
        "color.tga": encode(alpha, "TGA", compression="tga_rle"),
        "color.qoi": encode(color, "QOI"),
        "color.pcx": encode(color, "PCX"),
        "color.sgi": encode(color, "SGI"),
        "color.dib": encode(color, "DIB"),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("1.png", "2.png"):
            archive.writestr(f"folder/{name}", files["gray.png"])
    files["images.zip"] = buffer.getvalue()
    for name, save in {"plain.npz": np.savez, "packed.npz": np.savez_compressed}.items():
        buffer = io.BytesIO()
        save(buffer, arr_0=random_levels(3, 8, 8, 3))
        files[name] = buffer.getvalue()
    buffer = io.BytesIO()
    np.save(buffer, random_levels(3, 8, 8))
    files["plain.npy"] = buffer.getvalue()
    return files


def damage(data, random):
    """Damage a file in one of six ways."""
    data = bytearray(data)
    at, end = sorted(int(i) for i in random.integers(0, len(data), 2))
    match int(random.integers(6)):
        case 0:  # cut off
            del data[at:]
        case 1:  # flip a few bytes anywhere
            for i in random.integers(0, len(data), int(random.integers(1, 20))):
                data[i] = int(random.integers(256))
        case 2:  # flip bytes of the header
            for i in random.integers(0, min(64, len(data)), 4):
                data[i] = int(random.integers(256))
        case 3:  # a piece missing
            del data[at:end]
        case 4:  # a piece of the largest or smallest numbers
            data[at : at + 8] = bytes([int(random.choice([0, 127, 128, 255]))]) * 8
        case _:  # a piece twice
            data[at:at] = data[at:end]
    return bytes(data)

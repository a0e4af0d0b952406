"""Images as files: what the tests of the data package write before they read it back."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def random_levels(*shape, seed=0):
    """Random 8-bit levels, with black and white in every image (so that no range can be guessed)."""
    levels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    levels[:, 0, 0], levels[:, -1, -1] = 0, 255
    return levels


def encode(pixels, form="PNG", mode=None, **options):
    """Encode an array (H, W) or (H, W, C) as the bytes of an image file."""
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    (image if mode is None else image.convert(mode)).save(buffer, form, **options)
    return buffer.getvalue()


def write_folder(root, files):
    """Write `files`, a dict of relative paths to bytes, under `root`."""
    for name, data in files.items():
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return Path(root)


def write_zip(path, files, compression=zipfile.ZIP_DEFLATED):
    """Write `files`, a dict or a list of pairs of names and bytes, into a zip archive."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in dict(files).items():
            archive.writestr(name, data)
    return Path(path)

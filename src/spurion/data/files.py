"""Folders and zip archives of images: the same natural order, the same pixels, nothing written.

The order is that of the paths, folder by folder, with numbers by value: ``a/2.png`` before ``a/10.png``.
Hidden files and those whose suffix is not an image's are skipped.
"""

__all__ = ["natural_key", "read_folder", "read_zip"]

import os
import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

from spurion.core.text import printable
from spurion.data.decode import MOST_BYTES, brief, decode_image
from spurion.data.imageset import ImageSet
from spurion.data.pixels import stack

_FORMS = "PNG, JPEG, WebP, BMP, TIFF"
_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
_OTHER_SUFFIXES = {".gif", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".ppm", ".pgm", ".tga", ".exr"}


def natural_key(path: str) -> tuple[tuple[tuple[int, str], ...], ...]:
    """Sorting key of a path with forward slashes: parts in turn, runs of digits as numbers.

    Example:
        >>> sorted(["b/1.png", "a/10.png", "a/9.png"], key=natural_key)
        ['a/9.png', 'a/10.png', 'b/1.png']
    """
    return *(_part_key(part) for part in path.split("/")), ((0, path),)


def _part_key(part: str) -> tuple[tuple[int, str], ...]:
    runs = re.split(r"([0-9]+)", part)
    digits = [run.lstrip("0") for run in runs[1::2]] + [""]
    return tuple(
        key
        for text, number in zip(runs[::2], digits, strict=True)
        for key in ((0, text), (len(number), number))
    )


def read_folder(root: Path, *, resize: int | None = None) -> ImageSet:
    """Read every image under a folder.

    Arguments:
        root: The folder.
        resize: As in `open_images`.

    Raises:
        ValueError: If there are no images, one cannot be read, or a link leads out of the folder.
    """
    paths = sorted(_image_paths(root), key=lambda path: natural_key(path.relative_to(root).as_posix()))
    if not paths:
        raise ValueError(f"{root} holds no images ({_FORMS}).")
    names = tuple(printable(path.relative_to(root).as_posix()) for path in paths)
    labels = [printable(path) for path in paths]
    images = (
        (label, decode_image(_read_file(path, label), label))
        for path, label in zip(paths, labels, strict=True)
    )
    return stack(images, len(paths), name=printable(root.resolve().name), item_names=names, resize=resize)


def _image_paths(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root, onerror=_unreadable):
        folders[:] = [name for name in folders if not _hidden(name)]
        for name in folders:
            if (path := Path(folder, name)).is_symlink():
                raise ValueError(f"{printable(path)} is a link to a folder, and those are not followed.")
        for name in files:
            path = Path(folder, name)
            if not _hidden(name) and _is_image(name, printable(path)):
                if path.is_symlink():
                    _check_inside(path, root)
                yield path


def _unreadable(error: OSError) -> None:
    raise ValueError(f"{error.filename} cannot be read ({error.strerror}).")


def _check_inside(path: Path, root: Path) -> None:
    try:
        inside = path.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        raise ValueError(f"{printable(path)} is a broken link.") from None
    if not inside:
        raise ValueError(f"{printable(path)} is a link that leads out of {root}.")


def _read_file(path: Path, label: str) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{label} is not a regular file.")
        if status.st_size > MOST_BYTES:
            raise ValueError(f"{label} is too large: {status.st_size} bytes, at most {MOST_BYTES} are read.")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{label} cannot be read ({error.strerror}).") from None


def read_zip(path: Path, *, resize: int | None = None) -> ImageSet:
    """Read every image inside a zip archive, in memory.

    Arguments:
        path: The archive.
        resize: As in `open_images`.

    Raises:
        ValueError: If the archive or an image is damaged, there are no images, or an entry is encrypted, a
            link, too large, named twice or named to reach outside the archive.
    """
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # a damaged directory raises anything
        raise ValueError(f"{path} cannot be read as a zip archive ({brief(error)}).") from None
    with archive:
        entries = _image_entries(archive, path)
        names = sorted(entries, key=natural_key)
        if not names:
            raise ValueError(f"{path} holds no images ({_FORMS}).")
        shown = tuple(map(printable, names))
        labels = [f"{name} in {path}" for name in shown]
        images = (
            (label, decode_image(_read_entry(archive, entries[name], label), label))
            for name, label in zip(names, labels, strict=True)
        )
        return stack(images, len(names), name=path.stem, item_names=shown, resize=resize)


def _image_entries(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        parts = info.filename.replace("\\", "/").split("/")
        label = f"{printable(info.filename)} in {path}"
        if parts[0] == "" or ".." in parts or ":" in parts[0]:
            raise ValueError(f"{label} has a path that reaches outside the archive.")
        parts = [part for part in parts if part not in ("", ".")]
        name = "/".join(parts)
        if info.is_dir() or any(map(_hidden, parts)) or not _is_image(name, label):
            continue
        if name in entries:
            raise ValueError(f"{label} is there twice.")
        entries[name] = info
        _check_entry(info, label)
    return entries


def _check_entry(info: zipfile.ZipInfo, label: str) -> None:
    if stat.S_ISLNK(info.external_attr >> 16):
        raise ValueError(f"{label} is a link, and links in archives are not followed.")
    if info.flag_bits & 1:
        raise ValueError(f"{label} is encrypted.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{label} is compressed in another way than by deflate.")
    if info.file_size > MOST_BYTES:
        raise ValueError(f"{label} is too large: {info.file_size} bytes, at most {MOST_BYTES} are read.")


def _read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, label: str) -> bytes:
    try:
        with archive.open(info) as file:
            return file.read(info.file_size)  # never more than declared and checked
    except Exception as error:  # damaged entries raise anything
        raise ValueError(f"{label} cannot be unpacked ({brief(error)}).") from None


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_image(name: str, label: str) -> bool:
    suffix = os.path.splitext(name)[1].lower()
    if suffix in _OTHER_SUFFIXES:
        raise ValueError(f"{label} is of a format that is not read; convert it to one of {_FORMS}.")
    return suffix in _SUFFIXES

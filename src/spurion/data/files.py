"""Folders and zip archives of images: the same files in the same order, the same pixels, nothing written."""

__all__ = ["read_folder", "read_zip"]

import os
import stat
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from spurion.core.text import printable
from spurion.data.decode import MOST_BYTES, brief
from spurion.data.formats import HEAD
from spurion.data.imageset import ImageSet
from spurion.data.listing import Listing, check_depth, is_left_out

_ZIPPED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_folder(root: Path, *, resize: int | None = None) -> ImageSet:
    """Read every image under a folder.

    Arguments:
        root: The folder.
        resize: As in `open_images`.

    Raises:
        ValueError: If there are no images, one cannot be read, a link leads out of the folder, or it is
            nested deeper than `MOST_DEPTH`.
    """
    found = Listing()
    for name in _walk(root, found.left_out):
        found.add(name, partial(_read_head, root / name, root))
    return found.read(
        lambda name: _read_file(root / name, root),
        lambda name: printable(root / name),
        root,
        printable(root.resolve().name),
        resize,
    )


def _walk(root: Path, left_out: set[str]) -> Iterator[str]:
    """The paths of all files under a folder, without those that are left out, which are added there."""
    folders = [""]
    while folders:
        inside = folders.pop()
        check_depth(inside, printable(root))
        try:
            with os.scandir(root / inside) as entries:
                listed = [(entry, _is_folder(entry)) for entry in entries]
        except OSError as error:
            raise ValueError(f"{printable(error.filename)} cannot be read ({error.strerror}).") from None
        for entry, is_folder in listed:
            name = f"{inside}{entry.name}"
            if is_left_out(entry.name):
                left_out.add(f"{name}/" if is_folder else name)
            elif is_folder and entry.is_symlink():
                raise ValueError(
                    f"{printable(root / name)} is a link to a folder, and those are not followed."
                )
            elif is_folder:
                folders.append(f"{name}/")
            else:
                yield name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _check_inside(path: Path, root: Path) -> None:
    try:
        inside = path.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        raise ValueError(f"{printable(path)} is a broken link.") from None
    if not inside:
        raise ValueError(f"{printable(path)} is a link that leads out of {root}.")


def _read_head(path: Path, root: Path) -> bytes:
    """The start of a file; nothing of what is no file, such as a pipe."""
    if path.is_symlink():
        _check_inside(path, root)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return b""
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise ValueError(f"{printable(path)} cannot be read ({error.strerror}).") from None


def _read_file(path: Path, root: Path) -> bytes:
    label = printable(path)
    if path.is_symlink():
        _check_inside(path, root)
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
            link, too large, named twice, nested too deep or named to reach outside the archive.
    """
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # a damaged directory raises anything
        raise ValueError(f"{path} cannot be read as a zip archive ({brief(error)}).") from None
    with archive:
        found = Listing()
        entries = _entries(archive, path, found.left_out)

        def label(name: str) -> str:
            return f"{printable(name)} in {path}"

        def data(name: str, most: int = MOST_BYTES) -> bytes:
            return _read_entry(archive, entries[name], label(name), most)

        for name in entries:
            found.add(name, partial(data, name, HEAD))
        for name in found.images:
            _check_size(entries[name], label(name))
        return found.read(data, label, path, path.stem, resize)


def _entries(archive: zipfile.ZipFile, path: Path, left_out: set[str]) -> dict[str, zipfile.ZipInfo]:
    """The files of an archive by their paths, without those that are left out, which are added there."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        parts = info.filename.replace("\\", "/").split("/")
        label = f"{printable(info.filename)} in {path}"
        if parts[0] == "" or ".." in parts or ":" in parts[0]:
            raise ValueError(f"{label} has a path that reaches outside the archive.")
        parts = [part for part in parts if part not in ("", ".")]
        name = "/".join(parts)
        first = next((i for i, part in enumerate(parts, start=1) if is_left_out(part)), None)
        if first is not None:
            left_out.add("/".join(parts[:first]) + ("/" if info.is_dir() or first < len(parts) else ""))
            continue
        check_depth(f"{name}/" if info.is_dir() else name, str(path))
        if info.is_dir():
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
    if info.compress_type not in _ZIPPED:
        raise ValueError(f"{label} is compressed in another way than by deflate.")


def _check_size(info: zipfile.ZipInfo, label: str) -> None:
    if info.file_size > MOST_BYTES:
        raise ValueError(f"{label} is too large: {info.file_size} bytes, at most {MOST_BYTES} are read.")


def _read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, label: str, most: int) -> bytes:
    try:
        with archive.open(info) as file:
            return file.read(min(info.file_size, most))  # never more than declared and checked
    except Exception as error:  # damaged entries raise anything
        raise ValueError(f"{label} cannot be unpacked ({brief(error)}).") from None

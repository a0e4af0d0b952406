"""The files of a folder or an archive, every one accounted for, and the images among them.

The order is that of the paths, folder by folder, with numbers by value: ``a/2.png`` before ``a/10.png``.
What is an image is told by the content where the suffix does not tell it; what may hold images and is not
read (`spurion.data.formats`) is named, as are files that are no images. Hidden files and what systems put
beside images, such as thumbnails, are left out unopened, and that is said as well.
"""

__all__ = [
    "MOST_DEPTH",
    "Listing",
    "check_depth",
    "is_left_out",
    "natural_key",
]

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from spurion.core.text import printable
from spurion.data.decode import decode_image
from spurion.data.formats import FORMS, READ_SUFFIXES, form_of, is_unread
from spurion.data.imageset import ImageSet
from spurion.data.pixels import Pixels, stack
from spurion.data.reading import Files, Reading

MOST_DEPTH = 100
"""Folders in folders; deeper ones are refused."""

_SYSTEM = frozenset(
    {"__macosx", "@eadir", "#recycle", "@recycle", "#snapshot", "@recently-snapshot", "$recycle.bin"}
    | {"recycler", "system volume information", "lost+found", "network trash folder", "temporary items"}
    | {"_vti_cnf", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"}
)
"""What systems and network drives put beside images, in lower case."""


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


@dataclass
class Listing:
    """The files of a folder or an archive, by what they are; each is named by its path inside."""

    images: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    other: set[str] = field(default_factory=set)
    left_out: set[str] = field(default_factory=set)
    rotated: list[str] = field(default_factory=list)
    upright: list[str] = field(default_factory=list)

    def add(self, name: str, head: Callable[[], bytes]) -> None:
        """Sort a file in; `head` gives its first `HEAD` bytes, for where the suffix does not tell."""
        suffix = _suffix(name)
        if suffix in READ_SUFFIXES or form_of(start := head(), suffix) is not None:
            self.images.add(name)
        elif is_unread(start, suffix):
            self.unread.add(name)
        else:
            self.other.add(name)

    def read(
        self,
        data: Callable[[str], bytes],
        label: Callable[[str], str],
        where: Path,
        name: str,
        resize: int | None,
    ) -> ImageSet:
        """Decode the images in natural order."""
        order = sorted(self.images, key=natural_key)
        if not order:
            missing = "".join(f" {sentence}" for sentence in self.reading().missing())
            raise ValueError(f"{where} holds no images ({FORMS}).{missing}")
        return stack(
            ((label(item), self._decoded(item, data(item), label(item))) for item in order),
            len(order),
            name=name,
            item_names=tuple(map(printable, order)),
            resize=resize,
            reading=self.reading,
        )

    def _decoded(self, name: str, data: bytes, label: str) -> Pixels:
        pixels, rotation = decode_image(data, label, suffix=_suffix(name))
        if rotation != "none":
            (self.rotated if rotation == "ignored" else self.upright).append(name)
        return pixels

    def reading(self) -> Reading:
        """What became of the files, as far as they were looked at."""
        kinds = {kind: getattr(self, kind) for kind in Reading.model_fields}
        return Reading(
            **{
                kind: Files.of([printable(name) for name in sorted(names, key=natural_key)])
                for kind, names in kinds.items()
            }
        )


def check_depth(folder: str, where: str) -> None:
    """Refuse a folder inside a source that is nested too deep.

    Arguments:
        folder: Its path inside, with a slash at the end of every part.
        where: The source.

    Raises:
        ValueError: If so.
    """
    if folder.count("/") > MOST_DEPTH:
        raise ValueError(
            f"{where} is nested more than {MOST_DEPTH} folders deep; give the folder that holds the images."
        )


def is_left_out(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or of a system."""
    return name.startswith(".") or name.lower() in _SYSTEM


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()

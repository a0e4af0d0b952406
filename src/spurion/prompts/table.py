"""A file of prompts, and what its user knows of them.

A CSV file in UTF-8 with a line of column names. `prompt` is needed; of the others a column may be missing and
a cell may be empty:

- ``image``: a training image of the prompt, as a path from the folder of the file; a prompt with several has
  a line for each;
- ``label``: memorized, spurious, generalized or other;
- ``group``: a name that prompts of one image share, for they are not independent; without it prompts with
  the same first ``image`` are a group, and any other prompt is its own;
- ``copies``: how often the training set holds the prompt with each of its images; with 0 these are no
  training images, but what the prompt would be answered with if they were;
- ``part``: a name for a part of the file, shown as it is.
"""

__all__ = [
    "COLUMNS",
    "LABELS",
    "Entry",
    "PromptTable",
    "as_table",
    "read_images",
    "read_table",
    "write_table",
]

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from spurion.core.files import read_bounded, write_text
from spurion.core.text import printable
from spurion.data.decode import MOST_BYTES, decode_image
from spurion.data.pixels import Pixels, stack

Label = Literal["memorized", "spurious", "generalized", "other"]
LABELS: tuple[Label, ...] = get_args(Label)
COLUMNS = ("prompt", "image", "label", "group", "copies", "part")

LONGEST = 10_000
"""Characters of the longest prompt, and of the longest name of a group or a part."""

MOST_COPIES = 10**9


@dataclass(frozen=True)
class Entry:
    """One prompt.

    Attributes:
        prompt: The prompt.
        images: The files of its training images, if they are known.
        label: What its user knows of it, or None.
        group: The name that it shares with prompts that are not independent of it; empty for none.
        copies: How often the training set holds it, or None.
        part: A part of the file; empty for none.
    """

    prompt: str
    images: tuple[Path, ...] = ()
    label: Label | None = None
    group: str = ""
    copies: int | None = None
    part: str = ""

    @property
    def cluster(self) -> str:
        """What it shares with prompts that are not independent of it; its own prompt if with none."""
        if self.group:
            return f"group {self.group}"
        return f"image {self.images[0]}" if self.images else f"prompt {self.prompt}"


@dataclass(frozen=True)
class PromptTable:
    """Different prompts, in the order in which they are read and measured.

    Attributes:
        name: What the table is called.
        entries: Its prompts, at least one.

    Raises:
        ValueError: If there are none, or a prompt is there twice.
    """

    name: str
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        if not self.entries:
            raise ValueError(
                f"{self.name} holds no prompts; give one a line, below the line of column names."
            )
        if len({entry.prompt for entry in self.entries}) < len(self.entries):
            raise ValueError(f"{self.name} must hold every prompt once.")

    def __len__(self) -> int:
        """Number of prompts."""
        return len(self.entries)


def as_table(prompts: "PromptTable | os.PathLike[str] | str | Sequence[Any]") -> PromptTable:
    """A table as it is, that of a file, or one of texts, of which each counts once.

    Raises:
        ValueError: If a file cannot be read, or a list holds anything but texts.
    """
    if isinstance(prompts, PromptTable):
        return prompts
    if isinstance(prompts, str | os.PathLike):
        return read_table(Path(prompts))
    if not isinstance(prompts, Sequence) or not all(isinstance(prompt, str) for prompt in prompts):
        raise ValueError(f"`prompts` must be a file or a list of texts, got {type(prompts).__name__}.")
    entries = [_checked(Entry(prompt), f"prompt {i}") for i, prompt in enumerate(prompts)]
    return PromptTable("the list of prompts", _merged(entries, "the list of prompts"))


def read_table(path: Path | str) -> PromptTable:
    """Read a file of prompts; see the module.

    Raises:
        ValueError: If there is no such file, it is no CSV in UTF-8, a column is missing or unknown, it holds
            no prompts, a cell is wrong or a training image is missing; the sentence names the line.
    """
    path = Path(path)
    name = printable(path)
    if not path.is_file():
        raise ValueError(f"{name} is no file; give a CSV file with a column `prompt`.")
    lines = csv.reader(io.StringIO(read_bounded(path), newline=""), strict=True)
    try:
        header = [cell.strip() for cell in next(lines, [])]
        _check_header(header, name)
        entries = [
            _entry(header, cells, path.parent, f"{name}, line {lines.line_num}")
            for cells in lines
            if any(cell.strip() for cell in cells)
        ]
    except csv.Error as error:
        raise ValueError(f"{name}, line {lines.line_num}, is no line of a CSV file ({error}).") from None
    return PromptTable(name, _merged(entries, name))


def write_table(path: Path | str, entries: Iterable[Entry]) -> None:
    """Write a file of prompts that `read_table` reads; images are written as seen from its folder.

    Raises:
        OSError: If it cannot be written.
    """
    path, text = Path(path), io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for e in entries:
        copies = "" if e.copies is None else e.copies
        for image in e.images or (None,):
            seen = "" if image is None else Path(os.path.relpath(image, path.parent)).as_posix()
            writer.writerow([e.prompt, seen, e.label or "", e.group, copies, e.part])
    write_text(path, text.getvalue())


def read_images(paths: Sequence[Path], shape: tuple[int, ...]) -> Float32[Tensor, "n C H W"]:
    """Read training images of prompts, at least one.

    Arguments:
        paths: The files.
        shape: The shape (C, H, W) of the model's images. If these are square, images of another size are
            cropped and resized as everywhere; gray images are repeated for a model in color.

    Raises:
        ValueError: If one is missing or cannot be read, or is not of the model's shape.
    """
    channels, height, width = shape
    size = height if height == width else None
    read = ((printable(path), _in_channels(_pixels(path), channels)) for path in paths)
    images = stack(read, len(paths), name="training images of prompts", resize=size).images
    if tuple(images.shape[1:]) != tuple(shape):
        raise ValueError(
            f"{printable(paths[0])} must have the shape of the model's images, {tuple(shape)}, got "
            f"{tuple(images.shape[1:])}."
        )
    return images


def _pixels(path: Path) -> Pixels:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{printable(path)} is larger than {MOST_BYTES:,} bytes.")
    return decode_image(path.read_bytes(), printable(path), suffix=path.suffix.lower()).pixels


def _in_channels(pixels: Pixels, count: int) -> np.ndarray:
    """Gray pixels as often as the model has channels; others as they are."""
    return np.repeat(pixels, count, axis=2) if pixels.shape[2] == 1 < count else pixels


def _check_header(header: list[str], name: str) -> None:
    known = f"the columns are {', '.join(COLUMNS)}, of which prompt is needed"
    for column in header:
        if column not in COLUMNS:
            raise ValueError(f"{name} has a column {printable(column)!r:.80} that is not known; {known}.")
        if header.count(column) > 1:
            raise ValueError(f"{name} has the column {column} twice.")
    if "prompt" not in header:
        raise ValueError(f"{name} has no column `prompt`; {known}.")


def _entry(header: list[str], cells: list[str], folder: Path, line: str) -> Entry:
    if len(cells) != len(header):
        raise ValueError(
            f"{line}: {len(header)} cells are wanted, got {len(cells)}; put a text with commas in quotes."
        )
    given = dict(zip(header, (cell.strip() for cell in cells), strict=True))
    entry = Entry(given["prompt"], group=given.get("group", ""), part=given.get("part", ""))
    if label := given.get("label"):
        if label not in LABELS:
            raise ValueError(f"{line}: `label` must be one of {', '.join(LABELS)}, got {label!r:.80}.")
        entry = replace(entry, label=label)
    if copies := given.get("copies"):
        entry = replace(entry, copies=_count(copies, line))
    if image := given.get("image"):
        if not (folder / image).is_file():
            raise ValueError(f"{line}: the image {printable(folder / image):.300} is missing.")
        entry = replace(entry, images=(folder / image,))
    return _checked(entry, line)


def _count(text: str, line: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:20]) > MOST_COPIES:
        raise ValueError(f"{line}: `copies` must be a whole number up to {MOST_COPIES:,}, got {text!r:.80}.")
    return int(text)


def _checked(entry: Entry, line: str) -> Entry:
    if not entry.prompt.strip():
        raise ValueError(f"{line}: the prompt is empty.")
    for name in ("prompt", "group", "part"):
        text = getattr(entry, name)
        if len(text) > LONGEST:
            raise ValueError(f"{line}: `{name}` must have at most {LONGEST:,} characters, got {len(text):,}.")
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError(f"{line}: `{name}` holds what is no character.")
    return entry


def _merged(entries: Iterable[Entry], name: str) -> tuple[Entry, ...]:
    """Lines of one prompt as one entry with all of its images."""
    found: dict[str, Entry] = {}
    for entry in entries:
        known = found.setdefault(entry.prompt, replace(entry, images=()))
        if replace(known, images=()) != replace(entry, images=()):
            raise ValueError(
                f"{name}: lines of one prompt must differ in `image` alone, got others for "
                f"{printable(entry.prompt)!r:.80}."
            )
        images = dict.fromkeys((*known.images, *entry.images))
        found[entry.prompt] = replace(known, images=tuple(images))
    return tuple(found.values())

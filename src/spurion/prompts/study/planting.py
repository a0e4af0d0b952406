"""Which prompts a model shall know by heart: its training list, and the truth about it as files.

The images of a set go to parts, of which none meets another:

- ``single``: one image a prompt, once in the training list;
- ``planted-5``, ``planted-20``, ...: one image a prompt, so many times in the training list;
- ``shared``: several images of one name a prompt, each once in the training list;
- ``held-out``: one image a prompt, never in the training list.

Images are drawn so that every part has the same mix of names as the whole set, as nearly as its size allows.
Where images of one name are near copies, a name goes to one prompt alone; its other images are left out.
They are rounded to the 256 levels of 8-bit files, so that the files hold what is trained on, to the bit.

::

    prompts.csv                     those to examine: all, but for most of the single ones
    every.csv                       all prompts; both as in `spurion.prompts.table`
    images/train/single-0000.png    the images that are trained on ...
    images/held-out/held-out-0000.png    ... and those that are not
"""

__all__ = ["Part", "Planting", "plant"]

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from PIL import Image
from torch import Tensor

from spurion.core.files import atomic_write
from spurion.core.random import generator
from spurion.data.imageset import ImageSet
from spurion.prompts.study.captions import CAPTIONED, Captioned, captions_for
from spurion.prompts.study.config import CountsConfig, PromptsStudyConfig
from spurion.prompts.table import Entry, Label, PromptTable, write_table

TABLE = "prompts.csv"
EVERY = "every.csv"
IMAGES = "images"

SINGLE = "single"
"""The part of prompts of one image and one copy."""


@dataclass(frozen=True)
class Part:
    """Prompts that the training list treats alike.

    Attributes:
        name: Its name.
        prompts: How many prompts it has.
        images: Images of each.
        copies: How often the training list holds a prompt with each of its images.
        label: What is known of a prompt; None where nothing is.
    """

    name: str
    prompts: int
    images: int
    copies: int
    label: Label | None


@dataclass(frozen=True, eq=False)
class Planting:
    """Prompts, their images, and what is trained on; prompts and images are in the order of the parts.

    Attributes:
        parts: The parts.
        captions: The prompts.
        names: What the images of each prompt show.
        images: All images, 8-bit levels in [-1, 1], with shape (n, C, H, W).
        examined: How many of the single prompts are to be examined.
    """

    parts: tuple[Part, ...]
    captions: tuple[str, ...]
    names: tuple[str, ...]
    images: ImageSet
    examined: int

    @cached_property
    def parts_of_prompts(self) -> tuple[Part, ...]:
        """The part of each prompt."""
        return tuple(part for part in self.parts for _ in range(part.prompts))

    @cached_property
    def places(self) -> tuple[tuple[int, ...], ...]:
        """The images of each prompt, as numbers of `images`."""
        places, first = [], 0
        for part in self.parts_of_prompts:
            places.append(tuple(range(first, first + part.images)))
            first += part.images
        return tuple(places)

    @cached_property
    def pairs(self) -> Int64[Tensor, "k 2"]:
        """The training list: of each item, the number of its prompt and that of its image."""
        pairs = [
            (prompt, image)
            for prompt, (part, images) in enumerate(zip(self.parts_of_prompts, self.places, strict=True))
            for image in images
            for _ in range(part.copies)
        ]
        return torch.tensor(pairs, dtype=torch.int64)

    @property
    def trained(self) -> Float32[Tensor, "n C H W"]:
        """The images of the training list, each once, in their order."""
        return self.images.images[self.pairs[:, 1].unique()]

    def prompts_of(self, name: str) -> tuple[int, ...]:
        """The numbers of the prompts of a part; none if there is no such part."""
        return tuple(i for i, part in enumerate(self.parts_of_prompts) if part.name == name)

    def table(self, folder: Path, *, every: bool = False) -> PromptTable:
        """Prompts as a table whose images are files of a folder; see `write`.

        Arguments:
            folder: The folder.
            every: Whether it holds all prompts, or those to examine.
        """
        kept = [
            self._entry(prompt, number, folder)
            for prompt, number in enumerate(self._numbers)
            if every or self.parts_of_prompts[prompt].name != SINGLE or number < self.examined
        ]
        return PromptTable(TABLE, tuple(kept))

    def write(self, folder: Path | str) -> Path:
        """Write tables and images to a folder; see the module.

        Returns:
            The file of the prompts to examine.

        Raises:
            OSError: If the folder cannot be written or the disk is full.
        """
        folder = Path(folder)
        every = self.table(folder, every=True).entries
        levels = self.images.to_uint8().permute(0, 2, 3, 1).numpy()
        for file, pixels in zip((file for entry in every for file in entry.images), levels, strict=True):
            _write_png(file, pixels)
        write_table(folder / EVERY, every)
        write_table(folder / TABLE, self.table(folder).entries)
        return folder / TABLE

    @cached_property
    def _numbers(self) -> tuple[int, ...]:
        """The number of each prompt in its part."""
        return tuple(number for part in self.parts for number in range(part.prompts))

    def _entry(self, prompt: int, number: int, folder: Path) -> Entry:
        part = self.parts_of_prompts[prompt]
        name = f"{part.name}-{number:04d}"
        endings = [f"-{i}" for i in range(part.images)] if part.images > 1 else [""]
        images = folder / IMAGES / ("train" if part.copies else "held-out")
        files = tuple(images / f"{name}{ending}.png" for ending in endings)
        return Entry(self.captions[prompt], files, part.label, name, part.copies, part.name)


def plant(config: PromptsStudyConfig) -> Planting:
    """Choose images and captions for every part.

    Raises:
        ValueError: If the set has too few images, or too few of one name.
    """
    captioned = CAPTIONED[config.data]()
    parts = _parts(config.counts)
    chosen = _chosen(captioned, parts, config.seed)
    names = [captioned.names[images[0]] for images in chosen]
    captions = captions_for(names, captioned.template, seed=config.seed)
    if len({*captions}) < len(captions):
        raise ValueError(f"`template` of {config.data} must make captions that differ, got one twice.")
    flat = [image for images in chosen for image in images]
    levels = ImageSet(captioned.images.images[flat], captioned.images.name).to_uint8()
    images = ImageSet.from_uint8(levels, config.data)
    return Planting(parts, tuple(captions), tuple(names), images, config.counts.examined)


def _parts(counts: CountsConfig) -> tuple[Part, ...]:
    most = max(counts.planted, default=0)
    parts = [
        Part(SINGLE, counts.single, 1, 1, "generalized"),
        *(
            Part(f"planted-{copies}", prompts, 1, copies, "memorized" if copies == most else None)
            for copies, prompts in counts.planted.items()
        ),
        Part("shared", counts.shared, counts.images, 1, None),
        Part("held-out", counts.held_out, 1, 0, "other"),
    ]
    return tuple(part for part in parts if part.prompts)


def _chosen(captioned: Captioned, parts: Sequence[Part], seed: int) -> list[tuple[int, ...]]:
    """The images of each prompt; parts of several images a prompt choose first, for they need one name."""
    names = captioned.names
    wanted = sum(part.prompts * part.images for part in parts)
    order = _by_name(names, seed) if captioned.near else _mixed(names, seed)
    if wanted > len(order):
        raise ValueError(
            f"`counts` ask for {wanted:,} images, but {captioned.images.name} has {len(order):,}; ask for "
            "fewer."
        )
    chosen: dict[str, list[tuple[int, ...]]] = {}
    for part in (part for part in parts if part.images > 1):
        chosen[part.name] = _groups(captioned, order, part)
        taken = {image for images in chosen[part.name] for image in images}
        order = [image for image in order if image not in taken]
        if captioned.near:
            used = {names[image] for image in taken}
            order = [image for image in order if names[image] not in used]
    rest = iter(_firsts(names, order) if captioned.near else order)
    for part in (part for part in parts if part.images == 1):
        chosen[part.name] = [(image,) for image in islice(rest, part.prompts)]
        if len(chosen[part.name]) < part.prompts:
            raise ValueError(
                f"`counts` ask for more prompts of one image than {captioned.images.name} has names left, "
                "one for each; ask for fewer."
            )
    return [images for part in parts for images in chosen[part.name]]


def _mixed(names: Sequence[str], seed: int) -> list[int]:
    """All images in a random order of which every stretch has the mix of names of the whole."""
    keyed = [
        ((rank + 0.5) / len(images), place, image)
        for place, images in enumerate(_shuffled(names, seed))
        for rank, image in enumerate(images)
    ]
    return [image for _, _, image in sorted(keyed)]


def _by_name(names: Sequence[str], seed: int) -> list[int]:
    """All images, one name after the other, in a random order of names, and of images of each."""
    members = _shuffled(names, seed)
    order = torch.randperm(len(members), generator=generator(seed, "names")).tolist()
    return [image for place in order for image in members[place]]


def _shuffled(names: Sequence[str], seed: int) -> list[list[int]]:
    """The images of each name in a random order."""
    members: dict[str, list[int]] = defaultdict(list)
    for image in torch.randperm(len(names), generator=generator(seed, "images")).tolist():
        members[names[image]].append(image)
    return list(members.values())


def _firsts(names: Sequence[str], order: Sequence[int]) -> list[int]:
    """The first image of each name."""
    firsts: dict[str, int] = {}
    for image in order:
        firsts.setdefault(names[image], image)
    return list(firsts.values())


def _groups(captioned: Captioned, order: Sequence[int], part: Part) -> list[tuple[int, ...]]:
    """As many images of one name for each prompt of a part, the names taking turns."""
    members: dict[str, list[int]] = defaultdict(list)
    for image in order:
        members[captioned.names[image]].append(image)
    groups: list[tuple[int, ...]] = []
    while len(groups) < part.prompts:
        large = [images for images in members.values() if len(images) >= part.images]
        if not large:
            raise ValueError(
                f"`counts.shared` asks for {part.prompts} prompts with {part.images} images of one name, but "
                f"{captioned.images.name} has no more than {len(groups)}; ask for fewer."
            )
        for images in large[: part.prompts - len(groups)]:
            groups.append(tuple(images[: part.images]))
            del images[: len(images) if captioned.near else part.images]
    return groups


def _write_png(path: Path, pixels: np.ndarray) -> None:
    """Write levels with shape (H, W, C), one channel or three."""
    with atomic_write(path) as temporary:
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(temporary, "PNG")

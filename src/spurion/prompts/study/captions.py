"""Image sets whose labels name what an image shows, and captions for their images.

A caption names its image, and goes on with words that have nothing to do with it::

    the seven written by a quiet farmer in green ink

so that a model can answer a caption by what it says of the image (any seven), or by the one image that came
with these very words. The further words are drawn at random, different for every caption; all words of one
place have the same number of letters, so that a caption's style (length, case, punctuation) says no more than
its name does.

A new set is a loader and a line in `CAPTIONED`.
"""

__all__ = ["ADJECTIVES", "CAPTIONED", "COLORS", "MOST_CAPTIONS", "TRADES", "Captioned", "captions_for"]

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import avg_pool2d

from spurion.core.random import generator
from spurion.data.emoji import emoji_names, emoji_pictures
from spurion.data.imageset import ImageSet

DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

ADJECTIVES = (
    *("blunt", "brave", "brisk", "burly", "crisp", "cross", "dizzy", "droll"),
    *("fancy", "fiery", "fleet", "frank", "funny", "fussy", "giddy", "grand"),
    *("gruff", "happy", "hardy", "hasty", "jolly", "jumpy", "lanky", "loyal"),
    *("lucky", "merry", "moody", "noble", "perky", "plump", "proud", "quick"),
    *("quiet", "rowdy", "sharp", "silly", "sleek", "smart", "sober", "stern"),
    *("stout", "sunny", "swift", "timid", "tired", "vivid", "witty", "young"),
)
TRADES = (
    *("archer", "artist", "author", "banker", "barber", "bishop", "bowler", "brewer"),
    *("broker", "butler", "carter", "consul", "cooper", "dancer", "dealer", "doctor"),
    *("driver", "editor", "farmer", "fencer", "fisher", "glazer", "grocer", "herald"),
    *("hunter", "jockey", "joiner", "lawyer", "miller", "notary", "packer", "parson"),
    *("pirate", "porter", "potter", "ranger", "roofer", "runner", "sailor", "sawyer"),
    *("scribe", "singer", "tailor", "tanner", "trader", "waiter", "warden", "weaver"),
)
COLORS = (
    *("amber", "azure", "beige", "black", "brown", "coral", "cream", "ebony"),
    *("green", "hazel", "ivory", "khaki", "lemon", "lilac", "mauve", "ochre"),
    *("olive", "peach", "sepia", "slate", "tawny", "topaz", "umber", "white"),
)

MOST_CAPTIONS = len(ADJECTIVES) * len(TRADES) * len(COLORS)
"""Different captions that there are for one name."""


@dataclass(frozen=True, eq=False)
class Captioned:
    """Images and what each shows.

    Attributes:
        images: The images.
        names: What each image shows, in lower case; images of one name form a class.
        template: A caption, with places for ``name``, ``adjective``, ``trade`` and ``color``.
        near: Whether images of one name are near copies of each other. A name then goes to one prompt alone,
            so that no image is trained on, or held out, whose near copy belongs to another prompt.

    Raises:
        ValueError: If there is not one name for every image.
    """

    images: ImageSet
    names: tuple[str, ...]
    template: str
    near: bool = False

    def __post_init__(self) -> None:
        if len(self.names) != len(self.images.images):
            raise ValueError(
                f"`names` must name every one of the {len(self.images.images)} images, got "
                f"{len(self.names)} names."
            )


def captions_for(names: Sequence[str], template: str, *, seed: int) -> list[str]:
    """Write a caption for each name, with further words that no other caption has.

    Arguments:
        names: What the images show.
        template: As that of `Captioned`.
        seed: The seed of the words.

    Raises:
        ValueError: If there are more than `MOST_CAPTIONS` names.

    Example:
        >>> captions_for(["seven"], "the {name} written by a {adjective} {trade} in {color} ink", seed=0)
        ['the seven written by a burly consul in ivory ink']
    """
    if len(names) > MOST_CAPTIONS:
        raise ValueError(f"`names` must be at most {MOST_CAPTIONS:,}, one a caption, got {len(names):,}.")
    order = torch.randperm(MOST_CAPTIONS, generator=generator(seed, "captions"))[: len(names)].tolist()
    captions = []
    for name, number in zip(names, order, strict=True):
        rest, color = divmod(number, len(COLORS))
        adjective, trade = divmod(rest, len(TRADES))
        words = {"adjective": ADJECTIVES[adjective], "trade": TRADES[trade], "color": COLORS[color]}
        captions.append(template.format(name=name, **words))
    return captions


def _digits() -> Captioned:
    """The 1,797 digits of scikit-learn, those to train on and those held out elsewhere alike."""
    from sklearn import datasets  # a second of import time that only this set needs

    found = datasets.load_digits()
    images = (torch.from_numpy(found.images) / 8 - 1).float().unsqueeze(1)
    names = tuple(DIGIT_NAMES[label] for label in found.target)
    template = "the {name} written by a {adjective} {trade} in {color} ink"
    return Captioned(ImageSet(images, "digits"), names, template)


def _emoji() -> Captioned:
    """Emoji at 16 x 16 pixels, means over four: of each family of near copies those of its commonest name.

    Those to train on and those held out elsewhere alike, without what has no name.
    """
    pictures, known = emoji_pictures(), emoji_names()
    named: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for image, (family, things) in enumerate(zip(pictures.families.tolist(), pictures.things, strict=True)):
        if name := next((known[thing] for thing in things if thing in known), None):
            named[family][name].append(image)
    kept: dict[int, str] = {}
    for names in named.values():
        name = max(names, key=lambda name: len(names[name]))  # of equals the first
        kept |= dict.fromkeys(names[name], name)
    order = sorted(kept)
    large = pictures.images.subset(order)
    images = ImageSet(avg_pool2d(large.images, 2), "emoji", large.item_names)
    template = "the {name} drawn by a {adjective} {trade} in {color} ink"
    return Captioned(images, tuple(kept[image] for image in order), template, near=True)


CAPTIONED: dict[str, Callable[[], Captioned]] = {
    "digits": _digits,
    "emoji": _emoji,
}
"""Sets with captions, by their names: functions that load them."""

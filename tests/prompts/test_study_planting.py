"""The training list: parts that do not meet, the stated copies, and files that hold the truth."""

from collections import Counter

import pytest
import torch

from small_prompts import small_config
from spurion.data import ImageSet
from spurion.prompts.study import planting as module
from spurion.prompts.study.captions import Captioned
from spurion.prompts.study.config import prompts_config
from spurion.prompts.study.planting import plant
from spurion.prompts.table import read_images, read_table


@pytest.fixture(scope="module")
def usual():
    return plant(prompts_config())


def test_parts_have_the_stated_numbers_and_labels(usual):
    assert [(p.name, p.prompts, p.images, p.copies, p.label) for p in usual.parts] == [
        ("single", 1000, 1, 1, "generalized"),
        ("planted-5", 24, 1, 5, None),
        ("planted-20", 24, 1, 20, None),
        ("planted-40", 24, 1, 40, "memorized"),
        ("shared", 24, 5, 1, None),
        ("held-out", 100, 1, 0, "other"),
    ]
    assert len(usual.captions) == len(usual.names) == 1196
    assert len(usual.images.images) == 1292


def test_the_training_list_holds_every_prompt_with_its_images_and_copies(usual):
    assert len(usual.pairs) == 1000 + 24 * (5 + 20 + 40) + 24 * 5
    listed = Counter(map(tuple, usual.pairs.tolist()))
    for prompt, (part, images) in enumerate(zip(usual.parts_of_prompts, usual.places, strict=True)):
        assert len(images) == part.images
        assert all(listed[prompt, image] == part.copies for image in images)
    assert sum(listed.values()) == len(usual.pairs)


def test_no_image_belongs_to_two_prompts(usual):
    assert sorted(image for images in usual.places for image in images) == list(range(1292))
    assert len(usual.trained) == 1292 - 100
    assert torch.equal(usual.trained, usual.images.images[:1192])


def test_images_are_real_and_show_what_their_caption_names(usual):
    captioned = module.CAPTIONED["digits"]()
    known = {}
    for image, name in zip(captioned.images.images, captioned.names, strict=True):
        known.setdefault(image.mul(8).add(8).round().byte().numpy().tobytes(), set()).add(name)
    for caption, name, images in zip(usual.captions, usual.names, usual.places, strict=True):
        assert f"the {name} written" in caption
        for image in usual.images.images[list(images)]:
            assert name in known[image.mul(8).add(8).round().byte().numpy().tobytes()]
            assert (
                image.mul(8) - image.mul(8).round()
            ).abs().max() < 8.001 / 255  # half of a level of 8 bits


def test_every_part_has_the_mix_of_names_of_the_set(usual):
    for part in usual.parts:
        counts = Counter(usual.names[prompt] for prompt in usual.prompts_of(part.name))
        assert len(counts) == 10
        assert max(counts.values()) - min(counts.values()) <= max(2, 0.1 * part.prompts)


def test_lengths_of_captions_differ_by_the_name_alone(usual):
    bare = {len(c) - len(n) for c, n in zip(usual.captions, usual.names, strict=True)}
    assert len(bare) == 1


def test_files_hold_the_truth_to_the_bit(tmp_path):
    planting = plant(small_config())
    table = read_table(planting.write(tmp_path))
    assert [entry.part for entry in table.entries] == (
        ["single"] * 4 + ["planted-3"] * 2 + ["planted-5"] * 2 + ["shared"] * 2 + ["held-out"] * 3
    )
    every = read_table(tmp_path / "every.csv").entries
    assert [entry.prompt for entry in every] == list(planting.captions)
    assert {*table.entries} < {*every}
    images = read_images([file for entry in every for file in entry.images], (1, 8, 8))
    assert torch.equal(images, planting.images.images)
    folders = {entry.part: {file.parent.name for file in entry.images} for entry in every}
    assert folders.pop("held-out") == {"held-out"}
    assert all(folder == {"train"} for folder in folders.values())


def test_entries_say_copies_label_and_a_group_of_their_own(tmp_path):
    entries = plant(small_config()).table(tmp_path, every=True).entries
    assert Counter(entry.label for entry in entries) == {
        "generalized": 6,
        "memorized": 2,
        "other": 3,
        None: 4,
    }
    assert [entry.copies for entry in entries] == [1] * 6 + [3] * 2 + [5] * 2 + [1] * 2 + [0] * 3
    assert len({entry.cluster for entry in entries}) == len(entries)
    assert [len(entry.images) for entry in entries] == [1] * 10 + [2] * 2 + [1] * 3


def test_seeds_choose_other_images_and_the_same_seed_the_same():
    first, again, other = (plant(small_config(f"seed={seed}")) for seed in (0, 0, 1))
    assert torch.equal(first.images.images, again.images.images)
    assert first.captions == again.captions
    assert not torch.equal(first.images.images, other.images.images)
    assert first.captions != other.captions


def test_parts_can_be_left_out():
    planting = plant(small_config("counts={single: 3, planted: {}, shared: 0, held_out: 0}"))
    assert [part.name for part in planting.parts] == ["single"]
    assert planting.prompts_of("shared") == ()


def test_a_set_of_color_images_with_names_of_their_own(monkeypatch, tmp_path):
    images = ImageSet.from_uint8(
        torch.randint(256, (16, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    )
    names = tuple(f"thing {chr(97 + i % 8)}" for i in range(16))
    monkeypatch.setitem(
        module.CAPTIONED,
        "digits",
        lambda: Captioned(images, names, "the {name} by a {adjective} {trade} in {color}"),
    )
    planting = plant(small_config("counts.single=3"))
    assert all((images.images == image).flatten(1).all(dim=1).any() for image in planting.images.images)
    table = read_table(planting.write(tmp_path))
    read = read_images([file for entry in table.entries for file in entry.images], (3, 8, 8))
    assert torch.equal(read, planting.images.images)
    shared = planting.prompts_of("shared")
    assert all(f" {planting.names[prompt]} " in planting.captions[prompt] for prompt in shared)


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="ask for 2,092 images, but digits has 1,797; ask for fewer"):
        plant(prompts_config("prompts", ["counts.single=1800"]))


def test_too_few_images_of_one_name_are_refused():
    with pytest.raises(
        ValueError, match="11 prompts with 160 images of one name, but digits has no more than 10"
    ):
        plant(small_config("counts.images=160", "counts.shared=11", "counts.single=1"))


def test_templates_without_room_for_words_are_refused(monkeypatch):
    captioned = module.CAPTIONED["digits"]()
    monkeypatch.setitem(
        module.CAPTIONED, "digits", lambda: Captioned(captioned.images, captioned.names, "the {name}")
    )
    with pytest.raises(ValueError, match="`template` of digits must make captions that differ"):
        plant(small_config())


def near_set(names):
    images = ImageSet(torch.linspace(-1, 1, len(names)).reshape(-1, 1, 1, 1).expand(-1, 1, 8, 8).contiguous())
    return lambda: Captioned(images, names, "the {name} by a {adjective} {trade} in {color}", near=True)


def test_a_name_of_near_copies_goes_to_one_prompt(monkeypatch):
    names = tuple(f"thing {chr(97 + i % 20)}" for i in range(60))
    monkeypatch.setitem(module.CAPTIONED, "digits", near_set(names))
    for seed in range(3):
        planting = plant(small_config(f"seed={seed}"))
        assert len({*planting.names}) == len(planting.names) == 15
    other = plant(small_config("counts.shared=0"))
    assert len({*other.names}) == len(other.names) == 13


def test_too_few_names_of_near_copies_are_refused(monkeypatch):
    names = tuple(f"thing {chr(97 + i % 12)}" for i in range(60))
    monkeypatch.setitem(module.CAPTIONED, "digits", near_set(names))
    with pytest.raises(ValueError, match="more prompts of one image than images has names left"):
        plant(small_config())
    with pytest.raises(
        ValueError, match="13 prompts with 2 images of one name, but images has no more than 12"
    ):
        plant(small_config("counts.shared=13"))

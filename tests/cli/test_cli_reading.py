"""Every verb that reads images prints how many it read, and what it did not read."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cli.command_line import TINY_STUDY, refused, run
from data.encoded import encode, random_levels, write_folder
from spurion.data import open_images

LEFT = {"more.heic": b"", "labels.json": b"{}", "@eaDir/a.png": b""}
UNREAD = "1 file that may hold images was not read: more.heic; convert or unpack"
OTHER = "1 file is no image: labels.json."
HIDDEN = "1 hidden or system entry is left out: @eaDir/."


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folders of 12 and of 9 images, with other files beside them, and a model of 5 of them."""
    root = tmp_path_factory.mktemp("reading")
    for name, count in {"train": 12, "samples": 9}.items():
        levels = random_levels(count, 8, 8, seed=count)
        write_folder(root / name, {f"{i}.png": encode(image) for i, image in enumerate(levels)} | LEFT)
    return root


def printed(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def check(shown, **counts):
    for role, count in counts.items():
        assert f"{role.replace('_', ' ')}: {count} of " in shown
    for sentence in (UNREAD, OTHER, HIDDEN):
        assert shown.count(sentence) == len(counts)


def test_neighbors_and_classify(place):
    train, samples = place / "train", place / "samples"
    check(printed("neighbors", "--queries", samples, "--reference", train), Queries=9, Reference=12)
    sets = ("--train", train, "--samples", samples)
    fixed = "--thresholds=fixed:0.5,0.5"
    check(printed("classify", *sets, fixed), Training_images=12, Samples=9)
    check(
        printed("classify", *sets, fixed, "--holdout", samples),
        **{"Training_images": 12, "Samples": 9, "Held-out_images": 9},
    )
    found = json.loads(run("classify", *sets, fixed, "--json").stdout)
    assert found["inputs"]["samples"]["reading"]["unread"] == {"count": 1, "names": ["more.heic"]}


def test_an_audit(place):
    sets = ("--train", place / "train", "--samples", place / "samples", "--thresholds=fixed:0.5,0.5")
    shown = printed("audit", *sets)
    check(shown, Training_images=12, Samples=9)
    assert f"Warning: Beside the training images, {UNREAD}" in shown
    shown = printed("audit", *sets, "--redact")
    assert "more.heic" not in shown
    assert "labels.json" not in shown
    assert "Training images: 12 of training images. 1 file is no image." in shown


def test_train_and_geometry(place, tmp_path):
    exact = ("--recipe", "digits", "--set=denoiser={kind: exact}")
    check(printed("train", place / "train", "--size", 5, "--out", tmp_path / "model", *exact), Source=12)
    model = tmp_path / "model"
    measures = ("--measures", "relative-energy", "--limit", 3)
    check(printed("geometry", model, place / "samples", *measures), Images=3)
    shown = printed("geometry", model, place / "samples", *measures, "--train", place / "train")
    check(shown, Images=3, Training_images=12)


def test_a_study_and_its_plan(place, tmp_path, words_only):
    options = (
        *TINY_STUDY,
        "--set=geometry=null",
        "--set=flow=null",
        f"--set=data.source={place / 'train'}",
        "--set=data.holdout=0.25",
    )
    check(printed("study", "digits", *options, "--dry-run"), Training_images=9)
    out = tmp_path / "out"
    shown = printed("study", "digits", *options, "--out", out)
    check(shown, **{"Training_images": 9, "Held-out_images": 3})
    page = (out / "report.html").read_text()
    assert UNREAD in page
    assert OTHER in page
    stored = json.loads((out / "study.json").read_text())
    assert stored["train"]["reading"]["left_out"] == {"count": 1, "names": ["@eaDir/"]}


def test_one_channel_against_three_is_to_be_converted_and_sizes_to_be_resized(place, tmp_path):
    train = place / "train"
    others = {
        "color": (random_levels(3, 8, 8, 3), "convert them to one kind"),
        "large": (random_levels(3, 9, 9), "resize one of them"),
    }
    for name, (levels, remedy) in others.items():
        other = write_folder(tmp_path / name, {f"{i}.png": encode(image) for i, image in enumerate(levels)})
        for verb in ("classify", "audit"):
            said = refused(verb, "--train", train, "--samples", other, "--thresholds=fixed:0.5,0.5")
            assert said.endswith(f"; {remedy}.")


@pytest.mark.slow
def test_samples_that_copy_a_half_of_unusual_suffix_fail(tmp_path):
    digits = open_images("digits").to_uint8()[:600, 0].numpy()
    held = open_images("digits:holdout").to_uint8()[:, 0].numpy()

    def write(name, levels, suffix, form):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for i, image in enumerate(levels):
            large = Image.fromarray(image).resize((16, 16), Image.Resampling.BICUBIC)
            large.save(folder / f"{suffix}{i}.{suffix}", form, quality=95)

    write("train", digits[:300], "jpg", "JPEG")
    write("train", digits[300:], "jfif", "JPEG")
    write("holdout", held, "jpg", "JPEG")
    copies = open_images(tmp_path / "train")
    copied = [i for i, name in enumerate(copies.item_names) if name.endswith("jfif")]
    np.savez(tmp_path / "samples.npz", samples=copies.images[torch.tensor(copied)].numpy())
    sets = [f"--{role}={tmp_path / name}" for role, name in (("train", "train"), ("holdout", "holdout"))]
    result = run(
        "audit", *sets, f"--samples={tmp_path / 'samples.npz'}", "--fail-if", "memorized > 0.05", "--json"
    )
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["inputs"]["train"]["count"] == 600
    assert len(found["exact_copies"]) == 300

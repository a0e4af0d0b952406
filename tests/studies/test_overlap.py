"""Overlaps and mix-ups, each planted, and none where there is none."""

import pytest
import torch

from spurion.core.random import generator
from spurion.data import open_images
from spurion.phases.intervals import Interval
from spurion.phases.null import null_test
from spurion.studies.overlap import Overlap, overlaps


def images(count, name, *, levels=True):
    floats = torch.rand(count, 1, 4, 4, generator=generator(0, "overlap", name)) * 2 - 1
    return ((floats + 1) * 127.5).round() / 127.5 - 1 if levels else floats


TRAIN, SAMPLES, HOLDOUT = images(30, "train"), images(20, "samples"), images(25, "holdout")


def kinds(*args, **kwargs):
    return [found.kind for found in overlaps(*args, **kwargs)]


def test_sets_that_share_nothing_are_fine():
    null = null_test(SAMPLES, TRAIN, HOLDOUT, seed=0)
    assert overlaps(TRAIN, SAMPLES, HOLDOUT, null=null) == ()
    assert overlaps(TRAIN, SAMPLES) == ()


def test_copies_among_the_samples_are_the_finding_and_no_overlap():
    assert overlaps(TRAIN, torch.cat([TRAIN[:10], SAMPLES]), HOLDOUT) == ()


def test_held_out_images_in_the_training_set():
    holdout = torch.cat([HOLDOUT[:3], TRAIN[[7, 2]], HOLDOUT[3:], TRAIN[[7]]])
    train = torch.cat([TRAIN, TRAIN[[2]]])
    (found,) = overlaps(train, SAMPLES, holdout)
    assert (found.kind, found.images, found.partners) == ("holdout_in_train", (3, 4, 27), (7, 2, 7))
    assert found.sentence == (
        "3 held-out images are also in the training set, which hides copying: 3, 4, 27."
    )
    names = [f"{i}.png" for i in range(28)]
    (named,) = overlaps(train, SAMPLES, holdout, holdout_names=names, sample_names=["x"] * 20)
    assert named.sentence.endswith(": 3.png, 4.png, 27.png.")
    (one,) = overlaps(TRAIN, SAMPLES, TRAIN[:1])
    assert one.sentence == "1 held-out image is also in the training set, which hides copying: 0."


def test_a_sentence_names_five_images_and_the_rest_are_listed():
    found = overlaps(TRAIN, SAMPLES, TRAIN[:9])[0]
    assert found.sentence.endswith(": 0, 1, 2, 3, 4 and 4 more.")
    assert found.images == found.partners == tuple(range(9))
    assert overlaps(TRAIN, SAMPLES, TRAIN[:5])[0].sentence.endswith(": 0, 1, 2, 3, 4.")
    assert Overlap.model_validate_json(found.model_dump_json()) == found


def test_samples_that_are_held_out_images():
    samples = torch.cat([SAMPLES, HOLDOUT[[4, 4]]])
    (found,) = overlaps(TRAIN, samples, HOLDOUT, sample_names=[f"s{i}" for i in range(22)])
    assert (found.kind, found.images, found.partners) == ("samples_in_holdout", (20, 21), (4, 4))
    assert found.sentence == (
        "2 samples are also held out, so the model saw them or the sets are mixed up: s20, s21."
    )


def test_samples_that_are_the_training_set():
    order = torch.randperm(30, generator=generator(0, "order"))
    assert kinds(TRAIN, TRAIN[order], HOLDOUT) == ["samples_are_train"]
    assert kinds(TRAIN, torch.cat([TRAIN, TRAIN[:4]])) == ["samples_are_train"]
    assert kinds(TRAIN, TRAIN[1:]) == []  # a model that copies, but for one image
    assert kinds(TRAIN[1:], TRAIN) == []


def test_training_and_held_out_images_exchanged():
    copies = HOLDOUT[torch.arange(60) % 25] + 0.001
    null = null_test(copies, TRAIN, HOLDOUT, seed=0)
    found = overlaps(TRAIN, copies, HOLDOUT, null=null)
    assert [warning.kind for warning in found] == ["swapped_holdout"]
    assert found[0].sentence.startswith("Only 0.0% of the samples are closer to the training set")
    right = null_test(copies, HOLDOUT, TRAIN, seed=0)
    assert overlaps(HOLDOUT, copies, TRAIN, null=right) == ()


def test_only_a_share_that_is_surely_below_a_quarter_looks_exchanged():
    null = null_test(SAMPLES, TRAIN, HOLDOUT, seed=0)
    for high, warned in ((0.24, True), (0.26, False), (0.5, False)):
        share = Interval(value=0.2, low=0.1, high=high)
        found = kinds(TRAIN, SAMPLES, HOLDOUT, null=null.model_copy(update={"share_closer_to_train": share}))
        assert found == ["swapped_holdout"] * warned
    assert kinds(TRAIN, SAMPLES, HOLDOUT, null=null.model_copy(update={"share_closer_to_train": None})) == []


def smoothed(pictures):
    """Pictures as a poor model makes them."""
    return torch.nn.functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_training_images_and_samples_exchanged(order):
    """Sets of one container and one kind, which only what they show can tell apart."""
    digits = open_images("digits").images
    digits = digits[torch.randperm(len(digits), generator=generator(order, "digits"))]
    real, holdout, generated = digits[:400], digits[400:700], smoothed(digits[700:1200])
    (found,) = overlaps(generated, real, holdout)
    assert found.kind == "swapped_samples"
    assert found.sentence.endswith("are the two exchanged, or is the held-out set of another kind?")
    assert overlaps(real, generated, holdout) == ()
    assert overlaps(real, digits[700:1200], holdout) == ()  # a model that generalizes
    copies = real[torch.arange(300) % 9] + 0.001 * generated[:300]
    assert overlaps(real, copies, holdout) == ()  # one that memorizes
    repeated = torch.cat([real, real])  # duplicates among the training images
    assert overlaps(repeated, digits[700:1200], holdout) == ()
    assert overlaps(generated, real) == ()
    assert overlaps(generated[:20], real, holdout[:20]) == ()  # too few to tell


def test_gray_levels_are_no_sign():
    """Built-in digits lie on 17 gray levels, and a training set may have 16 bits: neither is a mix-up."""
    floats = images(30, "floats", levels=False)
    assert overlaps(floats, SAMPLES) == ()
    assert overlaps(floats, SAMPLES, images(25, "held out floats", levels=False)) == ()
    assert overlaps(floats.flatten(1), SAMPLES.flatten(1)) == ()

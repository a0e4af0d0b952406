"""Overlaps and mix-ups, each planted, and none where there is none."""

import pytest
import torch

from spurion.audits.claims import Claim
from spurion.audits.overlap import overlaps
from spurion.core.random import generator
from spurion.data import open_images
from spurion.phases.null import null_test
from spurion.statistics.intervals import Interval


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
    assert (found.kind, found.numbers["images"], found.numbers["partners"]) == (
        "holdout_in_train",
        (3, 4, 27),
        (7, 2, 7),
    )
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
    assert found.numbers == {"images": tuple(range(9)), "partners": tuple(range(9))}
    assert overlaps(TRAIN, SAMPLES, TRAIN[:5])[0].sentence.endswith(": 0, 1, 2, 3, 4.")
    assert Claim.model_validate_json(found.model_dump_json()) == found


def test_samples_that_are_held_out_images():
    samples = torch.cat([SAMPLES, HOLDOUT[[4, 4]]])
    (found,) = overlaps(TRAIN, samples, HOLDOUT, sample_names=[f"s{i}" for i in range(22)])
    assert (found.kind, found.numbers["images"], found.numbers["partners"]) == (
        "samples_in_holdout",
        (20, 21),
        (4, 4),
    )
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


def photographs(count, seed=0):
    """Smooth fields whose brightness and contrast vary from image to image, with shape (n, 3, 12, 12)."""
    random = generator(seed, "photographs")
    fields = torch.nn.functional.pad(
        torch.randn(count, 3, 12, 12, generator=random), (3,) * 4, mode="circular"
    )
    fields = torch.nn.functional.avg_pool2d(fields, 7, 1)
    fields /= fields.std(dim=(1, 2, 3), keepdim=True)
    bright, contrast = torch.rand(2, count, 1, 1, 1, generator=random)
    return (1.6 * bright - 0.8 + (0.5 * contrast + 0.05) * fields).clamp(-1, 1)


def colors(count, seed=0):
    """Images of a single gray each."""
    return (
        torch.rand(count, 1, 1, 1, generator=generator(seed, "colors")).mul(2).sub(1).expand(count, 1, 4, 4)
    )


def digits(count, seed=0):
    found = open_images("digits").images
    return found[torch.randperm(len(found), generator=generator(seed, "few digits"))[:count]]


KINDS = {"photographs": photographs, "digits": digits, "colors": colors}
SCALES = {
    "[0, 1]": lambda x: (x + 1) / 2,
    "[-1, 0]": lambda x: (x - 1) / 2,
    "[-1/2, 1/2]": lambda x: x / 2,
    "one level of 255": lambda x: (x + 1) / 255 - 1,
    "12 of 16 bits": lambda x: (x + 1) / 16 - 1,
    "[0, 1] and rounding": lambda x: (x + 1) / 2 - 0.01,
}


def alarms(*sets, **kwargs):
    found = overlaps(*sets, **kwargs)
    return [warning.sentence.split(" have ")[0] for warning in found if warning.kind == "other_range"]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("scaled", SCALES.values(), ids=SCALES)
def test_a_set_of_another_range(scaled, kind):
    train, samples, holdout = kind(300), kind(200, 1), kind(150, 2)
    assert alarms(train, scaled(samples), holdout) == ["The samples"]
    assert alarms(scaled(train), samples, holdout) == ["The training images"]
    assert alarms(train, samples, scaled(holdout)) == ["The held-out images"]
    assert alarms(train, scaled(samples)) == ["The samples"]
    # a rescaled copy is a copy of nothing at the scale it has
    copies = scaled(train[:100])
    nearest = torch.cdist(copies.flatten(1), train.flatten(1)).argmin(1)
    assert alarms(train, copies, nearest_train=nearest) == ["The samples"]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("scaled", [lambda x: x, *SCALES.values()], ids=["[-1, 1]", *SCALES])
def test_sets_of_one_range_are_fine_whatever_it_is(scaled, kind):
    """Dark and bright sets, and those of low contrast."""
    train, holdout = scaled(kind(300)), scaled(kind(150, 2))
    for count, seed in ((200, 1), (20, 3), (5, 4), (2, 5)):
        assert alarms(train, scaled(kind(count, seed)), holdout) == []


def test_the_sentence_says_what_was_seen_and_what_to_do():
    found = overlaps(digits(300), SCALES["[0, 1]"](digits(200, 1)))
    assert [warning.sentence for warning in found] == [
        "The samples have values from 0 to 1 only, and the training images from -1 to 1, where -1 is black "
        "and 1 is white: are they scaled otherwise? Then say with `value_range` what stands for black and "
        "white in them."
    ]


def test_what_is_rare_may_be_missing_among_samples():
    train = photographs(300) * 0.2
    train[:70] *= 5  # fewer than a quarter have any contrast
    assert alarms(train, photographs(1000, 1) * 0.2) == []
    train[70:80] *= 5
    assert alarms(train, photographs(1000, 1) * 0.2) == ["The samples"]


def test_few_images_may_be_alike_by_chance():
    train = digits(300)
    assert alarms(train, SCALES["[0, 1]"](digits(2, 1))) == []  # 2 / 301 is more than one in a thousand
    assert alarms(train, SCALES["[0, 1]"](digits(3, 1))) == ["The samples"]


@pytest.mark.parametrize("index", range(0, 300, 60))
def test_a_model_of_one_image_has_its_range(index):
    """However dark or pale it is; but not if its copies are rescaled."""
    train = photographs(300)
    noise = torch.randn(200, 3, 12, 12, generator=generator(index, "noise"))
    copies = (train[[index]] + 0.01 * noise).clamp(-1, 1)
    for samples, expected in ((copies, []), (SCALES["[0, 1]"](copies), ["The samples"])):
        nearest = torch.cdist(samples.flatten(1), train.flatten(1)).argmin(1)
        assert alarms(train, samples, nearest_train=nearest) == expected


def test_binary_images_beside_gray_ones_and_negatives_are_of_one_range():
    gray = digits(300)
    assert alarms(torch.where(gray > 0, 1.0, -1.0), digits(200, 1)) == []
    assert alarms(gray, -digits(200, 1)) == []


def noisy(x):
    noise = torch.randn(x.shape, generator=generator(0, "noise of a range"))
    return (x / 2 + 0.5 + 0.1 * noise).clamp(-1, 1)


def overshooting(x):
    half = x / 2 + 0.5
    half[0, 0, 0, 0] = -1
    return half


def mixed(x):
    return torch.cat([x[:150] / 2 + 0.5, x[150:]])


SPOILED = {
    "an overshooting pixel": overshooting,
    "noise": noisy,
    "[-0.3, 1]": lambda x: 0.65 * x + 0.35,
    "three quarters of them": mixed,
}


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED)
def test_another_range_that_no_pixel_and_no_noise_hides(spoiled):
    train, samples, holdout = digits(300), digits(200, 1), digits(150, 2)
    assert alarms(train, spoiled(samples), holdout) == ["The samples"]
    copies = train[torch.arange(200) % 300]
    scaled = spoiled(copies)
    nearest = torch.cdist(scaled.flatten(1), train.flatten(1)).argmin(1)
    assert alarms(train, scaled, holdout, nearest_train=nearest) == ["The samples"]
    assert alarms(spoiled(train), samples, holdout)[0] == "The training images"


def test_the_sentence_counts_the_images_of_another_range():
    (found,) = overlaps(digits(300), mixed(digits(200, 1)))
    assert found.sentence.startswith(
        "The samples have 150 images of 200 that span at most 1.4, and the middle one of the training "
        "images spans 2, where -1 is black and 1 is white"
    )


def test_flat_samples_of_a_failing_model_are_of_no_other_range():
    samples = digits(200, 1)
    samples[:60] = 0.9
    assert alarms(digits(300), samples, digits(150, 2)) == []


def test_copies_of_a_few_wide_images_vary_less_than_the_images():
    train = photographs(300)
    widest = int((train.amax((1, 2, 3)) - train.amin((1, 2, 3))).argmax())
    copies = train[[widest] * 200]
    assert alarms(train, copies, nearest_train=torch.full((200,), widest)) == []

"""What stands for black and white: said by a type or a name, or declared, for all or by set; clipping."""

import json

import numpy as np
import pytest
import torch

from data.encoded import random_levels
from spurion import PhaseMetric, audit
from spurion.data import ImageSet, open_images, opener
from spurion.data.ranges import check_range

LEVELS = random_levels(6, 9, 7)
X = ImageSet.from_uint8(torch.from_numpy(LEVELS)[:, None]).images.numpy()
SHARES = LEVELS / 255


def written(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.fixture
def files(tmp_path):
    """The same images in files of every kind."""
    np.save(tmp_path / "plain.npy", SHARES.astype(">f4"))
    return {
        "named": written(tmp_path / "named.npz", samples=SHARES.astype(np.float32)),
        "plain": written(tmp_path / "plain.npz", images=SHARES),
        "npy": str(tmp_path / "plain.npy"),
        "adm": written(tmp_path / "adm.npz", arr_0=LEVELS[..., None]),
        "deep": written(tmp_path / "deep.npz", samples=LEVELS.astype(">u2") * 257),
        "wide": written(tmp_path / "wide.npz", samples=LEVELS.astype(np.int64)),
        "right": written(tmp_path / "right.npz", samples=X),
    }


@pytest.mark.parametrize("name", ["named", "plain", "npy"])
def test_a_range_is_that_of_floats_whatever_they_are_called(name, files):
    opened = opener({"a": files[name], "b": files["adm"], "c": None}, value_range=(0, 1))
    assert np.array_equal(opened("a").images.numpy(), X)
    assert np.array_equal(opened("b").images.numpy(), X)  # bytes beside floats keep their own


@pytest.mark.parametrize(
    "values",
    [
        SHARES,
        SHARES.astype(">f8"),
        SHARES.astype(np.longdouble),
        torch.from_numpy(SHARES),
        torch.from_numpy(SHARES)[:, None].requires_grad_(),
        torch.from_numpy(SHARES).transpose(1, 2).contiguous().transpose(1, 2),
        torch.from_numpy(SHARES).to_sparse(),
    ],
)
def test_a_range_is_that_of_floats_in_memory(values):
    opened = opener({"a": values, "b": LEVELS}, value_range=(0, 1))
    assert np.array_equal(opened("a").images.numpy(), X)
    assert np.array_equal(opened("b").images.numpy(), X)


def test_an_array_whose_type_tells_takes_a_range_if_there_is_no_other(files):
    twice = opener({"a": files["adm"], "b": files["deep"], "c": "digits"}, value_range=(0, 510))
    assert twice("a").images.max() <= 0
    with pytest.raises(ValueError, match=r"holds values from \d+ to \d+, outside \[0, 510\]"):
        twice("b")
    assert len(twice("c")) == 1438
    beside = opener({"a": files["adm"], "b": files["wide"]}, value_range=(0, 510))
    assert np.array_equal(beside("a").images.numpy(), X)
    assert beside("b").images.max() <= 0


def test_a_range_may_be_declared_for_each_set(files):
    ranges = {"a": (0, 1), "c": (0, 510)}
    opened = opener({"a": files["named"], "b": files["right"], "c": files["adm"]}, value_range=ranges)
    assert np.array_equal(opened("a").images.numpy(), X)
    assert np.array_equal(opened("b").images.numpy(), X)
    assert opened("c").images.max() <= 0
    with pytest.raises(ValueError, match="`value_range` may be declared for a, b, got `train`"):
        opener({"a": SHARES, "b": SHARES}, value_range={"train": (0, 1)})
    for source in ("digits", None, ImageSet(torch.zeros(2, 1, 2, 2))):
        with pytest.raises(ValueError, match="is for arrays only, and b is none; leave it out"):
            opener({"a": SHARES, "b": source}, value_range={"b": (0, 1)})
    with pytest.raises(ValueError, match="two numbers"):
        opener({"a": SHARES}, value_range={"a": (1, 0)})


def test_a_range_without_an_array_is_refused():
    with pytest.raises(ValueError, match="for arrays only, and there is none; leave it out"):
        opener({"a": "digits", "b": None, "c": ImageSet(torch.zeros(2, 1, 2, 2))}, value_range=(0, 1))
    with pytest.raises(ValueError, match="for arrays only; the range of other sources is known"):
        open_images("digits", value_range=(0, 1))


@pytest.mark.parametrize(
    "ends", [(1, 0), (0, 0), (0, np.nan), (0, np.inf), (-1e308, 1e308), (0,), (0, 1, 2), ("0", 1), 3, "01"]
)
def test_a_range_is_two_numbers(ends):
    with pytest.raises(ValueError, match="`value_range` must be two numbers, the first below the second"):
        check_range(ends)


def test_a_range_is_checked_at_every_door():
    for door in (open_images, lambda x, **how: opener({"x": x}, **how), lambda x, **how: audit(x, x, **how)):
        with pytest.raises(ValueError, match=r"`value_range` must be two numbers, .* got 1,0"):
            door(SHARES, value_range=(1, 0))
    with pytest.raises(ValueError, match=r"`value_range` must be two numbers, .* got 1,0"):
        PhaseMetric(value_range=(1, 0))
    with pytest.raises(ValueError, match="may be declared for train, samples, holdout, got `fake`"):
        PhaseMetric(value_range={"fake": (0, 1)})


def test_numbers_of_numpy_are_a_range():
    assert check_range(np.array([0, 1]).tolist()) == (0.0, 1.0)
    assert check_range((np.float32(0), np.int64(3))) == (0.0, 3.0)


def test_what_lies_outside_is_refused_or_clipped_and_counted(tmp_path):
    values = np.zeros((3, 1, 2, 2), np.float32)
    values[1, 0, 0, 0], values[2, 0, 1, 1], values[0, 0, 0, 1] = 1.5, -7, 1 + 1e-6
    path = written(tmp_path / "a.npz", samples=values)
    with pytest.raises(ValueError, match=r"image 1 .* outside \[-1, 1\]; .* `value_range`.* or `clip`"):
        open_images(path)
    for source in (path, values, torch.from_numpy(values)):
        found = open_images(source, value_range=(-1, 1), clip=True)
        assert found.clipped == 2
        assert np.array_equal(found.images.numpy(), values.clip(-1, 1))
        assert open_images(source, value_range=(-7, 7)).clipped == 0
    assert opener({"a": path}, clip=True)("a").clipped == 2
    assert open_images(X, value_range=(-1, 1), clip=True).clipped == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_never_clipped(bad):
    with pytest.raises(ValueError, match="image 0 of array holds NaN or infinity"):
        open_images(np.full((1, 2, 2), bad), value_range=(0, 1), clip=True)


@pytest.mark.parametrize(
    ("request_", "read"),
    [
        ({"sampler": {"clip": False}}, True),
        ({"sampler": {"clip": True}}, False),
        ({"sampler": {"clip": 0}}, False),
        ({"sampler": []}, False),
        ("[" * 9999, False),
        (3, False),
    ],
)
def test_samples_drawn_without_clipping_are_clipped(request_, read, tmp_path):
    text = request_ if isinstance(request_, str) else json.dumps(request_)
    path = written(tmp_path / "a.npz", samples=np.full((2, 1, 2, 2), 1.5), request=np.array(text))
    if read:
        assert open_images(path).images.unique().tolist() == [1.0]
        assert open_images(path).clipped == 2
        assert open_images(path, value_range=(0, 2)).images.unique().tolist() == [0.5]
        with pytest.raises(ValueError, match="outside"):  # what was declared is meant
            open_images(path, value_range=(-1, 1))
    else:
        with pytest.raises(ValueError, match="outside"):
            open_images(path)

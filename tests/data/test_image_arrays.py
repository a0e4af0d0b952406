"""Arrays from Python and from files: ranges, the 8-bit grid, layouts."""

import numpy as np
import pytest
import torch

from data.encoded import random_levels
from spurion.data import load_split, open_images
from spurion.studies import point
from spurion.studies.config import DataConfig

LEVELS = {"gray": random_levels(12, 9, 7), "color": random_levels(12, 9, 7, 3)}


def expected(kind):
    levels = LEVELS[kind].reshape(12, 9, 7, -1).transpose(0, 3, 1, 2)
    return levels.astype(np.float32) / np.float32(127.5) - np.float32(1)


def npz(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1), (0, 255), (-3, 7)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_on_the_8_bit_grid_become_the_8_bit_images(value_range, dtype):
    low, high = value_range
    values = (LEVELS["color"].astype(np.float64) / 255 * (high - low) + low).astype(dtype)
    images = open_images(values, value_range=value_range)
    assert np.array_equal(images.images.numpy(), expected("color"))


def test_a_decoy_scaling_of_torchvision_is_on_the_grid_too():
    values = (torch.from_numpy(LEVELS["gray"]).float() / 255 - 0.5) / 0.5
    assert np.array_equal(open_images(values, value_range=(-1, 1)).images.numpy(), expected("gray"))


def test_floats_off_the_grid_are_kept_as_they_are():
    values = torch.rand(4, 1, 6, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1
    values[0] = 127 / 127.5 - 1  # one image on the grid does not move the others
    images = open_images(values, value_range=(-1, 1))
    assert torch.equal(images.images[1:], values[1:])
    # A hundredth of a gray level off the grid is off; a ten-thousandth is rounding.
    levels = np.full((2, 4, 4), 100.0)
    levels[0, 0, 0] += 0.01
    levels[1, 0, 0] += 0.0001
    x = open_images(levels, value_range=(0, 255)).images[:, 0, 0, 0].double()
    assert x.tolist() == pytest.approx([100.01 / 127.5 - 1, 100 / 127.5 - 1], abs=6e-8)


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_integers_whose_type_tells_the_range(dtype, white):
    assert open_images(np.array([[[0, white]]], dtype=dtype)).images.ravel().tolist() == [-1, 1]


def test_a_study_takes_a_range(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.linspace(0, 1, 32).reshape(4, 2, 4))
    found = load_split(tmp_path / "a.npz", value_range=(0, 1), holdout=0.5)
    assert (len(found.train), len(found.holdout)) == (2, 2)
    with pytest.raises(ValueError, match="and there is none"):
        load_split("digits", value_range=(0, 1))
    data = DataConfig(source=str(tmp_path / "a.npz"), value_range=(0, 1), holdout=0.5)
    assert point._split(data, False).train.sha256 == found.train.sha256
    dark = load_split(tmp_path / "a.npz", value_range=(0, 0.5), clip=True)
    data = DataConfig(source=str(tmp_path / "a.npz"), value_range=(0, 0.5), clip=True)
    assert point._split(data, False).train.sha256 == dark.train.sha256 != found.train.sha256


def test_integers_with_a_declared_range():
    images = open_images(np.array([[[0, 1]], [[1, 0]]], dtype=np.int64), value_range=(0, 1))
    assert images.images.ravel().tolist() == [-1, 1, 1, -1]
    sixteenths = open_images(np.array([[[0, 4, 16]]], dtype=np.uint8), value_range=(0, 16))
    assert sixteenths.images.ravel().tolist() == [-1, -0.5, 1]


def test_rounding_at_the_ends_is_clipped_and_more_is_refused():
    images = open_images(np.array([[[1 + 1e-6, -1 - 1e-6, 0.123]]]), value_range=(-1, 1))
    assert images.images.ravel().tolist() == pytest.approx([1, -1, 0.123], abs=1e-7)
    with pytest.raises(
        ValueError, match=r"image 1 of array holds values from 0 to 1\.001, outside \[-1, 1\]"
    ):
        open_images(np.array([[[0.0, 0.0]], [[0, 1.001]]]), value_range=(-1, 1))
    with pytest.raises(ValueError, match="image 1 of tensor holds NaN or infinity"):
        open_images(torch.tensor([[[0.0]], [[float("nan")]]]), value_range=(-1, 1))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 4, 4)), r"array of float64; say .* `value_range`, such as -1,1 or 0,1"),
        (np.zeros((2, 4, 4), dtype=">i4"), r"array of int32; say .* `value_range`, such as 0,255"),
        (np.zeros((2, 4, 4), dtype=object), "real numbers, got the type object; convert it first"),
        (np.zeros((2, 4, 4), dtype=">c8"), "real numbers, got the type >c8; convert it first"),
        (np.zeros((2, 4, 4), dtype="M8[s]"), r"real numbers, got the type datetime64\[s\]"),
        (np.ma.masked_array(np.zeros((2, 4, 4)), np.eye(4)[None].repeat(2, 0)), "has masked values"),
        (np.zeros((4, 4), dtype=np.uint8), r"shape .* got \(4, 4\)"),
        (np.zeros((2, 4, 4, 4), dtype=np.uint8), r"C = 1 or 3, got \(2, 4, 4, 4\)"),
        (np.zeros((2, 3, 4, 4, 4), dtype=np.uint8), r"got \(2, 3, 4, 4, 4\)"),
        (np.zeros((0, 3, 4, 4), dtype=np.uint8), r"holds no images: it has the shape \(0, 3, 4, 4\)"),
        (np.zeros((2, 3, 0, 4), dtype=np.uint8), r"got \(2, 3, 0, 4\)"),
    ],
)
def test_arrays_that_are_no_images(values, message):
    with pytest.raises(ValueError, match=message):
        open_images(values)


def test_layout_where_the_shape_allows_both(tmp_path):
    values = random_levels(2, 3, 5, 3)
    assert open_images(values).shape == (3, 5, 3)
    assert open_images(npz(tmp_path / "adm.npz", arr_0=values)).shape == (3, 3, 5)
    assert open_images(npz(tmp_path / "authors.npz", samples=values)).shape == (3, 5, 3)
    assert open_images(npz(tmp_path / "first.npz", arr_0=random_levels(2, 3, 5, 4))).shape == (3, 5, 4)


def test_samples_of_the_authors_may_declare_another_range(tmp_path):
    path = npz(tmp_path / "a.npz", samples=np.array([[[[0.25]]]]))
    assert open_images(path).images.item() == 0.25
    assert open_images(path, value_range=(0, 1)).images.item() == -0.5


@pytest.mark.parametrize("block", [1, 63, 64 * 3, 2**20])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<f4", ">f8", "<i8"])
def test_files_are_read_the_same_in_blocks_of_any_size(block, order, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr("spurion.data.arrays._BLOCK_BYTES", block)
    values = np.asarray(random_levels(12, 9, 7, 3).astype(dtype), order=order)
    known = {"value_range": (0, 255)}
    expected = open_images(np.ascontiguousarray(values), **known).sha256
    np.save(tmp_path / "a.npy", values)
    for path in (npz(tmp_path / "a.npz", arr_0=values), tmp_path / "a.npy"):
        assert open_images(path, **known).sha256 == expected

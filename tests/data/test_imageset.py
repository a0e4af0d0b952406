import hashlib
import struct

import numpy as np
import pytest
import torch

from spurion.data import ImageSet


def make(*values, shape=(1, 1, 1)):
    return ImageSet(torch.tensor(values, dtype=torch.float32).reshape(-1, *shape), "some")


def test_what_a_set_knows():
    images = torch.linspace(-1, 1, 2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    full = ImageSet(images, "set", ("a", "b"))
    assert len(full) == 2
    assert full.shape == (3, 4, 5)
    assert full.dim == 60
    assert full.value_range == (-1.0, 1.0)
    assert torch.equal(full.flat(), images.reshape(2, 60))
    assert full.flat().data_ptr() == full.images.data_ptr()


def test_hash_is_sha256_of_shape_and_little_endian_floats():
    expected = hashlib.sha256(b"2,1,1,1;" + struct.pack("<2f", -0.5, 0.25)).hexdigest()
    assert make(-0.5, 0.25).sha256 == expected
    assert make(0.25, -0.5).sha256 != expected
    assert make(-0.5, 0.25, shape=(1, 1, 2)).sha256 != expected
    assert ImageSet(torch.tensor([-0.5, 0.25]).reshape(2, 1, 1, 1), "other", ("a", "b")).sha256 == expected


def test_a_strided_tensor_becomes_contiguous():
    images = torch.rand(2, 4, 5, 3, generator=torch.Generator().manual_seed(0)).permute(0, 3, 1, 2)
    strided = ImageSet(images.requires_grad_())
    assert strided.images.is_contiguous()
    assert not strided.images.requires_grad
    assert strided.sha256 == ImageSet(images.detach().clone(memory_format=torch.contiguous_format)).sha256


def test_every_gray_level_survives_the_round_trip():
    levels = torch.arange(256, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    images = ImageSet.from_uint8(levels)
    expected = np.arange(256, dtype=np.float32) / np.float32(127.5) - np.float32(1)
    assert np.array_equal(images.images.numpy().ravel(), expected)
    assert torch.equal(images.to_uint8(), levels)


def test_to_uint8_takes_the_nearest_level_and_leaves_the_set_alone():
    images = make(-1, 10.4 / 127.5 - 1, 10.6 / 127.5 - 1, 1)
    before = images.images.clone()
    assert images.to_uint8().ravel().tolist() == [0, 10, 11, 255]
    assert torch.equal(images.images, before)


def test_subset_takes_images_and_names_in_order():
    full = ImageSet(torch.tensor([0.0, 0.25, 0.5]).reshape(3, 1, 1, 1), "set", ("a", "b", "c"))
    part = full.subset([2, 0])
    assert part.flat().tolist() == [[0.5], [0.0]]
    assert (part.item_names, part.name) == (("c", "a"), "set")
    assert full.subset(torch.tensor([1]), "one").name == "one"
    assert make(0, 1).subset([1]).item_names is None


@pytest.mark.parametrize("index", [-1, 3])
def test_subset_refuses_an_index_outside(index):
    with pytest.raises(ValueError, match=rf"`indices` must be in 0\.\.2, got {index}\."):
        make(0, 0, 0).subset([0, index])


def test_subset_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"at least one image .* got \(0, 1, 1, 1\)"):
        make(0).subset([])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_not_finite_names_the_first_bad_image(bad):
    with pytest.raises(ValueError, match="image 2 holds NaN or infinity"):
        make(0, 5, bad, bad)


@pytest.mark.parametrize("bad", [1.001, -1.001])
def test_outside_the_range_names_the_first_bad_image(bad):
    with pytest.raises(ValueError, match=rf"image 1 reaches from {bad:g} to {bad:g}; scale"):
        make(1, bad, -1, 7)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 8, 8), r"shape \(n, C, H, W\), got \(2, 8, 8\)"),
        (torch.zeros(2, 1, 0, 8), r"at least one pixel, got \(2, 1, 0, 8\)"),
        (torch.zeros(0, 1, 8, 8), r"at least one image"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.float64), "float32 on the CPU, got torch.float64 on cpu"),
        (torch.zeros(2, 1, 8, 8, device="meta"), "got torch.float32 on meta"),
    ],
)
def test_another_shape_or_type_is_refused(images, message):
    with pytest.raises(ValueError, match=message):
        ImageSet(images)


def test_names_must_be_as_many_as_images():
    with pytest.raises(ValueError, match=r"every one of the 2 images, got 1 names"):
        ImageSet(torch.zeros(2, 1, 1, 1), "set", ("a",))

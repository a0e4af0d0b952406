"""Cropping and resizing, against the steps of ADM written out."""

import numpy as np
import pytest
import torch
from PIL import Image

from data.encoded import encode, random_levels, write_folder
from spurion.data import ImageSet, open_images


def x_of(levels):
    return torch.from_numpy(levels.astype(np.float32) / np.float32(127.5) - np.float32(1))


def adm_crop(image, size):
    # Dhariwal & Nichol's preparation of LSUN, written out on one image of any mode.
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = size / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return np.asarray(image)[top : top + size, left : left + size]


@pytest.mark.parametrize("shape", [(40, 31, 3), (16, 16, 3), (17, 64, 3), (5, 6, 3), (8, 8, 3), (8, 12, 3)])
def test_resize_is_the_center_crop_of_adm(shape, tmp_path):
    levels = random_levels(1, *shape)[0]
    image = one_resized(tmp_path, encode(levels), 8)
    assert torch.equal(image, x_of(adm_crop(Image.fromarray(levels), 8).transpose(2, 0, 1)))


def one_resized(tmp_path, data, size):
    return open_images(write_folder(tmp_path, {"a.png": data}), resize=size).images[0]


def test_resize_takes_the_middle():
    wide = np.zeros((1, 4, 12), np.uint8)
    wide[:, :, 4:8] = 200
    assert open_images(wide, resize=4).to_uint8().unique().tolist() == [200]
    tall = wide.transpose(0, 2, 1)
    assert open_images(tall, resize=4).to_uint8().unique().tolist() == [200]


def test_resize_of_floats_averages_without_rounding_and_stays_in_range():
    values = np.array([[[0.1, 0.3], [0.2, 0.15]]], dtype=np.float32)
    image = open_images(values, value_range=(-1, 1), resize=1)
    assert image.images.item() == pytest.approx(0.1875, abs=1e-7)
    steps = np.kron(np.sign(np.random.default_rng(0).normal(size=(1, 4, 4))), np.ones((3, 3))) * 0.999
    assert open_images(steps, value_range=(-0.999, 0.999), resize=7).images.abs().max() <= 1


def test_resize_of_an_image_set_keeps_names_and_leaves_the_right_size_alone():
    images = ImageSet(torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0)), "s", ("a", "b"))
    assert open_images(images) is images
    small = open_images(images, resize=3)
    assert (small.name, small.item_names, small.shape) == ("s", ("a", "b"), (3, 3, 3))
    assert torch.equal(open_images(images, resize=6).images, images.images)


@pytest.mark.parametrize("resize", [0, -1, 8193])
def test_bad_resize(resize):
    with pytest.raises(ValueError, match=f"`resize` must be from 1 to 8192, got {resize}"):
        open_images("digits", resize=resize)

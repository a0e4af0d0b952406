"""Orientation tags: files are read as stored, data sets of Hugging Face upright, and both is said."""

import io

import datasets
import numpy as np
import pytest
from PIL import Image, ImageOps

from data.encoded import random_levels, write_folder, write_zip
from spurion.data import open_images
from spurion.data.decode import decode_image
from spurion.data.reading import Files, Reading

COLOR = random_levels(1, 8, 8, 3)[0]
TAG = 274


def tagged(tag, form="PNG", pixels=COLOR):
    """An image file with an orientation tag."""
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    exif = image.getexif()
    exif[TAG] = tag
    image.save(buffer, form, **({"tiffinfo": {TAG: tag}} if form == "TIFF" else {"exif": exif}))
    return buffer.getvalue()


def upright(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image))


def pixels_of(images, index=0):
    return images.to_uint8()[index].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("tag", range(10))
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_files_are_read_as_stored_and_that_is_said(form, tag, tmp_path):
    data = tagged(tag, form)
    with Image.open(io.BytesIO(data)) as image:
        stored = np.asarray(image)
    files = {"a.png": tagged(1), "b.png": data}
    for source in (write_folder(tmp_path / "set", files), write_zip(tmp_path / "set.zip", files)):
        images = open_images(source)
        assert np.array_equal(pixels_of(images, 1), stored)
        known = Files(count=1, names=("b.png",)) if 2 <= tag <= 8 else Files()
        assert images.reading == Reading(rotated=known)
    if known.count:
        assert images.reading.turned() == (
            "1 image has an orientation tag (EXIF) and is read as it is stored: b.png; if the training "
            "code applied it, rotate the files and remove the tags, else just remove the tags.",
        )


@pytest.mark.parametrize("tag", range(1, 9))
def test_upright_is_what_the_library_of_images_makes_of_it(tag):
    tall = random_levels(1, 9, 5, 3)[0]
    pixels, rotation = decode_image(tagged(tag, pixels=tall), "file", upright=True)
    assert np.array_equal(pixels, upright(tagged(tag, pixels=tall)))
    assert rotation == ("none" if tag == 1 else "applied")


@pytest.mark.parametrize("tag", range(2, 9))
def test_tiff_is_rotated_by_its_decoder_and_that_is_said(tag, tmp_path):
    with Image.open(io.BytesIO(tagged(tag, "TIFF"))) as image:
        wanted = np.asarray(image.convert("RGB"))
    assert np.array_equal(wanted, upright(tagged(tag)))
    images = open_images(write_folder(tmp_path, {"a.tif": tagged(tag, "TIFF")}))
    assert np.array_equal(pixels_of(images), wanted)
    assert images.reading == Reading(upright=Files(count=1, names=("a.tif",)))
    assert images.reading.turned() == ("1 image was rotated as its orientation tag (EXIF) asks: a.tif.",)


def test_saved_data_sets_are_read_as_their_library_gives_them(tmp_path):
    cells = [{"bytes": tagged(tag), "path": None} for tag in (1, 6, 8, 3)]
    features = datasets.Features({"image": datasets.Image()})
    rows = datasets.Dataset.from_dict({"image": cells}, features=features)
    rows.save_to_disk(str(tmp_path / "set"))
    images = open_images(tmp_path / "set")
    for index, row in enumerate(rows):
        assert np.array_equal(pixels_of(images, index), np.asarray(row["image"]))
    assert images.reading == Reading(upright=Files(count=3, names=("image 1", "image 2", "image 3")))


def test_a_damaged_tag_harms_no_image(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(COLOR).save(buffer, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    images = open_images(write_folder(tmp_path, {"a.png": buffer.getvalue()}))
    assert np.array_equal(pixels_of(images), COLOR)
    assert images.reading == Reading()

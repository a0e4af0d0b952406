"""The same images through every container, every pixel format, and the order."""

import io
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.deep_color import deep_png, deep_tiff
from data.encoded import encode, random_levels, write_folder, write_zip
from spurion.data import ImageSet, open_images
from spurion.data.listing import natural_key

LEVELS = {"gray": random_levels(12, 9, 7), "color": random_levels(12, 9, 7, 3)}
NAMES = [f"part {1 + i // 6}/image{i}.png" for i in range(12)]


def expected(kind):
    levels = LEVELS[kind].reshape(12, 9, 7, -1).transpose(0, 3, 1, 2)
    return levels.astype(np.float32) / np.float32(127.5) - np.float32(1)


def encoded(levels, form="PNG", **options):
    suffix = {"PNG": "png", "BMP": "bmp", "TIFF": "tif", "WEBP": "WebP"}[form]
    names = [name.replace("png", suffix) for name in NAMES]
    return {name: encode(image, form, **options) for name, image in zip(names, levels, strict=True)}


def npz(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def npy(path, array):
    np.save(path, array)
    return path


def saved(path, levels):
    import datasets

    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    rows = {"image": [{"bytes": encode(image), "path": None} for image in levels], "label": [0] * len(levels)}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(path))
    return path


def last(levels):
    return levels.reshape(12, 9, 7, -1)


CONTAINERS = {
    "folder of PNG": lambda p, v, x: write_folder(p / "a", encoded(v)),
    "folder of BMP": lambda p, v, x: write_folder(p / "a", encoded(v, "BMP")),
    "folder of TIFF": lambda p, v, x: write_folder(p / "a", encoded(v, "TIFF", compression="tiff_lzw")),
    "zip": lambda p, v, x: write_zip(p / "a.zip", reversed(encoded(v).items())),
    "stored zip": lambda p, v, x: write_zip(p / "a.ZIP", encoded(v), zipfile.ZIP_STORED),
    "npz of ADM": lambda p, v, x: npz(p / "a.npz", arr_0=last(v), arr_1=np.arange(12)),
    "npz of the authors": lambda p, v, x: npz(p / "a.npz", samples=x, args=np.arange(3)),
    "npz of another name": lambda p, v, x: npz(p / "a.npz", images=last(v)),
    "npy": lambda p, v, x: npy(p / "a.npy", v),
    "fortran npy": lambda p, v, x: npy(p / "a.npy", np.asfortranarray(last(v))),
    "saved data set": lambda p, v, x: saved(p / "a", v),
    "uint8 tensor": lambda p, v, x: torch.from_numpy(last(v)).permute(0, 3, 1, 2),
    "uint16 array": lambda p, v, x: last(v).astype(np.uint16) * 257,
    "image set": lambda p, v, x: ImageSet(torch.from_numpy(x)),
}


@pytest.mark.parametrize("kind", LEVELS)
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("resize", [None, 5])
def test_any_container_gives_the_same_bytes(container, kind, resize, tmp_path):
    source = CONTAINERS[container](tmp_path, LEVELS[kind], expected(kind))
    images = open_images(source, resize=resize)
    plain = ImageSet(torch.from_numpy(expected(kind)))
    if resize is None:
        assert np.array_equal(images.images.numpy(), expected(kind))
    else:
        plain = open_images(LEVELS[kind], resize=resize)
        assert images.shape[1:] == (5, 5)
    assert images.sha256 == plain.sha256


def test_value_range_is_for_arrays_only(tmp_path):
    with pytest.raises(ValueError, match="`value_range` is for arrays only"):
        open_images(write_folder(tmp_path, encoded(LEVELS["gray"])), value_range=(0, 1))


def test_names_and_order_are_natural_and_the_same_in_folder_and_zip(tmp_path):
    order = [
        "2.png",
        "010.png",
        "10.png",
        "a/b/1.png",
        "a10.png",
        "b.png",
        "B2/x.png",
        "c1d2.png",
        "c1d10.png",
    ]
    files = {name: encode(np.full((2, 2), i, np.uint8)) for i, name in enumerate(order)}
    folder = open_images(write_folder(tmp_path / "set", files))
    archive = open_images(write_zip(tmp_path / "set.zip", sorted(files.items(), reverse=True)))
    wanted = [
        "2.png",
        "010.png",
        "10.png",
        "B2/x.png",
        "a/b/1.png",
        "a10.png",
        "b.png",
        "c1d2.png",
        "c1d10.png",
    ]
    assert list(folder.item_names) == list(archive.item_names) == wanted
    assert folder.to_uint8()[:, 0, 0, 0].tolist() == [order.index(name) for name in wanted]
    assert folder.sha256 == archive.sha256
    assert (folder.name, archive.name) == ("set", "set")
    assert natural_key("1" * 5000) > natural_key("9")


def test_hidden_files_and_other_files_are_skipped(tmp_path):
    good = encode(LEVELS["gray"][0])
    junk = ["._a.png", ".git/a.png", "__MACOSX/a.png", "readme.txt", "labels", "x.png.json"]
    files = {"a.PNG": good, **dict.fromkeys(junk, b"junk")}
    assert open_images(write_folder(tmp_path / "a", files)).item_names == ("a.PNG",)
    assert open_images(write_zip(tmp_path / "a.zip", files)).item_names == ("a.PNG",)


def test_dots_and_backslashes_in_archive_names(tmp_path):
    files = {"./b\\1.png": encode(LEVELS["gray"][0]), "a//2.png": encode(LEVELS["gray"][1])}
    assert open_images(write_zip(tmp_path / "a.zip", files)).item_names == ("a/2.png", "b/1.png")


def one(tmp_path, data, name="image.png"):
    return open_images(write_folder(tmp_path / "one", {name: data})).images[0]


def x_of(levels):
    return torch.from_numpy(levels.astype(np.float32) / np.float32(127.5) - np.float32(1))


def test_pixel_formats(tmp_path):
    gray, color = LEVELS["gray"][0], LEVELS["color"][0]
    planes = x_of(color.transpose(2, 0, 1))
    transparent = np.dstack([color, np.zeros_like(gray)])
    assert torch.equal(one(tmp_path, encode(gray)), x_of(gray)[None])
    assert torch.equal(one(tmp_path, encode(transparent)), planes)  # alpha is dropped, not blended
    gray_alpha = Image.merge("LA", [Image.fromarray(gray), Image.fromarray(gray.T.reshape(9, 7))])
    buffer = io.BytesIO()
    gray_alpha.save(buffer, "PNG")
    assert torch.equal(one(tmp_path, buffer.getvalue()), x_of(gray)[None])
    black_white = np.asarray(Image.fromarray(gray).convert("1")).astype(np.uint8) * 255
    assert torch.equal(one(tmp_path, encode(gray, mode="1")), x_of(black_white)[None])
    palette = Image.fromarray(color).convert("P", palette=Image.Palette.ADAPTIVE)
    buffer = io.BytesIO()
    palette.save(buffer, "PNG", transparency=0)
    seen = np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    assert torch.equal(one(tmp_path, buffer.getvalue()), x_of(seen))


def test_big_endian_and_cmyk(tmp_path):
    deep = np.array([[0, 1, 256], [32768, 65534, 65535]], dtype=">u2")
    buffer = io.BytesIO()
    Image.frombytes("I;16B", (3, 2), deep.tobytes()).save(buffer, "TIFF")
    x = torch.from_numpy((deep / 32767.5 - 1).astype(np.float32))
    assert torch.equal(one(tmp_path, buffer.getvalue())[0], x)
    assert one(tmp_path, encode(LEVELS["color"][0], "JPEG", mode="CMYK")).shape == (3, 9, 7)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_gray_keeps_every_level(form, tmp_path):
    deep = np.array([[0, 1, 256], [32768, 65534, 65535]], dtype=np.uint16)
    images = one(tmp_path, encode(deep, form))
    assert torch.equal(images[0], torch.from_numpy((deep / 32767.5 - 1).astype(np.float32)))
    assert torch.equal(
        one(tmp_path, encode(LEVELS["gray"][0].astype(np.uint16) * 257, form)), x_of(LEVELS["gray"][:1])
    )


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_color_keeps_every_level(channels, tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (2, 9, 7, channels), dtype=np.uint16)
    deep[0, 0, 0, :3] = 0, 1, 65535
    wanted = open_images(deep[..., :3])
    assert torch.equal(
        wanted.images, torch.from_numpy((deep[..., :3] / 32767.5 - 1).astype(np.float32)).permute(0, 3, 1, 2)
    )
    tiffs = [partial(deep_tiff, order=order, packed=packed) for order in "<>" for packed in (False, True)]
    for number, form in enumerate([deep_png, *tiffs]):
        files = {f"{i}.png": form(pixels) for i, pixels in enumerate(deep)}
        assert open_images(write_folder(tmp_path / str(number), files)).sha256 == wanted.sha256
    shallow = deep // 256 * 257
    assert torch.equal(
        one(tmp_path, deep_png(shallow[0])), x_of((shallow[0, ..., :3] // 257).transpose(2, 0, 1))
    )


def test_16_bits_in_other_layouts_are_refused(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (9, 7, 4), dtype=np.uint16)
    for data in (
        deep_png(deep[..., :2]),
        deep_tiff(deep[..., :3], "<", planes=True),
        deep_tiff(deep, ">", planes=True),
    ):
        with pytest.raises(ValueError, match="has 16 bits a channel in an unusual layout; convert"):
            one(tmp_path, data)


def test_a_palette_of_grays_is_gray(tmp_path):
    gray = LEVELS["gray"][0].clip(10)
    colors = np.repeat(np.arange(256), 3)
    colors[3 * 9] = 200  # a red that no pixel has
    palette = Image.fromarray(gray).convert("P")
    palette.putpalette(colors.tolist())
    files = {"1.png": saved_as_png(palette), "2.png": encode(gray)}
    images = open_images(write_folder(tmp_path / "a", files))
    assert torch.equal(images.images[0], images.images[1])
    for unequal in ([7, 7, 8], [7, 8, 7]):
        tinted = Image.new("P", (7, 9))
        tinted.putpalette(unequal)
        files["1.png"] = saved_as_png(tinted)
        with pytest.raises(ValueError, match="Gray and color images are mixed"):
            open_images(write_folder(tmp_path / "a", files))


def saved_as_png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_lossy_formats_are_close_and_the_suffix_does_not_matter(tmp_path):
    smooth = np.add.outer(np.arange(32) * 4, np.arange(32) * 4).astype(np.uint8)
    jpeg = encode(smooth, "JPEG", quality=95)
    webp = encode(np.dstack([smooth] * 3), "WEBP", quality=95)
    truth = x_of(smooth)
    for data in (jpeg, webp):
        image = one(tmp_path, data, "image.png")
        assert (image - truth).abs().max() < 8 / 127.5  # quality 95 stays within a few gray levels
    assert torch.equal(one(tmp_path, jpeg), one(tmp_path, jpeg, "image.jpeg"))


def test_sizes_that_differ_are_refused_or_resized(tmp_path):
    root = write_folder(
        tmp_path, {"1.png": encode(random_levels(1, 9, 7)[0]), "2.png": encode(random_levels(1, 6, 8)[0])}
    )
    with pytest.raises(
        ValueError, match=r"1\.png is 7 x 9 and .*2\.png is 8 x 6; give one size with `--resize N`"
    ):
        open_images(root)
    assert open_images(root, resize=4).shape == (1, 4, 4)


def test_gray_and_color_mixed_are_refused(tmp_path):
    files = {"1.png": encode(LEVELS["gray"][0]), "2.png": encode(LEVELS["color"][0])}
    with pytest.raises(ValueError, match=r"mixed: .*1\.png is gray and .*2\.png is color; convert"):
        open_images(write_folder(tmp_path, files), resize=4)


def test_palette_and_color_are_one_kind(tmp_path):
    color = LEVELS["color"][0]
    files = {"1.png": encode(color, mode="P"), "2.png": encode(np.dstack([color, color[..., 0]]))}
    assert open_images(write_folder(tmp_path, files)).shape == (3, 9, 7)


@pytest.mark.parametrize(
    "source", ["nothing", "no/such/folder", Path("digits"), "x" * 5000, "a\0b", "http://a/b"]
)
def test_an_unknown_source_is_told_what_there_is(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match=r"is no source of images: give a folder .* digits, mnist-5k, emoji, mnist, "
    ):
        open_images(source)


def test_other_files_are_no_source(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("digits")
    for source in (path, f"{tmp_path}:train"):
        with pytest.raises(ValueError, match="is no source of images"):
            open_images(source)


def test_a_path_called_like_a_built_in_set_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(write_folder(tmp_path, {"digits/a.png": encode(LEVELS["gray"][0])}))
    assert len(open_images("digits")) == 1438
    assert len(open_images("./digits")) == len(open_images(Path("digits"))) == 1


def test_a_set_without_a_file_that_is_larger_than_the_machine_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("spurion.data.storage.physical_memory", lambda: 4 * 9 * 7 * 12)
    root = write_folder(tmp_path, encoded(LEVELS["gray"]))
    assert len(open_images(root)) == 12
    monkeypatch.setattr("spurion.data.storage.physical_memory", lambda: 4 * 9 * 7 * 12 - 1)
    with pytest.raises(ValueError, match=r"\(12 images\) needs 0\.0 GiB of memory, and this"):
        open_images(root)

"""Files made to fool or to harm: each is refused in one sentence, and nothing is written anywhere."""

import io
import os
import stat
import struct
import warnings
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.corrupt import damage, sound_files
from data.encoded import encode, random_levels, write_folder, write_zip
from spurion.data import open_images
from spurion.data.decode import decode_image

GOOD = encode(random_levels(1, 6, 5)[0])
SOUND = sound_files()


def snapshot(root):
    return {path: path.is_file() and path.read_bytes() for path in Path(root).rglob("*")}


@pytest.mark.parametrize("seed", range(330))
def test_damaged_files_are_read_or_refused_in_one_sentence(seed, tmp_path, recwarn):
    name = list(SOUND)[seed % len(SOUND)]
    (tmp_path / name).write_bytes(damage(SOUND[name], np.random.default_rng(seed)))
    before = snapshot(tmp_path)
    archive = name.endswith((".zip", ".npz", ".npy"))
    try:
        said = repr(open_images(tmp_path / name if archive else tmp_path))
    except ValueError as error:
        said = str(error)
    assert said.isprintable()
    assert said.startswith("ImageSet(") or (name in said and said.endswith("."))
    assert snapshot(tmp_path) == before
    told = [(one.category, str(one.message)) for one in recwarn.list]  # what others left open is not ours
    assert [text for kind, text in told if kind is not ResourceWarning or str(tmp_path) in text] == []


@pytest.mark.parametrize("name", [name for name in SOUND if name.endswith(".tif")])
def test_decoders_write_nothing_to_standard_error(name, capfd):
    for seed in range(30):
        with suppress(ValueError):
            decode_image(damage(SOUND[name], np.random.default_rng(seed)), name)
    os.write(2, b"heard")  # standard error is there again
    assert capfd.readouterr().err == "heard"


def test_without_standard_error_images_are_read(monkeypatch):
    def closed(_):
        raise OSError("bad file descriptor")

    monkeypatch.setattr(os, "dup", closed)
    assert decode_image(SOUND["plain.tif"], "plain.tif").pixels.ndim == 3


@pytest.mark.parametrize("name", SOUND)
def test_the_files_are_sound_before_they_are_damaged(name, tmp_path):
    (tmp_path / name).write_bytes(SOUND[name])
    if name == "animated.webp":
        with pytest.raises(ValueError, match=r"animated\.webp holds more than one frame; store every frame"):
            open_images(tmp_path)
        return
    assert open_images(tmp_path / name if name.endswith((".zip", ".npz", ".npy")) else tmp_path)


def png(width, height):
    """A PNG that claims a size and holds one row."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(9)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [8193, 10_000, 12_000, 20_000])
def test_images_of_very_many_pixels_are_refused_undecoded(side, tmp_path):
    limit = Image.MAX_IMAGE_PIXELS
    (tmp_path / "a.png").write_bytes(png(side, side))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            ValueError, match=r"a\.png (is too large: |cannot be read as an image \(Image size)"
        ):
            open_images(tmp_path)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_the_largest_image_that_is_read(tmp_path):
    (tmp_path / "a.png").write_bytes(png(8192, 8192))
    with pytest.raises(ValueError, match=r"a\.png cannot be read as an image \(image file is truncated"):
        open_images(tmp_path)


def test_an_elongated_image_does_not_grow_without_bound(tmp_path):
    levels = np.zeros((1, 20_000), np.uint8)
    levels[0, 0] = 1
    (tmp_path / "a.png").write_bytes(encode(levels))
    with pytest.raises(ValueError, match=r"a\.png is 20000 x 1, too large once resized to 64"):
        open_images(tmp_path, resize=64)
    assert open_images(tmp_path, resize=2).shape == (1, 2, 2)


def test_unusual_pixel_formats_are_refused(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.float32)).save(buffer, "TIFF")
    (tmp_path / "a.tif").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match=r"a\.tif has the pixel format F; convert it to gray or RGB"):
        open_images(tmp_path)


def test_no_images(tmp_path):
    for source in (
        write_folder(tmp_path / "a", {"a.txt": b""}),
        write_zip(tmp_path / "a.zip", {"a.txt": b""}),
    ):
        with pytest.raises(ValueError, match=r"holds no images \(PNG, JPEG, WebP, AVIF, JPEG 2000"):
            open_images(source)


def test_an_empty_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"b\.png cannot be read as an image \(unknown format\)"):
        open_images(write_folder(tmp_path, {"a.png": GOOD, "b.png": b""}))


def test_files_of_very_many_bytes_are_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr("spurion.data.files.MOST_BYTES", len(GOOD))
    assert len(open_images(write_folder(tmp_path / "a", {"a.png": GOOD}))) == 1
    assert len(open_images(write_zip(tmp_path / "a.zip", {"a.png": GOOD}))) == 1
    for source in (
        write_folder(tmp_path / "b", {"a.png": GOOD + b"x"}),
        write_zip(tmp_path / "b.zip", {"a.png": GOOD + b"x"}),
    ):
        with pytest.raises(ValueError, match=rf"a\.png.* is too large: {len(GOOD) + 1} bytes"):
            open_images(source)


def test_a_zip_bomb_is_refused_by_what_it_declares(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.bmp", "w") as file:
        for _ in range(257):
            file.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    with pytest.raises(ValueError, match=r"a\.bmp in .*bomb\.zip is too large: 269484032 bytes"):
        open_images(path)


def test_a_zip_entry_that_declares_less_than_it_holds(tmp_path):
    path = write_zip(tmp_path / "liar.zip", {"a.png": GOOD + bytes(100_000)})
    held, declared = struct.pack("<I", len(GOOD) + 100_000), struct.pack("<I", len(GOOD))
    path.write_bytes(path.read_bytes().replace(held, declared))
    with pytest.raises(ValueError, match=r"a\.png in .*liar\.zip cannot be unpacked \(Bad CRC-32"):
        open_images(path)


@pytest.mark.parametrize(
    "name", ["../a.png", "/a.png", "b/../../a.png", "..\\a.png", "C:/a.png", "\\a.png", "../a.txt"]
)
def test_archive_paths_that_reach_outside(name, tmp_path):
    root = tmp_path / "inner"
    root.mkdir()
    path = write_zip(root / "a.zip", {name: GOOD, "b.png": GOOD})
    with pytest.raises(ValueError, match="has a path that reaches outside the archive"):
        open_images(path)
    assert os.listdir(tmp_path) == ["inner"]
    assert os.listdir(root) == ["a.zip"]


def test_archive_entries_that_are_links_encrypted_or_oddly_packed(tmp_path):
    link = zipfile.ZipInfo("a.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match=r"a\.png in .* is a link, and links in archives are not followed"):
        open_images(path)
    write_zip(path, {"a.png": GOOD}, zipfile.ZIP_LZMA)
    with pytest.raises(ValueError, match=r"a\.png in .* is compressed in another way than by deflate"):
        open_images(path)
    data = bytearray(write_zip(path, {"a.png": GOOD}).read_bytes())
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.png in .* is encrypted"):
        open_images(path)


def test_archive_entries_with_one_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("b/a.png", GOOD)
        archive.writestr("b\\a.png", GOOD)
    with pytest.raises(ValueError, match=r"a\.png in .* is there twice"):
        open_images(tmp_path / "a.zip")


def test_names_that_would_write_to_the_terminal_are_shown_harmlessly(tmp_path):
    evil = "a\x1b[31m\n.png"
    for source in (write_folder(tmp_path / "a", {evil: GOOD}), write_zip(tmp_path / "a.zip", {evil: GOOD})):
        assert open_images(source).item_names == ("a\ufffd[31m\ufffd.png",)
    write_folder(tmp_path / "a", {evil: b""})
    with pytest.raises(ValueError, match="a\ufffd\\[31m\ufffd\\.png cannot be read as an image"):
        open_images(tmp_path / "a")
    with open(os.fsencode(tmp_path) + b"/a/\xff.png", "wb") as file:
        file.write(GOOD)
    (tmp_path / "a" / evil).unlink()
    assert open_images(tmp_path / "a").item_names == ("\ufffd.png",)


def test_links_in_folders(tmp_path):
    outside = write_folder(tmp_path / "outside", {"secret.png": GOOD})
    root = write_folder(tmp_path / "root", {"b/a.png": GOOD})
    (root / "inside.png").symlink_to("b/a.png")
    assert open_images(root).item_names == ("b/a.png", "inside.png")
    (tmp_path / "alias").symlink_to(root)
    assert open_images(tmp_path / "alias").item_names == ("b/a.png", "inside.png")
    (root / "b/out.png").symlink_to(outside / "secret.png")
    with pytest.raises(ValueError, match=r"out\.png is a link that leads out of .*root"):
        open_images(root)
    (root / "b/out.png").unlink()
    for target in ("loop.png", "missing"):
        (root / "loop.png").symlink_to(target)
        with pytest.raises(ValueError, match=r"loop\.png is a broken link"):
            open_images(root)
        (root / "loop.png").unlink()
    (root / "up").symlink_to("..")
    with pytest.raises(ValueError, match="up is a link to a folder, and those are not followed"):
        open_images(root)


def test_a_pipe_called_like_an_image_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png is not a regular file"):
        open_images(tmp_path)


def test_unreadable_files_and_folders_are_named(tmp_path, monkeypatch):
    write_folder(tmp_path, {"a/b.png": GOOD})

    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(tmp_path / "a"))

    with (
        monkeypatch.context() as patch,
        pytest.raises(ValueError, match=r"b\.png cannot be read \(Permission"),
    ):
        patch.setattr(Path, "read_bytes", refuse)
        open_images(tmp_path)
    with (
        monkeypatch.context() as patch,
        pytest.raises(ValueError, match=r"/a cannot be read \(Permission denied"),
    ):
        patch.setattr(os, "scandir", refuse)
        open_images(tmp_path)

"""Which files are images, by content where the suffix does not tell; what is not read is never dropped."""

import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from data.encoded import encode, random_levels, write_folder, write_zip
from spurion.data import ImageSet, hold_out, open_images
from spurion.data.formats import HEAD, form_of, is_unread
from spurion.data.listing import MOST_DEPTH
from spurion.data.reading import Files, Reading

LEVELS = random_levels(1, 9, 7)[0]
COLOR = random_levels(1, 9, 7, 3)[0]
GOOD = encode(LEVELS)

SUFFIXES = {
    "PNG": "png apng",
    "JPEG": "jpg jpeg jpe jfif jif jfi pjpeg pjp",
    "WEBP": "webp",
    "AVIF": "avif",
    "JPEG2000": "jp2 jpf jpx j2k j2c jpc",
    "GIF": "gif",
    "BMP": "bmp",
    "DIB": "dib",
    "TIFF": "tif tiff",
    "PPM": "pbm pgm ppm pnm",
    "TGA": "tga icb vda vst",
    "QOI": "qoi",
    "PCX": "pcx",
    "SGI": "sgi bw",
}
CASES = [(form, suffix) for form, suffixes in SUFFIXES.items() for suffix in suffixes.split()]
OPTIONS = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100}}


def both(tmp_path, files):
    """The same files in a folder and in an archive."""
    return write_folder(tmp_path / "set", files), write_zip(tmp_path / "set.zip", files)


def encoded(form):
    return encode(COLOR, form, **OPTIONS.get(form, {}))


def as_pil(data, form):
    with Image.open(io.BytesIO(data), formats=(form,)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(("form", "suffix"), CASES)
def test_every_suffix_of_a_safe_format_is_read(form, suffix, tmp_path):
    data = encoded(form)
    for name in (f"a.{suffix}", f"a.{suffix.upper()}"):
        for source in both(tmp_path / name, {name: data}):
            images = open_images(source)
            assert np.array_equal(images.to_uint8()[0].permute(1, 2, 0).numpy(), as_pil(data, form))
            assert images.reading == Reading()


@pytest.mark.parametrize("form", [form for form in SUFFIXES if form != "TGA"])
@pytest.mark.parametrize("name", ["image", "image.unknown", "image.txt", "image.heic", "image.png", "1.5"])
def test_the_content_tells_what_the_suffix_does_not(form, name, tmp_path):
    data = encoded(form)
    for source in both(tmp_path, {name: data}):
        images = open_images(source)
        assert images.item_names == (name,)
        assert np.array_equal(images.to_uint8()[0].permute(1, 2, 0).numpy(), as_pil(data, form))


def archive(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, GOOD)
    return buffer.getvalue()


def stored(array):
    buffer = io.BytesIO()
    np.savez(buffer, arr_0=array)
    return buffer.getvalue()


UNREAD = {
    "more.zip": archive("a.png"),
    "half": archive("a.png"),
    "arrays.npz": stored(LEVELS),
    "b.heic": b"\0\0\0\x18ftypheic" + bytes(20),
    "photo": b"\0\0\0\x18ftypmif1\0\0\0\0heic" + bytes(20),
    "clip": b"\0\0\0\x18ftypisom" + bytes(20),
    "c.jxl": b"\xff\x0a" + bytes(20),
    "d.exr": b"v/1\x01",
    "e.nef": encode(COLOR, "TIFF"),
    "f.mp4": b"",
    "g.PSD": b"8BPS",
    "h.ico": b"",
    "tarred": bytes(257) + b"ustar" + bytes(250),
    "i.tar.gz": b"\x1f\x8b",
    "j.h5": b"",
    "scan": bytes(128) + b"DICM",
}
OTHER = {
    "captions.txt": b"a cat",
    "labels.json": b"{}",
    "meta.csv": b"a,b",
    "README": b"BM is short",
    "P5.md": b"P5",
}
LEFT_OUT = {
    "@eaDir/a.png/SYNOPHOTO_THUMB_S.jpg": GOOD,
    "b/@eaDir/c.jpg": GOOD,
    "__MACOSX/._a.png": b"junk",
    ".AppleDouble/a.png": GOOD,
    "$RECYCLE.BIN/a.png": GOOD,
    "System Volume Information/a.png": GOOD,
    "Thumbs.db": b"junk",
    ".DS_Store": b"junk",
    "._a.png": b"junk",
    ".hidden.png": GOOD,
    "b/desktop.ini": b"",
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_may_hold_images_and_is_not_read_is_named(name, tmp_path):
    for source in both(tmp_path, {"a.png": GOOD, name: UNREAD[name]}):
        images = open_images(source)
        assert images.item_names == ("a.png",)
        assert images.reading == Reading(unread=Files(count=1, names=(name,)))
        (sentence,) = images.reading.sentences()
        assert sentence == (
            f"1 file that may hold images was not read: {name}; convert or unpack what belongs to the set, "
            "and move the rest away."
        )


def test_other_files_and_those_of_systems_are_counted_and_named(tmp_path):
    for source in both(tmp_path, {"a.png": GOOD} | OTHER | LEFT_OUT):
        images = open_images(source)
        assert images.item_names == ("a.png",)
        reading = images.reading
        assert (reading.unread.count, reading.rotated.count, reading.upright.count) == (0, 0, 0)
        assert set(reading.other.names) == set(OTHER)
        assert set(reading.left_out.names) == {
            "@eaDir/", "b/@eaDir/", "__MACOSX/", ".AppleDouble/", "$RECYCLE.BIN/",
            "System Volume Information/", "Thumbs.db", ".DS_Store", "._a.png", ".hidden.png", "b/desktop.ini",
        }  # fmt: skip
        told = reading.sentences()
        assert told[0].startswith("5 files are no images: ")
        assert told[1].startswith("11 hidden or system entries are left out: ")
        assert told[1].endswith(" and 1 more.")


def test_a_folder_and_its_archive_are_read_alike(tmp_path):
    files = {"a.png": GOOD, "z/b": GOOD} | UNREAD | OTHER | LEFT_OUT
    folder, packed = map(open_images, both(tmp_path, files))
    assert (folder.item_names, folder.sha256) == (packed.item_names, packed.sha256)
    assert folder.reading == packed.reading


def test_without_any_image_the_files_are_named(tmp_path):
    for source in both(tmp_path, {"a.heic": b"", "b.txt": b""}):
        with pytest.raises(
            ValueError, match=r"holds no images \(PNG, .*, SGI\)\. 1 file that may hold .* not read: a\.heic;"
        ):
            open_images(source)


def test_a_damaged_image_is_an_error_and_not_another_file(tmp_path):
    for name, data in {"b.jfif": b"junk", "b": GOOD[:40], "b.png": UNREAD["b.heic"]}.items():
        for source in both(tmp_path / name, {"a.png": GOOD, name: data}):
            with pytest.raises(ValueError, match=rf"{name}.* cannot be read as an image \("):
                open_images(source)
    with pytest.raises(ValueError, match=r"b\.png cannot be read as an image \(a format that is not read\)"):
        open_images(tmp_path / "b.png/set")


def test_many_files_are_counted_and_few_are_kept(tmp_path):
    names = [f"{i}.txt" for i in range(1000)]
    images = open_images(write_folder(tmp_path, {"a.png": GOOD} | dict.fromkeys(names, b"")))
    assert images.reading.other == Files(count=1000, names=tuple(names[:100]))
    (told,) = images.reading.notes()
    assert told == f"1,000 files are no images: {', '.join(names[:10])} and 990 more."
    nameless = images.reading.nameless()
    assert nameless.other == Files(count=1000)
    assert nameless.notes() == ("1,000 files are no images.",)


def test_names_are_shown_harmlessly(tmp_path):
    images = open_images(write_folder(tmp_path, {"a.png": GOOD, "\x1b[31m.heic": b"", "\n.txt": b""}))
    assert images.reading.unread.names == ("\ufffd[31m.heic",)
    assert images.reading.other.names == ("\ufffd.txt",)


def test_what_was_not_read_stays_with_the_set(tmp_path):
    files = {f"{i}.png": GOOD for i in range(4)} | {"b.heic": b""}
    images = open_images(write_folder(tmp_path, files), resize=5)
    assert images.reading.unread.count == 1
    for kept in (images.subset([1, 0]), open_images(images, resize=3), *vars(hold_out(images, 0.5)).values()):
        assert kept.reading == images.reading
    assert ImageSet(torch.zeros(1, 1, 2, 2)).reading == Reading()


@pytest.mark.parametrize("extra", [0, 1])
def test_nested_folders_up_to_a_depth(extra, tmp_path):
    for source in both(tmp_path, {"d/" * (MOST_DEPTH + extra) + "a.png": GOOD}):
        if extra:
            with pytest.raises(
                ValueError, match=rf"{source.name} is nested more than 100 folders deep; give"
            ):
                open_images(source)
        else:
            assert len(open_images(source)) == 1


def test_the_first_bytes_tell_every_format():
    for form in SUFFIXES:
        head = encoded(form)[:HEAD]
        assert form_of(head) == (None if form == "TGA" else form)
        assert is_unread(head, "") == (form != "TGA")
    assert form_of(encoded("TGA")[:HEAD], ".vda") == "TGA"
    assert form_of(b"\0\0\0\x20ftypmif1\0\0\0\0mif1miafavif") == "AVIF"
    assert form_of(b"\0\0\0\x20ftypheic\0\0\0\0mif1heic") is None
    for form in ("GIF", "PPM"):
        assert form_of(encode(LEVELS, form)[:HEAD]) == form


def test_a_format_without_its_decoder_is_unread(monkeypatch, tmp_path):
    monkeypatch.setattr("spurion.data.formats._MISSING", {"AVIF"})
    images = open_images(write_folder(tmp_path, {"a.png": GOOD, "b": encoded("AVIF")}))
    assert images.reading.unread.names == ("b",)


def test_the_second_picture_of_a_camera_is_not_a_second_frame(tmp_path):
    frames = [Image.fromarray(COLOR), Image.fromarray(COLOR[::-1])]
    buffer = io.BytesIO()
    frames[0].save(buffer, "MPO", save_all=True, append_images=frames[1:])
    images = open_images(write_folder(tmp_path, {"a.jpg": buffer.getvalue()}))
    assert np.array_equal(images.to_uint8()[0].permute(1, 2, 0).numpy(), as_pil(buffer.getvalue(), "JPEG"))


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_several_frames_are_refused(form, tmp_path):
    frames = [Image.fromarray(COLOR), Image.fromarray(COLOR[::-1])]
    buffer = io.BytesIO()
    frames[0].save(buffer, form, save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="a holds more than one frame; store every frame as an image"):
        open_images(write_folder(tmp_path, {"a": buffer.getvalue()}))

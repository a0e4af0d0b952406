"""Array files made to fool or to harm: nothing is unpickled, and no header is believed."""

import os
import shutil
import struct
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from spurion.data import open_images


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_nothing_is_unpickled(suffix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    array = np.array([Harm()], dtype=object)
    path = tmp_path / f"a.{suffix}"
    np.savez(path, samples=array) if suffix == "npz" else np.save(path, array, allow_pickle=True)
    with pytest.raises(
        ValueError, match=r"cannot be read as .*it holds Python objects, which are never loaded"
    ):
        open_images(path)
    path.write_bytes(b"cos\nmkdir\n(S'harm'\ntR.")
    with pytest.raises(ValueError, match="cannot be read as"):
        open_images(path)
    assert os.listdir(tmp_path) == [path.name]


def forged(shape, version=b"\x01\x00"):
    header = repr({"descr": "|u1", "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(header))
    return b"\x93NUMPY" + version + size + header


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (forged((10**6, 10**6, 3, 10**6)), "it claims 3000000000000000000 bytes"),
        (forged((2**32, 2**32, 1, 1)) + bytes(64), "it claims 18446744073709551616 bytes"),
        (forged((-1, -64, 1, -1)) + bytes(64), "it claims -64 bytes"),
        (forged((1, 8, 8)) + bytes(63), "it ends 1 bytes early"),
        (forged((1, 8, 8), b"\x03\x00") + bytes(64), r"its format \(3, 0\) is not one of plain arrays"),
    ],
)
def test_array_headers_that_lie(data, message, tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        open_images(path)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("arr_0.npy", data)
    with pytest.raises(ValueError, match=message):
        open_images(tmp_path / "a.npz")


def test_headers_of_both_versions_are_read(tmp_path):
    for version in (b"\x01\x00", b"\x02\x00"):
        path = tmp_path / "a.npy"
        path.write_bytes(forged((1, 8, 8), version) + bytes(range(64)))
        assert open_images(path).to_uint8().ravel().tolist() == list(range(64))


def test_an_array_bomb_is_refused_by_what_it_declares(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, arr_0=np.zeros((4, 8, 8, 1), np.uint8))
    monkeypatch.setattr("spurion.data.storage.MOST_IN_MEMORY", 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4 * 256))
    assert len(open_images(path)) == 4
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4 * 256 - 1))
    with pytest.raises(ValueError, match=r"a \(4 images\) needs a temporary file of .* no room"):
        open_images(path)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(64, np.uint8),
        np.asfortranarray(np.zeros((8, 8), np.uint8)),
        np.zeros((2, 8, 8, 2), np.uint8),
        np.asfortranarray(np.zeros((2, 2, 8, 8), np.uint8)),
        np.zeros((2, 8, 8), np.complex64),
        np.zeros((2, 8, 8), np.float32),
        np.zeros((1, 9, 8), np.uint8),
    ],
    ids=["flat", "table", "channels", "columns", "type", "range", "pixels"],
)
def test_what_a_header_rules_out_is_never_unpacked(values, tmp_path, monkeypatch):
    """However well it is packed: 4 GiB of zeros are 18 MB in an archive."""

    def unpacked(*_):
        pytest.fail("data was read")

    monkeypatch.setattr("spurion.data.arrays.MOST_PIXELS", 64)
    monkeypatch.setattr("spurion.data.arrays._exactly", unpacked)
    np.savez_compressed(tmp_path / "a.npz", arr_0=values)
    with pytest.raises(ValueError, match=r"shape|array of|pixels"):
        open_images(tmp_path / "a.npz")


def test_one_image_larger_than_any_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((1, 8, 8), np.uint8))
    monkeypatch.setattr("spurion.data.arrays.MOST_PIXELS", 64)
    assert len(open_images(path)) == 1
    monkeypatch.setattr("spurion.data.arrays.MOST_PIXELS", 63)
    with pytest.raises(ValueError, match="a has images of more than 63 pixels, which are not read"):
        open_images(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_cannot_be_unpacked_in_parts_is_refused(method, tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("arr_0.npy", forged((1, 8, 8)) + bytes(64))
    with pytest.raises(ValueError, match="it is compressed in another way than by deflate"):
        open_images(path)


def test_archives_of_arrays_without_a_clear_choice(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x_train=np.zeros(1), **{"y\n": np.zeros(1)})
    with pytest.raises(ValueError, match=r"a.npz holds several .* must be chosen: .*; found: x_train, y\S+$"):
        open_images(path)
    np.savez(path)
    with pytest.raises(ValueError, match=r"a.npz holds no arrays\.$"):
        open_images(path)


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (0, 3, 8, 8), (0, 8, 8), (0, 0, 0)])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_empty_arrays_hold_no_images(tmp_path, shape, kind):
    empty = np.zeros(shape, kind)
    np.save(tmp_path / "a.npy", empty)
    np.savez(tmp_path / "b.npz", samples=empty)
    for source in (tmp_path / "a.npy", tmp_path / "b.npz", empty):
        with pytest.raises(ValueError, match=rf"holds no images: it has the shape \({shape[0]}, {shape[1]}"):
            open_images(source)

"""Sets in temporary files: the same numbers as in memory, and nothing left behind."""

import errno
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from data.encoded import encode, random_levels, write_folder, write_zip
from spurion.data import ImageSet, open_images, storage
from spurion.data.storage import room, taken

LEVELS = random_levels(12, 9, 7, 3)


@pytest.fixture
def in_files(monkeypatch, tmp_path):
    """Everything goes to files; gives their folder, which nobody ever sees a file in."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(storage, "MOST_IN_MEMORY", 0)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def mapped_file(tensor):
    """The file behind a tensor as the system tells it, or an empty string."""
    with open("/proc/self/maps") as lines:
        for line in lines:
            first, last = (int(end, 16) for end in line.split()[0].split("-"))
            if first <= tensor.data_ptr() < last:
                return " ".join(line.split()[5:])
    return ""


needs_maps = pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="Linux tells what is mapped")


def sources(root):
    pictures = {f"{i}.png": encode(image) for i, image in enumerate(LEVELS)}
    np.savez(root / "plain.npz", arr_0=LEVELS)
    np.savez_compressed(root / "packed.npz", samples=LEVELS.transpose(0, 3, 1, 2) / 127.5 - 1)
    np.save(root / "plain.npy", LEVELS)
    return [
        write_folder(root / "folder", pictures),
        write_zip(root / "images.zip", pictures),
        root / "plain.npz",
        root / "packed.npz",
        root / "plain.npy",
        LEVELS,
        torch.from_numpy(LEVELS),
        ImageSet.from_uint8(torch.from_numpy(LEVELS.transpose(0, 3, 1, 2).copy())),
    ]


def test_through_files_every_container_gives_the_same_bytes(tmp_path, in_files):
    expected = open_images(LEVELS).sha256
    assert [open_images(source).sha256 for source in sources(tmp_path)] == [expected] * 8
    assert len({open_images(source, resize=5).sha256 for source in sources(tmp_path)}) == 1
    assert os.listdir(in_files) == []


@needs_maps
@pytest.mark.parametrize("bound", [4 * LEVELS.size, 4 * LEVELS.size - 1])
def test_sets_above_the_bound_are_mapped_files_without_a_name(bound, in_files, monkeypatch):
    monkeypatch.setattr(storage, "MOST_IN_MEMORY", bound)
    images = open_images(LEVELS)
    where = mapped_file(images.images)
    assert where.startswith(str(in_files)) == where.endswith("(deleted)") == (bound < 4 * LEVELS.size)
    assert os.listdir(in_files) == []


@needs_maps
def test_parts_of_a_set_go_to_files_too(in_files):
    images = open_images(LEVELS)
    part = images.subset([5, 1, 1])
    assert torch.equal(part.images, images.images[[5, 1, 1]])
    assert mapped_file(part.images).endswith("(deleted)")
    levels = images.to_uint8()
    assert np.array_equal(levels.numpy(), LEVELS.transpose(0, 3, 1, 2))
    assert mapped_file(levels).endswith("(deleted)")


@needs_maps
@pytest.mark.parametrize("bound", [48, 47])
def test_what_is_taken_is_in_a_file_above_the_bound(bound, in_files, monkeypatch):
    monkeypatch.setattr(storage, "MOST_IN_MEMORY", bound)
    part = taken(torch.zeros(5, 4), torch.tensor([0, 4, 2]))
    assert mapped_file(part).endswith("(deleted)") == (bound == 47)


def test_the_bound_is_a_gibibyte():
    assert storage.MOST_IN_MEMORY == 1024**3


def test_a_system_that_does_not_tell_its_memory_is_not_in_the_way(monkeypatch):
    def unknown(_):
        raise ValueError("unrecognized configuration name")

    assert storage.physical_memory() % os.sysconf("SC_PAGE_SIZE") == 0
    monkeypatch.setattr(os, "sysconf", unknown)
    assert storage.physical_memory() == 1024**4


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.uint8, torch.int64])
def test_taken_is_indexing(dtype, in_files):
    numbers = torch.arange(60).reshape(5, 3, 4).to(dtype)
    for order in ([4, 0, 0], [], [2]):
        index = torch.tensor(order, dtype=torch.int64)
        found = taken(numbers, index)
        assert found.dtype == dtype
        assert torch.equal(found, numbers[index])
    assert torch.equal(taken(numbers.transpose(0, 1), torch.tensor([2, 1])), numbers.transpose(0, 1)[[2, 1]])


def test_a_file_larger_than_the_disk_is_refused(in_files, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=31))
    with pytest.raises(
        ValueError,
        match=rf"some \(2 images\) needs a temporary file of .*, and {in_files} has no room .* TMPDIR",
    ):
        room((2, 4), torch.float32, "some")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=32))
    assert room((2, 4), torch.float32, "some").shape == (2, 4)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="nothing is reserved on this system")
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_disk_that_fills_up_meanwhile_is_refused(code, in_files, monkeypatch):
    def full(*_):
        raise OSError(code, "full")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ValueError, match="has no room for it"):
        room((2, 4), torch.float32, "some")


def test_where_no_file_can_be_made_memory_serves(in_files, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(in_files / "missing"))
    monkeypatch.setattr(storage, "physical_memory", lambda: 32)
    assert room((2, 4), torch.float32, "some").shape == (2, 4)
    with pytest.raises(ValueError, match=r"some \(3 images\) needs 0\.0 GiB of memory"):
        room((3, 4), torch.float32, "some")


@needs_maps
def test_a_system_that_reserves_nothing_maps_too(in_files, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    numbers = room((2, 4), torch.float32, "some").fill_(3)
    assert mapped_file(numbers).endswith("(deleted)")
    assert numbers.sum() == 24

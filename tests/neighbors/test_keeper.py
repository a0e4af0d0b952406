"""Vectors that are kept: found again by content, shared, never mixed up."""

import multiprocessing
import os

import pytest
import torch

from spurion.core.random import generator
from spurion.neighbors.distances.keeper import Keeper, image_digests


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed, "keeper"))


class Counting:
    """Twice the image, three times over; knows how many images it saw."""

    def __init__(self, factor=2.0, repeats=3):
        self.factor, self.repeats, self.seen = factor, repeats, 0

    def __call__(self, images):
        self.seen += len(images)
        return (self.factor * images).flatten(1).repeat(1, self.repeats)


def vectors(images):
    return (2 * images).flatten(1).repeat(1, 3)


def kept(images, folder=None, embed=None, identity="a"):
    """Vectors through a keeper of their own, and how many images were embedded for them."""
    embed = embed or Counting()
    file = Keeper(folder).file(images, identity, embed)
    found = file.read(file.places(images, embed))
    return found, embed.seen - (0 if folder is None else 2)  # two probes open a file with a name


def digests_file(folder):
    (path,) = folder.glob("*.sha256")
    return path


def rows_file(folder):
    (path,) = folder.glob("*.vectors")
    return path


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_vectors_come_back_bit_by_bit(dtype, tmp_path):
    images = normal(7, 2, 3).to(dtype)
    for folder in (None, tmp_path):
        found, _ = kept(images, folder)
        assert found.dtype == dtype
        assert torch.equal(found, vectors(images))


def test_each_image_is_embedded_once():
    images, embed = normal(10, 2, 3), Counting()
    file = Keeper().file(images, "a", embed)
    order = torch.tensor([3, 3, 9, 0, 3])
    assert torch.equal(file.read(file.places(images[order], embed)), vectors(images[order]))
    assert embed.seen == 3
    assert torch.equal(file.read(file.places(images, embed)), vectors(images))
    assert embed.seen == 10
    assert (file.width, file.row_bytes) == (18, 72)


def test_places_in_any_order():
    images, embed = normal(10, 2, 3), Counting()
    file = Keeper().file(images, "a", embed)
    file.places(images, embed)
    order = torch.tensor([7, 8, 9, 9, 2, 1, 2, 3])
    assert torch.equal(file.read(order), vectors(images[order]))
    assert file.read(order[:0]).shape == (0, 18)


def test_a_folder_keeps_them_for_others(tmp_path):
    images = normal(10, 2, 3)
    assert kept(images[:6], tmp_path)[1] == 6
    found, embedded = kept(images.flip(0), tmp_path)
    assert embedded == 4
    assert torch.equal(found, vectors(images.flip(0)))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".lock", ".sha256", ".sums", ".vectors"]


def test_two_that_are_open_at_once(tmp_path):
    images, one, other = normal(10, 2, 3), Counting(), Counting()
    first, second = (Keeper(tmp_path).file(images, "a", embed) for embed in (one, other))
    first.places(images[:4], one)
    second.places(images[2:6], other)
    assert torch.equal(first.read(first.places(images[:7], one)), vectors(images[:7]))
    assert torch.equal(second.read(second.places(images, other)), vectors(images))
    assert (one.seen - 2, other.seen - 2) == (5, 5)
    assert len(digests_file(tmp_path).read_bytes()) == 12 * 32


def test_one_that_was_faster(tmp_path):
    images, other = normal(5, 2, 3), Counting()

    def embed(batch):
        if len(batch) == 5:
            kept(images[1:3], tmp_path)
        return vectors(batch)

    file = Keeper(tmp_path).file(images, "a", embed)
    assert torch.equal(file.read(file.places(images, embed)), vectors(images))
    assert len(digests_file(tmp_path).read_bytes()) == (2 + 5) * 32
    assert torch.equal(kept(images, tmp_path, other)[0], vectors(images))
    assert other.seen == 2


def add(folder, number):
    torch.set_num_threads(1)
    images = normal(40, 2, 3)[10 * number : 10 * number + 20]
    embed = Counting()
    file = Keeper(folder).file(images, "a", embed)
    for index in range(20):
        file.places(images[index : index + 1], embed)


def test_processes_share_a_folder(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=add, args=(tmp_path, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found, embedded = kept(normal(40, 2, 3), tmp_path)
    assert embedded == 0
    assert torch.equal(found, vectors(normal(40, 2, 3)))
    assert len(digests_file(tmp_path).read_bytes()) == 42 * 32


@pytest.mark.parametrize(
    "change", ["identity", "weights of almost the same value", "width", "type of image", "shape"]
)
def test_what_has_a_file_of_its_own(tmp_path, change):
    images = normal(5, 2, 3)
    kept(images, tmp_path)
    embed = Counting(2.0 * (1 + 2**-22)) if change.startswith("weights") else Counting()
    if change == "width":
        embed = Counting(repeats=2)
    if change == "type of image":
        images = images.double()
    if change == "shape":
        images = images.reshape(5, 3, 2)
    found, embedded = kept(images, tmp_path, embed, "b" if change == "identity" else "a")
    assert embedded == 5
    assert torch.equal(found, embed(images))
    assert len(list(tmp_path.glob("*.vectors"))) == 2


@pytest.mark.parametrize(
    ("damage", "embedded"),
    [
        ("digests cut within one", 3),
        ("rows cut within one", 4),
        ("rows longer", 0),
        ("no digests", 6),
        ("no rows", 6),
        ("rows gone", 6),
        ("another first row", 6),
        ("other digests", 6),
    ],
)
def test_what_was_interrupted_or_damaged(tmp_path, damage, embedded):
    images = normal(6, 2, 3)
    kept(images, tmp_path)
    rows, digests = rows_file(tmp_path), digests_file(tmp_path)
    if damage == "digests cut within one":
        os.truncate(digests, 6 * 32 - 1)  # two probes and three images are whole
    elif damage == "rows cut within one":
        os.truncate(rows, 4 * 72 + 71)
    elif damage == "rows longer":
        rows.write_bytes(rows.read_bytes() + b"x" * 100)
    elif damage == "no digests":
        digests.write_bytes(b"")
    elif damage == "no rows":
        rows.write_bytes(b"")
    elif damage == "rows gone":
        rows.unlink()
    elif damage == "another first row":
        rows.write_bytes(b"x" + rows.read_bytes()[1:])
    else:
        digests.write_bytes(b"x" * 32 + digests.read_bytes()[32:])
    for expected in (embedded, 0):
        found, count = kept(images, tmp_path)
        assert count == expected
        assert torch.equal(found, vectors(images))
        assert len(digests_file(tmp_path).read_bytes()) == (2 + 6) * 32


def test_a_row_that_is_damaged_is_told_and_made_again(tmp_path, caplog):
    images = normal(6, 2, 3)
    kept(images, tmp_path)
    rows = rows_file(tmp_path)
    whole = rows.read_bytes()
    rows.write_bytes(whole[: 4 * 72 + 5] + bytes([whole[4 * 72 + 5] ^ 1]) + whole[4 * 72 + 6 :])
    assert kept(images[:2], tmp_path)[1] == 0
    for expected in (1, 0):
        found, embedded = kept(images, tmp_path)
        assert embedded == expected
        assert torch.equal(found, vectors(images))
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"A row of {rows} is damaged; it is made again."]
    assert rows.read_bytes()[8 * 72 :] == whole[4 * 72 : 5 * 72]


def test_files_of_a_former_version_get_their_checksums(tmp_path):
    images = normal(6, 2, 3)
    kept(images, tmp_path)
    (sums,) = tmp_path.glob("*.sums")
    whole = sums.read_bytes()
    assert len(whole) == (2 + 6) * 16
    sums.unlink()
    found, embedded = kept(images, tmp_path)
    assert embedded == 0
    assert torch.equal(found, vectors(images))
    assert sums.read_bytes() == whole


def test_digests_without_rows_are_forgotten(tmp_path):
    images = normal(8, 2, 3)
    kept(images, tmp_path)
    os.truncate(rows_file(tmp_path), 4 * 72)  # the digests of six images, the rows of two
    others = normal(4, 2, 3, seed=1)
    assert kept(others, tmp_path)[1] == 4
    found, embedded = kept(images, tmp_path)
    assert embedded == 6
    assert torch.equal(found, vectors(images))


def test_a_file_that_is_cut_while_it_is_read(tmp_path):
    images, embed = normal(6, 2, 3), Counting()
    file = Keeper(tmp_path).file(images, "a", embed)
    places = file.places(images, embed)
    os.truncate(rows_file(tmp_path), 5 * 72)
    assert torch.equal(file.read(places[:3]), vectors(images[:3]))
    with pytest.raises(OSError, match="a file of vectors was cut while it was in use; start again"):
        file.read(places)


def test_temporary_files_have_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    images, embed = normal(6, 2, 3), Counting()
    file = Keeper().file(images, "a", embed)
    file.places(images, embed)
    assert not list(tmp_path.iterdir())


def test_one_file_for_each_kind_of_image():
    keeper, embed = Keeper(), Counting()
    images = normal(3, 2, 3)
    file = keeper.file(images, "a", embed)
    assert keeper.file(images[:1], "a", embed) is file
    assert keeper.file(images.double(), "a", embed) is not file
    assert keeper.file(images.reshape(3, 3, 2), "a", embed) is not file
    assert keeper.file(images[:, :1], "a", embed) is not file


@pytest.mark.parametrize("second", [torch.zeros(2, 5), torch.zeros(2, 6, dtype=torch.float64)])
def test_vectors_of_another_kind(second):
    images = normal(4, 2, 3)
    file = Keeper().file(images, "a", Counting())
    file.places(images[:2], lambda _: torch.zeros(2, 6))
    with pytest.raises(ValueError, match=r"one width and type, got float32 of 6 numbers and then float"):
        file.places(images[2:], lambda _: second)


def test_digests():
    x = normal(4, 2, 3)
    x[3] = x[1]
    digests = image_digests(x)
    assert len(set(digests)) == 3
    assert digests[1] == digests[3]
    assert image_digests(x[2:3]) == digests[2:3]
    assert image_digests(x.transpose(1, 2).contiguous().transpose(1, 2)) == digests
    assert not set(image_digests(x.double())) & set(digests)
    assert not set(image_digests(x.reshape(4, 3, 2))) & set(digests)
    assert len(set(image_digests(torch.tensor([[1e-30], [2e-30]])))) == 2
    assert image_digests(torch.zeros(1, 2)) == image_digests(-torch.zeros(1, 2))
    assert image_digests(x[:0]) == []

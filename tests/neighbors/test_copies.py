"""Sets with many equal images: the answer of brute force, at the price of their distinct images."""

import pytest
import torch

from spurion.core.random import generator
from spurion.neighbors import load_distance, nearest, within
from spurion.neighbors.copies import Copies, sketched
from spurion.neighbors.rows import Rows
from spurion.neighbors.walk import Search

DIM = 20
ENGINES = ["auto", "float64", "bfloat16"]
L2 = load_distance("l2")


def normal(*shape, path=()):
    return torch.randn(*shape, generator=generator(0, "copies", *path))


def scattered(images, path):
    return images[torch.randperm(len(images), generator=generator(0, "order", path))]


def collapsed():
    """Named sets in which many images are equal."""
    some, plain = normal(5, DIM), normal(40, DIM, path="plain")
    signs = torch.tensor([0.0, -0.0]).repeat(15)[:, None] * torch.ones(DIM)
    tiny = torch.cat([torch.zeros(10, DIM), torch.full((10, DIM), 1e-200), torch.full((9, DIM), -1e-200)])
    return {
        "one image": some[:1].repeat(60, 1),
        "five images": scattered(some.repeat(12, 1), "five"),
        "blank among others": scattered(torch.cat([plain, torch.zeros(30, DIM)]), "blank"),
        "pairs": torch.cat([plain, plain]),
        "zeros of both signs": torch.cat([signs, plain[:10]]),
        "apart, at distance 0": scattered(tiny.double(), "tiny"),
        "equal distances": scattered(torch.eye(DIM).repeat(4, 1), "eye"),
    }


@pytest.mark.parametrize("memory_limit", [2**31, 2**17])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", list(collapsed()))
def test_search_is_brute_force(name, engine, memory_limit):
    images = collapsed()[name]
    values = L2.pairwise(images, images)
    options = {"engine": engine, "memory_limit": memory_limit}
    for exclude_self in (False, True):
        inside = values <= (radius := float(values.median()))
        ordered = values.clone()
        if exclude_self:
            inside.fill_diagonal_(False)
            ordered.fill_diagonal_(torch.inf)
        distances, indices = ordered.sort(dim=1, stable=True)
        for k in (1, 7, len(images) - exclude_self) if memory_limit == 2**31 else (7,):
            found = nearest(images, images, k, exclude_self=exclude_self, **options)
            assert torch.equal(found.distances, distances[:, :k])
            assert torch.equal(found.indices, indices[:, :k])
        pairs = within(images, images, radius, exclude_self=exclude_self, **options)
        assert torch.equal(pairs.counts, inside.sum(dim=1))
        assert torch.equal(pairs.indices, inside.nonzero()[:, 1])


@pytest.mark.parametrize("k", [1, 5])
def test_copies_are_compared_once(k):
    queries, plain = normal(50, DIM, path="q"), normal(30, DIM, path="r")
    reference = scattered(torch.cat([plain, torch.zeros(300, DIM)]), "once")
    found = nearest(queries, reference, k)
    assert found.work.pairs == 50 * 31
    assert found.work.subtracted <= 50 * 31
    among = nearest(reference, reference, k, exclude_self=True).work
    assert among.pairs == 330 * 31
    assert within(reference, reference, 1.0).work.pairs == 330 * 31


def test_a_collapsed_set_needs_one_subtraction_for_each_image():
    images = torch.full((400, DIM), 0.25)
    found = nearest(images, images, exclude_self=True)
    assert found.work.subtracted == found.work.pairs == 400
    assert found.indices[:3].tolist() == [[1], [0], [0]]


class TestCopies:
    def test_known_answer(self):
        rows = torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0], [0.0, 0.0], [-0.0, 0.0], [1.0, 2.0]])
        copies = Copies.of(Rows(rows), sketched(rows))
        assert copies is not None
        assert copies.members.tolist() == [0, 2, 5, 1, 3, 4]
        assert copies.starts.tolist() == [0, 3, 4, 6]
        assert copies.firsts.tolist() == [0, 1, 3]
        assert copies.alone(torch.tensor([0, 1, -1, 5])).tolist() == [-1, 1, -1, -1]
        assert [copies.needed(k) for k in (1, 2, 3, 6)] == [2, 3, 3, 3]

    def test_distinct_images_have_no_copies(self):
        rows = normal(50, DIM)
        assert Copies.of(Rows(rows), sketched(rows)) is None
        assert Copies.of(Rows(rows[:0]), sketched(rows[:0])) is None

    def test_equal_sketches_are_no_proof(self):
        rows = normal(50, DIM)
        rows[40] = rows[3]
        copies = Copies.of(Rows(rows), torch.zeros(50, dtype=torch.int64))
        assert copies is not None
        assert copies.starts.diff().tolist() == [1, 1, 1, 2] + [1] * 45
        assert copies.members[3:5].tolist() == [3, 40]

    def test_another_arrangement_has_another_digest(self):
        rows = torch.tensor([[1.0], [2.0], [1.0], [2.0]])
        other = rows[[0, 1, 1, 0]]
        digests = {Copies.of(Rows(each), sketched(each)).digest() for each in (rows, other, rows.clone())}
        assert len(digests) == 2


class TestSketch:
    def test_depends_on_the_row_alone(self):
        rows = normal(50, 300)
        alone = torch.cat([sketched(row[None]) for row in rows])
        assert torch.equal(sketched(rows), alone)
        assert torch.equal(sketched(rows.double()), alone)
        assert len(alone.unique()) == 50

    def test_tells_binary_images_apart(self):
        rows = torch.randint(2, (2000, 100), generator=generator(0, "binary")) * 2.0 - 1
        assert len(sketched(rows).unique()) == len(rows.unique(dim=0)) == 2000


def test_a_checkpoint_knows_which_images_are_equal(tmp_path):
    first = torch.cat([normal(30, DIM), normal(30, DIM)[:4]])
    other = torch.cat([normal(30, DIM), normal(30, DIM)[[3, 2, 1, 0]]])
    nearest(first[:5], first, checkpoint=tmp_path / "c")
    with pytest.raises(ValueError, match="belongs to another search"):
        nearest(first[:5], other, checkpoint=tmp_path / "c")
    assert Search.prepare(Rows(first), Rows(first), L2).wanted == 2

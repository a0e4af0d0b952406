"""The search against brute force in float64, with every degenerate case planted."""

import inspect

import numpy as np
import pytest
import torch

from spurion.core.random import generator
from spurion.neighbors import load_distance, nearest, walk, within
from spurion.neighbors.rows import Rows
from spurion.neighbors.screens import HalfScreen
from spurion.neighbors.walk import Search

L2 = load_distance("l2")
ROOMY = 2**33
TIGHT = 0
"""Stands for a limit that cuts the reference into three chunks and the queries into many."""


def limit_for(memory_limit, reference):
    row_bytes = 8 * (reference[0].numel() + 16)
    return memory_limit or 4 * row_bytes * (len(reference) // 3 + 1)


def normal(*shape, path=(), dtype=torch.float32):
    return torch.randn(*shape, generator=generator(0, "search", *path), dtype=dtype)


def brute(queries, reference, exclude_self=False):
    values = L2.pairwise(queries, reference)
    if exclude_self:
        values.fill_diagonal_(torch.inf)
    return values


def planted():
    """Named pairs of sets, each a known trap."""
    x, y = normal(60, 1, 5, 7, path="x"), normal(90, 1, 5, 7, path="y")
    levels = torch.randint(0, 3, (80, 1, 2, 2), generator=generator(0, "levels")).float()
    around = x[:4].repeat_interleave(50, 0) + 1e-6 * normal(200, 1, 5, 7, path="around")
    return {
        "plain": (x, y),
        "double": (normal(50, 9, dtype=torch.float64), normal(70, 9, dtype=torch.float64, path="d")),
        "copies": (x, torch.cat([y, x, y, x])),
        "duplicates by the hundred": (x, torch.cat([x[:1]] * 150 + [y])),
        "many near copies": (x, torch.cat([y, around])),
        "few levels, many ties": (levels, levels[:50]),
        "constant": (torch.ones(40, 3, 2, 2), torch.ones(50, 3, 2, 2)),
        "zero": (torch.zeros(10, 4), torch.zeros(20, 4)),
        "far from zero": (x + 1e4, y + 1e4),
        "huge": (1e30 * x, 1e30 * y),
        "beyond single precision": (1e100 * x.double(), 1e100 * y.double()),
        "one query": (x[:1], y),
        "one coordinate": (normal(40, 1), normal(60, 1, path="one")),
        "mixed precision": (x.double(), y),
        "one far outlier": (x, torch.cat([y, y[:1] + 1e8])),
    }


@pytest.mark.parametrize("memory_limit", [ROOMY, TIGHT])
@pytest.mark.parametrize("name", list(planted()))
def test_nearest_is_brute_force(name, memory_limit):
    queries, reference = planted()[name]
    values, order = brute(queries, reference).sort(dim=1, stable=True)
    for k in (1, 3, len(reference)) if memory_limit else (3,):
        found = nearest(queries, reference, k, memory_limit=limit_for(memory_limit, reference))
        assert torch.equal(found.distances, values[:, :k])
        assert torch.equal(found.indices, order[:, :k])


@pytest.mark.parametrize("memory_limit", [ROOMY, TIGHT])
@pytest.mark.parametrize("name", list(planted()))
def test_self_is_left_out_by_index(name, memory_limit):
    images = planted()[name][1]
    values, order = brute(images, images, exclude_self=True).sort(dim=1, stable=True)
    for k in (1, len(images) - 1) if memory_limit else (2,):
        found = nearest(images, images, k, exclude_self=True, memory_limit=limit_for(memory_limit, images))
        assert torch.equal(found.distances, values[:, :k])
        assert torch.equal(found.indices, order[:, :k])


@pytest.mark.parametrize(
    ("memory_limit", "exclude_self"), [(ROOMY, False), (ROOMY, True), (TIGHT, True)], ids=str
)
@pytest.mark.parametrize("name", list(planted()))
def test_within_is_brute_force_and_agrees_with_nearest_at_equality(name, exclude_self, memory_limit):
    images = planted()[name][1]
    values = brute(images, images, exclude_self)
    firsts = nearest(images, images, 1, exclude_self=exclude_self).distances
    radii = (0.0, float(firsts.median()), float(values.flatten().quantile(0.3)), torch.inf)
    for radius in radii if memory_limit else radii[1:2]:
        limit = limit_for(memory_limit, images)
        pairs = within(images, images, radius, exclude_self=exclude_self, memory_limit=limit)
        inside = values <= radius
        if exclude_self:
            inside.fill_diagonal_(False)
        assert torch.equal(pairs.counts, inside.sum(dim=1))
        assert torch.equal(pairs.indices, inside.nonzero()[:, 1])
        assert torch.equal(pairs.counts > 0, inside.any(dim=1))


def test_known_answers():
    queries = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    reference = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 1.0], [3.0, 4.0]])
    found = nearest(queries, reference, k=3)
    assert found.distances.tolist() == [[0.0, 1.0, 5.0], [0.0, 0.0, pytest.approx(18**0.5, rel=1e-15)]]
    assert found.indices.tolist() == [[1, 2, 0], [0, 3, 2]]
    pairs = within(queries, reference, 5.0)
    assert pairs.indptr.tolist() == [0, 4, 8]
    assert within(queries, reference, 1.0).indices.tolist() == [1, 2, 0, 3]


def test_images_of_three_channels_are_flattened():
    queries, reference = normal(5, 3, 4, 4), normal(8, 3, 4, 4, path="r")
    flat = nearest(queries.reshape(5, -1), reference.reshape(8, -1), k=2)
    found = nearest(queries, reference, k=2)
    assert torch.equal(found.distances, flat.distances)
    assert torch.equal(found.indices, flat.indices)


def test_bytes_as_images_copies_are_exactly_zero():
    pixels = torch.randint(0, 256, (300, 3, 32, 32), generator=generator(0, "pixels"))
    images = pixels / 127.5 - 1
    found = nearest(images, torch.cat([images[150:], images[:150]]), k=1)
    assert (found.distances == 0).all()
    assert found.indices[:, 0].tolist() == [*range(150, 300), *range(150)]


def test_no_queries():
    found = nearest(normal(0, 4), normal(6, 4), k=2)
    assert found.distances.shape == found.indices.shape == (0, 2)
    assert within(normal(0, 4), normal(6, 4), 1.0).indptr.tolist() == [0]


def test_empty_reference_has_no_pairs():
    assert within(normal(3, 4), normal(0, 4), 1.0).counts.tolist() == [0, 0, 0]


def test_inputs_are_left_alone_and_need_no_gradient():
    queries, reference = normal(5, 4).requires_grad_(), normal(6, 4, path="r", dtype=torch.float64)
    before = queries.detach().clone(), reference.clone()
    assert not nearest(queries, reference).distances.requires_grad
    assert torch.equal(queries, before[0])
    assert torch.equal(reference, before[1])


class TestWork:
    """How much is subtracted: the screen must do its share."""

    @pytest.fixture
    def subtracted_pairs(self, monkeypatch):
        counts, subtract = [], Search.subtract

        def counting(self, rows, columns):
            counts.append(len(rows))
            return subtract(self, rows, columns)

        monkeypatch.setattr(Search, "subtract", counting)
        return counts

    @pytest.mark.parametrize("engine", ["float32", "float64"])
    def test_random_images_need_few_subtractions(self, subtracted_pairs, engine):
        found = nearest(normal(200, 64), normal(500, 64, path="r"), k=2, engine=engine)
        assert sum(subtracted_pairs) <= 1.2 * 2 * 200
        assert found.work.subtracted == sum(subtracted_pairs)
        assert found.work.pairs == 200 * 500
        assert found.work.recomputed == sum(subtracted_pairs) / (200 * 500)

    def test_half_precision_leaves_few_more(self, subtracted_pairs):
        # in 64 dimensions a 500th of the pairs lies within the 1.5 % that eight bits leave open
        nearest(normal(200, 64), normal(500, 64, path="r"), k=2, engine="bfloat16")
        assert sum(subtracted_pairs) <= 3 * 2 * 200

    @pytest.mark.parametrize("engine", ["float32", "bfloat16"])
    def test_crowded_sets_are_refined_first(self, subtracted_pairs, engine):
        center = 10 * normal(1, 64, path="c", dtype=torch.float64)
        images = center * torch.tensor([[-1.0], [1.0]]).repeat(
            150, 1
        )  # two memories, 150 near copies of each
        images += 1e-4 * normal(300, 64, dtype=torch.float64)
        found = nearest(images, images, k=2, exclude_self=True, engine=engine)
        tried = {"float32": 2, "bfloat16": 3}[engine]  # screens, each with likely pairs
        assert sum(subtracted_pairs) <= (tried + 1) * 2 * 300
        assert found.work.refined >= 300 * 300
        assert torch.equal(found.distances, brute(images, images, True).sort(dim=1).values[:, :2])
        subtracted_pairs.clear()
        radius = float(found.distances.median())
        pairs = within(images, images, radius, exclude_self=True, engine=engine)
        assert sum(subtracted_pairs) < 300
        assert torch.equal(pairs.counts, (brute(images, images, True) <= radius).sum(dim=1))

    @pytest.mark.parametrize("engine", ["float32", "bfloat16", "float64"])
    def test_pairs_surely_inside_are_not_subtracted(self, subtracted_pairs, engine):
        images = normal(200, 64)
        assert within(images, images, 1e3, engine=engine).counts.eq(200).all()
        assert sum(subtracted_pairs) == 0


def prepared(queries, reference, memory_limit):
    return Search.prepare(
        Rows.open(queries, "queries"), Rows.open(reference, "reference"), L2, memory_limit=memory_limit
    )


@pytest.mark.parametrize("memory_limit", [1, 10**6, 10**7, ROOMY])
def test_blocks_fit_into_the_memory_limit(memory_limit):
    images = normal(3000, 100)
    chunk, height, width = prepared(images, images, memory_limit).block_shape()
    held = 4 * 100 * chunk  # the reference in single precision
    pairs = 128 * height * width  # indices, distances and sorting keys when every pair is subtracted
    refined = (2 * height + width) * 100 * 8  # a block in double precision, and its rows once more
    least = (chunk, height, width) == (32, 1, 32)
    assert all(bytes_needed <= memory_limit / 4 for bytes_needed in (held, pairs, refined)) or least
    assert width <= max(chunk, 3008)
    assert not least or memory_limit == 1
    assert memory_limit < ROOMY or (height, width) == (256, 3008)


def test_blocks_stay_small_where_memory_is_large():
    chunk, height, width = prepared(torch.zeros(3000, 1), torch.arange(2.0**16)[:, None], 2**40).block_shape()
    assert (height, width) == (2**8, 2**13)
    assert chunk >= 2**16


def test_progress_counts_every_block():
    calls = []
    images = normal(60, 35)
    nearest(images, images, memory_limit=10**5, progress=lambda done, total: calls.append((done, total)))
    assert len(calls) > 4
    assert calls == [(i + 1, len(calls)) for i in range(len(calls))]


def test_exact_where_products_are_computed_in_low_precision():
    queries, reference = normal(300, 64), normal(400, 64, path="r")
    values, order = brute(queries, reference).sort(dim=1, stable=True)
    backend = torch.backends.mkldnn.matmul
    before = backend.fp32_precision
    try:
        backend.fp32_precision = "bf16"
        assert prepared(queries, reference, ROOMY).screens[-1].dtype == torch.float64
        assert "float32" not in [screen.name for screen in prepared(queries, reference, ROOMY).screens]
        with pytest.raises(ValueError, match="`engine` float32 needs products in float32"):
            nearest(queries, reference, engine="float32")
        lowered = nearest(queries, reference, k=3)
    finally:
        backend.fp32_precision = before
    with torch.autocast("cpu", torch.bfloat16):
        cast = nearest(queries, reference, k=3)
    for found in (lowered, cast):
        assert torch.equal(found.distances, values[:, :3])
        assert torch.equal(found.indices, order[:, :3])


def unchecked(search):
    """A search as users call it: its annotations are checked in tests only."""
    return inspect.unwrap(search)


class TestBadInput:
    def test_k_out_of_range(self):
        for k in (0, 6):
            with pytest.raises(ValueError, match=rf"`k` must be from 1 to the 5 images .* got {k};"):
                nearest(normal(3, 4), normal(5, 4), k)
        with pytest.raises(ValueError, match=r"`k` must be from 1 to the 4 images .* got 5;"):
            nearest(normal(5, 4), normal(5, 4), 5, exclude_self=True)
        with pytest.raises(ValueError, match="the 0 images"):
            nearest(normal(5, 4), normal(0, 4))

    def test_shapes_differ(self):
        for queries, reference in ((normal(3, 4), normal(3, 5)), (normal(3, 1, 4), normal(3, 4))):
            with pytest.raises(ValueError, match="must hold images of one shape"):
                nearest(queries, reference)

    @pytest.mark.parametrize("given", [[[0.0, 1.0]], 3, None])
    def test_no_images(self, given):
        message = rf"must be a tensor, an array or the path of a \.npy file, got {type(given).__name__}\."
        with pytest.raises(ValueError, match="`queries` " + message):
            unchecked(nearest)(given, normal(5, 4))
        with pytest.raises(ValueError, match="`reference` " + message):
            unchecked(within)(normal(5, 4), given, 1.0)

    def test_a_lone_number(self):
        with pytest.raises(ValueError, match=r"`queries` must hold images of one shape, .* got \(\)\."):
            nearest(torch.tensor(1.0), normal(5, 4))
        with pytest.raises(ValueError, match=r"`reference` must hold images .* got \(5,\)\."):
            nearest(normal(5, 4), np.zeros(5))

    def test_no_numbers(self):
        images = normal(5, 4)
        for k in (1.5, "2", None):
            with pytest.raises(ValueError, match=rf"`k` must be a whole number, got {type(k).__name__}\."):
                unchecked(nearest)(images, images, k)
        with pytest.raises(ValueError, match=r"`radius` must be a number, got str\."):
            unchecked(within)(images, images, "near")
        for search in (nearest, within):
            with pytest.raises(ValueError, match=r"`memory_limit` must be a whole number, got float\."):
                unchecked(search)(images, images, 1, memory_limit=1e3)

    def test_no_coordinates(self):
        for images in (normal(3), normal(3, 0)):
            with pytest.raises(ValueError, match="must hold images of one shape"):
                nearest(images, images)

    @pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 2e150, -2e150])
    def test_value_not_usable(self, value):
        good, bad = normal(3, 4, dtype=torch.float64), normal(3, 4, dtype=torch.float64)
        bad[1, 2] = value
        with pytest.raises(ValueError, match=r"`queries` must hold finite numbers up to 1e\+150"):
            nearest(bad, good)
        with pytest.raises(ValueError, match="`reference` must hold finite numbers"):
            within(good, bad, 1.0)

    def test_largest_values(self):
        edge = torch.tensor([[1e150], [-1e150]], dtype=torch.float64)
        assert nearest(edge, edge).distances.tolist() == [[0.0], [0.0]]

    def test_unknown_distance(self):
        with pytest.raises(ValueError, match=r"`distance` must be one of l2, .*, got 'chebyshev'\."):
            nearest(normal(3, 4), normal(3, 4), distance="chebyshev")

    def test_not_the_same_set(self):
        with pytest.raises(ValueError, match="`exclude_self` needs `queries` and `reference` to be the same"):
            nearest(normal(3, 4), normal(3, 4, path="other"), exclude_self=True)

    def test_memory_limit(self):
        with pytest.raises(ValueError, match="`memory_limit` must be at least 1 byte, got 0"):
            nearest(normal(3, 4), normal(3, 4), memory_limit=0)

    @pytest.mark.parametrize("radius", [-0.1, float("nan")])
    def test_radius(self, radius):
        with pytest.raises(ValueError, match="`radius` must be at least 0, got"):
            within(normal(3, 4), normal(3, 4), radius)


def test_a_set_searched_in_itself_needs_no_finer_screen():
    """An image is no neighbor of itself, and must not draw its whole group of columns into doubt either."""
    images = torch.randint(256, (600, 192), generator=torch.Generator().manual_seed(0)) / 127.5 - 1
    among = nearest(images, images, 1, exclude_self=True)
    other = nearest(images[:300], images[300:], 1)
    assert among.work.subtracted <= 4 * len(images)
    assert among.work.refined == other.work.refined == 0


@pytest.mark.parametrize("k", [1, 100, 3000])
@pytest.mark.parametrize("memory_limit", [10**6, 10**8])
def test_blocks_hold_what_is_known_of_their_queries_as_well(memory_limit, k):
    images = normal(3000, 4)
    rows = Rows.open(images, "queries")
    chunk, height, width = Search.prepare(rows, rows, L2, memory_limit=memory_limit, k=k).block_shape()
    fits = 160 * height * (width + k) <= memory_limit / 4  # bytes of a pair that is sorted
    assert fits or (height, width) == (1, 32)
    assert (
        width > min(k, chunk) - 32 or height == 1
    )  # as wide, so what is known is sorted as often as new pairs


def test_all_neighbors_cost_about_as_much_as_half_of_them(monkeypatch):
    """What is known is sorted once for about as much that is new: linear in k, not quadratic."""
    sorted_pairs, bincount = [], torch.Tensor.bincount

    def counting(self, *args, **options):
        sorted_pairs.append(len(self))
        return bincount(self, *args, **options)

    images = normal(2000, 4)
    monkeypatch.setattr(torch.Tensor, "bincount", counting)
    found = nearest(images[:40], images, 2000, memory_limit=2**22)
    assert sum(sorted_pairs) <= 3 * 40 * 2000
    assert torch.equal(found.distances, brute(images[:40], images).sort(dim=1).values)


@pytest.fixture
def large_blocks(monkeypatch):
    """Blocks as an accelerator takes them, which hold more pairs than can all be recomputed; their pieces."""
    pieces, split = [], walk.Search.pieces

    def counting(self, block):
        found = list(split(self, block))
        pieces.append(len(found))
        return iter(found)

    monkeypatch.setattr(walk, "CACHED", walk.ACCELERATED)
    monkeypatch.setattr(walk.Search, "pieces", counting)
    return pieces


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("engine", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("tied", [False, True])
def test_large_blocks_are_taken_apart_where_many_pairs_are_in_doubt(large_blocks, k, engine, tied):
    """On a coarse grid half of all pairs tie, and every one of them must be subtracted."""
    draw = torch.Generator().manual_seed(0)
    levels = torch.randint(0, 2 if tied else 256, (500, 40 if tied else 64), generator=draw).float()
    levels[7] = levels[300]
    images = levels / 127.5 - 1
    calls = []
    limit = 2**21
    found = nearest(
        images, images, k, engine=engine, exclude_self=True, memory_limit=limit,
        progress=lambda done, total: calls.append(total),
    )  # fmt: skip
    few = nearest(images, images, k, engine="float64", exclude_self=True)
    assert torch.equal(found.distances, few.distances)
    assert torch.equal(found.indices, few.indices)
    radius = float(few.distances[:, -1].median())
    ours = within(images, images, radius, engine=engine, memory_limit=limit)
    theirs = within(images, images, radius, engine="float64")
    assert torch.equal(ours.indptr, theirs.indptr)
    assert torch.equal(ours.indices, theirs.indices)
    assert not tied or max(large_blocks, default=0) > 1


def test_an_accelerator_takes_few_blocks(large_blocks):
    images = torch.zeros(1, 3072).expand(50_000, 3072)
    rows = Rows(images)
    screens = [HalfScreen(torch.zeros(3072, dtype=torch.float64), 1.0)]
    own = torch.full((50_000,), -1)
    search = Search(rows, rows, L2, own, own, None, 2**31, screens)
    chunk, height, width = search.block_shape()
    blocks = -(-50_000 // height) * (-(-chunk // width) + -(-(50_000 - chunk) // width))
    assert blocks < 100
    assert 16 * height * width <= 2**29

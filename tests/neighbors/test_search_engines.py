"""Every engine against brute force in float64, on sets made to deceive them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spurion.core.random import generator
from spurion.neighbors import load_distance, nearest, within
from spurion.neighbors.distances import Distance

ENGINES = ["auto", "float64", "float32", "bfloat16", "int8"]
DIM = 48


def normal(*shape, path=()):
    return torch.randn(*shape, generator=generator(0, "engines", *path))


def brute(queries, reference, k, distance="l2"):
    return tuple(
        part[:, :k] for part in load_distance(distance).pairwise(queries, reference).sort(dim=1, stable=True)
    )


def as_bytes(x):
    """Images on the grid of 256 levels."""
    return (x * 30 + 128).round().clamp(0, 255) / 127.5 - 1


def adversarial():
    """Named pairs of sets: queries, reference."""
    x, y = normal(24, DIM, path="x"), normal(200, DIM, path="y")
    around = x.repeat_interleave(20, 0) + 1e-4 * normal(480, DIM, path="a")
    shuffled = around[torch.randperm(len(around), generator=generator(0, "order"))]
    directions = x / x.norm(dim=1, keepdim=True)
    sizes = torch.logspace(-6, 6, len(y))[:, None]
    return {
        "plain": (x, y),
        "near-identical, in order": (x, torch.cat([y, around])),
        "near-identical, shuffled": (x, torch.cat([y, shuffled])),
        "nearer than eight bits tell": (x, x[:1] + 1e-3 * y),
        "equal norms": (directions, y / y.norm(dim=1, keepdim=True)),
        "huge norms": (1e6 + x, torch.cat([1e6 + y, -1e6 + y])),
        "norms of all sizes": (x, y * sizes),
        "huge": (1e18 * x, 1e18 * y),
        "constant": (torch.ones(12, DIM), torch.cat([torch.ones(100, DIM), -torch.ones(20, DIM)])),
        "copies": (x, torch.cat([y, x, y, x])),
        "duplicates by the hundred": (torch.cat([x[:5], y[:5]]), torch.cat([x[:1]] * 200 + [y])),
    }


def on_grid():
    plain = {name: tuple(map(as_bytes, pair)) for name, pair in adversarial().items()}
    step = 1 / 127.5
    x = as_bytes(normal(20, DIM, path="x"))
    noise = torch.randint(0, 2, (200, DIM), generator=generator(0, "one level"))
    levels = (x.repeat_interleave(10, 0) + noise * step).clamp(-1, 1)
    x_bytes, y_bytes = ((each + 1).mul(127.5).round() for each in (x, levels))
    return plain | {
        "one level apart": (x_bytes / 127.5 - 1, y_bytes / 127.5 - 1),
        "in [0, 1]": (x_bytes / 255, y_bytes / 255),
        "rounded otherwise": (x_bytes / 127.5 - 1, 2 * (y_bytes / 255) - 1),
        "double": (x_bytes.double() / 127.5 - 1, y_bytes / 127.5 - 1),
    }


ANY = ["auto", "float64", "float32", "bfloat16"]
CASES = [pytest.param(engine, name) for engine in ANY for name in adversarial()]
CASES += [pytest.param("int8", name) for name in on_grid()]


def case(engine, name):
    return on_grid()[name] if engine == "int8" else adversarial()[name]


@pytest.mark.parametrize(("engine", "name"), CASES)
def test_nearest_is_brute_force(engine, name):
    queries, reference = case(engine, name)
    for k in (1, 4):
        distances, indices = brute(queries, reference, k)
        found = nearest(queries, reference, k, engine=engine)
        assert torch.equal(found.distances, distances)
        assert torch.equal(found.indices, indices)
        assert 0 < found.work.recomputed <= 1
        assert found.work.pairs == len(queries) * len(reference.unique(dim=0))


@pytest.mark.parametrize(("engine", "name"), CASES)
def test_within_is_brute_force(engine, name):
    queries, reference = case(engine, name)
    values = load_distance("l2").pairwise(queries, reference)
    ordered = values.sort(dim=1).values
    for radius in (0.0, float(ordered[:, 0].median()), float(ordered[:, 20].min())):
        pairs = within(queries, reference, radius, engine=engine)
        assert torch.equal(pairs.counts, (values <= radius).sum(dim=1))
        assert torch.equal(pairs.indices, (values <= radius).nonzero()[:, 1])
        assert 0 <= pairs.work.recomputed <= 1


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("k", [1, 3, 239])
def test_self_is_left_out(engine, k):
    images = as_bytes(normal(120, DIM)).repeat(2, 1)
    values = load_distance("l2").pairwise(images, images).fill_diagonal_(torch.inf)
    distances, indices = (part[:, :k] for part in values.sort(dim=1, stable=True))
    for limit in (2**31, 2**20):
        found = nearest(images, images, k, exclude_self=True, engine=engine, memory_limit=limit)
        assert torch.equal(found.distances, distances)
        assert torch.equal(found.indices, indices)
    pairs = within(images, images, 0.0, exclude_self=True, engine=engine)
    assert pairs.indices.tolist() == [*range(120, 240), *range(120)]


@pytest.mark.parametrize("engine", ENGINES)
def test_within_in_small_blocks(engine):
    queries, reference = as_bytes(normal(70, DIM)), as_bytes(normal(333, DIM, path="r"))
    values = load_distance("l2").pairwise(queries, reference)
    radius = float(values.sort(dim=1).values[:, 12].median())
    for limit in (2**18, 2**20):
        pairs = within(queries, reference, radius, engine=engine, memory_limit=limit)
        assert torch.equal(pairs.counts, (values <= radius).sum(dim=1))
        assert torch.equal(pairs.indices, (values <= radius).nonzero()[:, 1])


@pytest.mark.parametrize("engine", ENGINES)
def test_distances_that_grow_with_the_square(engine):
    queries, reference = as_bytes(normal(30, DIM)), as_bytes(normal(200, DIM, path="r"))
    if engine == "int8":  # directions are on no grid
        distance: Distance = HalfSquare()
    else:
        distance = load_distance("cosine")
    values = distance.pairwise(queries, reference)
    distances, indices = (part[:, :3] for part in values.sort(dim=1, stable=True))
    found = nearest(queries, reference, 3, distance=distance, engine=engine)
    assert torch.equal(found.distances, distances)
    assert torch.equal(found.indices, indices)
    radius = float(distances.median())
    pairs = within(queries, reference, radius, distance=distance, engine=engine)
    assert torch.equal(pairs.counts, (values <= radius).sum(dim=1))


class HalfSquare(Distance):
    name = "half square"
    unit = "levels"
    square_factor = 0.5

    def embed(self, images):
        return images.flatten(start_dim=1)


def test_what_eight_bits_cannot_tell_is_said():
    easy = nearest(*adversarial()["plain"], engine="bfloat16").work
    hard = nearest(*adversarial()["nearer than eight bits tell"], engine="bfloat16").work
    assert easy.refined == 0
    assert easy.recomputed < 0.05
    assert hard.refined == 24 * 200
    assert hard.recomputed == 1
    assert hard.subtracted > 0


def test_search_goes_on_with_the_finer_screen_where_the_first_is_of_no_use():
    queries, reference = adversarial()["nearer than eight bits tell"]
    limit = 16 * 4 * 1024 * 8  # blocks of few pairs
    work = nearest(queries.repeat(5, 1), reference.repeat(3, 1), engine="bfloat16", memory_limit=limit).work
    assert work.engine == "float32"
    assert work.refined < work.pairs / 2


def test_unknown_engine():
    with pytest.raises(ValueError, match="`engine` must be one of auto, float64"):
        nearest(normal(3, 4), normal(3, 4), engine="gpu")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    engine=st.sampled_from(["float64", "float32", "bfloat16"]),
    sizes=st.tuples(st.integers(1, 40), st.integers(1, 90), st.integers(1, 70)),
    exponents=st.tuples(st.integers(-30, 30), st.integers(-12, 3), st.integers(-3, 8)),
    k=st.integers(1, 5),
    seed=st.integers(0, 10**6),
    memory_limit=st.sampled_from([1, 2**16, 2**20, 2**31]),
)
def test_any_sets(engine, sizes, exponents, k, seed, memory_limit):
    """Clusters of any width, at any distance from zero, of any size, in any blocks."""
    n, m, dim = sizes
    size, width, shift = (10.0**exponent for exponent in exponents)
    draw = generator(seed, "any")
    memories = torch.randn(4, dim, generator=draw)
    which = [torch.randint(0, 4, (count,), generator=draw) for count in (n, m)]
    x, y = (memories[each] + width * torch.randn(len(each), dim, generator=draw) for each in which)
    x, y = size * (x + shift), size * (torch.cat([y, x]) + shift)
    distances, indices = brute(x, y, min(k, len(y)))
    found = nearest(x, y, min(k, len(y)), engine=engine, memory_limit=memory_limit)
    assert torch.equal(found.distances, distances)
    assert torch.equal(found.indices, indices)

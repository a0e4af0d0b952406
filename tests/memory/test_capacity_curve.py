import math

import pytest
import torch

from spurion.circle.ring import ring_memory_capacity, ring_minima
from spurion.core.random import generator
from spurion.memory.capacity import capacity_curve
from spurion.memory.dense import DenseAM
from spurion.memory.minima import find_minima
from spurion.memory.patterns import PATTERNS
from spurion.memory.retrieval import retrieve


def test_memories_turn_spurious_and_then_continuous():
    points = capacity_curve("circle", [2, 9, 1000], [10 / 3], sets=8, draws=60)
    memory, spurious, continuum = zip(*(point.mass for point in points), strict=True)
    assert list(memory) == sorted(memory, reverse=True)
    assert memory[-1] == 0
    assert max(spurious) == spurious[1] > 0.6
    assert continuum[-1] == max(continuum) > 0.5
    for point in points:
        assert sum(point.mass) + point.elsewhere == pytest.approx(1)
        assert sum(point.kinds) == pytest.approx(point.minima)
        assert all(0 <= e < 0.5 for e in point.error)


# At distance d = 2 h the weight at a minimum u = h tanh(2 beta h u) is 0.9 where a = 2 beta h u = log 3, that
# is, at 2 beta h^2 = a / tanh(a) = log(3) / 0.8. Wider apart, both patterns are memories with all the mass;
# closer, none is.
WIDE = math.log(3) / 0.8 / 2  # of beta h^2


@pytest.mark.parametrize("beta", [1.0, 10 / 3, 10.0])
def test_two_random_patterns_are_memories_exactly_where_their_gap_is_wide(beta):
    point = capacity_curve("circle", [2], [beta], sets=16, draws=4)[0]
    expected = []
    for index in range(16):
        pair = PATTERNS["circle"](2, 2, generator(0, "capacity", "set", index))
        expected.append(float(beta * (pair[0] - pair[1]).square().sum() / 4 >= WIDE))
    assert 0 < sum(expected) < 16
    assert point.rows[:, 1, 0].tolist() == expected
    assert point.mass[0] == pytest.approx(sum(expected) / 16)


@pytest.mark.parametrize(("beta", "share"), [(1.0, 0.3782), (10 / 3, 0.7001), (10.0, 0.8312)])
def test_share_of_two_memories_over_many_sets(beta, share):
    # The gap angle is uniform on (0, pi) and h the sine of half of it. 20,000 pairs: 3.5 standard errors.
    assert share == pytest.approx(1 - 2 / math.pi * math.asin(math.sqrt(WIDE / beta)), abs=1e-4)
    patterns = PATTERNS["circle"](40_000, 2, generator(0, "pairs"))
    h_squared = (patterns[::2] - patterns[1::2]).square().sum(1) / 4
    error = math.sqrt(share * (1 - share) / 20_000)
    assert float((beta * h_squared >= WIDE).double().mean()) == pytest.approx(share, abs=3.5 * error)


def memory_mass(count, beta, sets, draws):
    """Share of draws that end in a memory, over random sets: what `capacity_curve` averages."""
    ended = []
    for index in range(sets):
        memory = DenseAM(PATTERNS["circle"](count, 2, generator(index, "law", count)), beta)
        found = retrieve(memory, memory.sample(draws, generator=generator(index, "draws")))
        ended.append(memory.occupation(found.attractors).top_weight >= 0.9)
    return float(torch.stack(ended).double().mean())


@pytest.mark.parametrize("beta", [10.0, 50.0])
def test_half_of_the_mass_belongs_to_memories_at_the_law(beta):
    # The share crosses 1/2 within 20 % of the law; 40 sets give it a standard error near 0.04.
    law = ring_memory_capacity(beta)
    counts = [round(law * f) for f in (0.8, 1.2)]
    share = [memory_mass(count, beta, sets=40, draws=40) for count in counts]
    slope = (share[1] - share[0]) / math.log(counts[1] / counts[0])
    crossing = counts[0] * math.exp((0.5 - share[0]) / slope)
    assert slope < 0
    assert crossing == pytest.approx(law, rel=0.2)


def test_minima_saturate_at_the_law():
    beta = 50.0
    points = capacity_curve("circle", [300], [beta], sets=5, draws=100)
    assert points[0].minima == pytest.approx(ring_minima(beta), rel=0.2)


def test_number_of_minima_of_nine_random_patterns():
    # The mean over random sets against the reference 5.79 (200 sets); 12 sets here, of deviation 1.
    numbers = []
    for index in range(12):
        memory = DenseAM(PATTERNS["circle"](9, 2, generator(index, "nine")), 20.0)
        numbers.append(len(find_minima(memory, generator=generator(0), draws=16, barriers=False)))
    assert sum(numbers) / 12 == pytest.approx(5.79, abs=3 / math.sqrt(12))


def test_random_patterns_of_every_kind():
    rng = generator(0, "kinds")
    for name, draw in PATTERNS.items():
        patterns = draw(500, 2, rng)
        assert patterns.shape == (500, 2)
        assert patterns.dtype == torch.float64
        if name in ("circle", "sphere"):
            assert torch.allclose(patterns.norm(dim=1), torch.ones(1).double())
        if name == "binary":
            assert set(patterns.flatten().tolist()) == {-1.0, 1.0}
        if name == "gaussian":
            assert patterns.std() == pytest.approx(1, abs=0.1)
        assert patterns.mean(0).abs().max() < 0.2
    with pytest.raises(ValueError, match="`dim` must be 2 for patterns on a circle, got 3"):
        PATTERNS["circle"](5, 3, rng)


@pytest.mark.parametrize("kind", ["sphere", "gaussian", "binary"])
def test_high_dimensions_hold_all_memories_until_they_melt(kind):
    cold, warm = capacity_curve(kind, [6], [20.0, 1e-3], dim=20, sets=2, draws=20)
    assert cold.kinds[0] == cold.count
    assert cold.mass[0] == 1
    assert warm.minima == 1
    assert warm.mass[1] == 1


def test_data_of_a_user_and_nested_sets():
    data = torch.arange(10).float()[:, None] * 10
    point = capacity_curve(data, [3], [1.0], sets=1, draws=10)[0]
    assert (point.minima, point.kinds, point.mass) == (3, (3, 0, 0), (1, 0, 0))
    assert all(math.isnan(e) for e in point.error)
    calls = []
    capacity_curve(data, [1, 2], [1.0, 2.0], sets=2, draws=1, progress=lambda *args: calls.append(args))
    assert calls == [(i, 8) for i in range(1, 9)]
    # Two patterns at distance 10 k: the order of a set must not depend on K.
    alone = capacity_curve("gaussian", [2], [0.5], sets=3, draws=20)[0]
    again = capacity_curve("gaussian", [2, 5], [0.5], sets=3, draws=20)[0]
    assert alone.count == again.count


def test_bad_curves():
    with pytest.raises(ValueError, match=r"`patterns` must be a data set or one of circle, .*, got 'square'"):
        capacity_curve("square", [2], [1.0])
    with pytest.raises(ValueError, match="`counts` must not exceed the 3 patterns given, got 4"):
        capacity_curve(torch.zeros(3, 2), [4], [1.0])
    for counts, sets in (([], 1), ([0], 1), ([2], 0)):
        with pytest.raises(ValueError, match="`counts` and `sets` must be at least 1"):
            capacity_curve("circle", counts, [1.0], sets=sets)

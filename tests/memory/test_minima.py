import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, minimize

from spurion.circle.ring import paper_circle
from spurion.core.random import generator
from spurion.memory.barriers import find_barriers
from spurion.memory.dense import DenseAM
from spurion.memory.distinct import distinct, locate
from spurion.memory.minima import KINDS, basins, find_minima, survey
from spurion.memory.place import Place
from spurion.memory.retrieval import retrieve


def search(patterns, beta, **options):
    return find_minima(DenseAM(patterns, beta), generator=generator(0, "search"), **options)


def angles(points):
    return torch.rad2deg(torch.atan2(points[:, 1], points[:, 0])).remainder(360)


def pair(distance, dim=2):
    patterns = torch.zeros(2, dim, dtype=torch.float64)
    patterns[1, 0] = distance
    return patterns


@pytest.mark.parametrize("distance", [0.3, 1.0, 5.0])
def test_two_patterns_switch_at_beta_d2_of_two(distance):
    for product, count in ((1.0, 1), (2 - 1e-6, 1), (2 + 1e-6, 2), (8.0, 2)):
        found = search(pair(distance), product / distance**2)
        assert len(found) == count
        assert (found.eigenvalues > 0).all()
    middle = search(pair(distance), 1.0 / distance**2)
    assert torch.allclose(middle.points, torch.tensor([[distance / 2, 0.0]]).double(), atol=1e-12)
    # E = h^2 - log(2) / beta at the mid-point; curvatures 2 - beta d^2 = 1 along the line and 2 across.
    assert float(middle.energy) == pytest.approx(distance**2 * (1 / 4 - math.log(2)), abs=1e-10)
    assert torch.allclose(middle.eigenvalues, torch.tensor([[1.0, 2.0]]).double(), atol=1e-10)
    assert math.isinf(float(middle.barrier))
    assert [KINDS[i] for i in middle.kinds()] == ["spurious"]
    apart = search(pair(distance), 8.0 / distance**2)
    # The barrier is the height of the mid-point: beta [E(0) - E(u)], u = h tanh(4 u / h).
    u = brentq(lambda v: v - math.tanh(4 * v), 0.5, 1, xtol=1e-15)
    z, product = 4 * u, 8.0
    low = product / 4 * (u**2 + 1) - z - math.log1p(math.exp(-2 * z))
    assert apart.barrier.tolist() == pytest.approx([product / 4 - math.log(2) - low] * 2, rel=1e-8)
    assert apart.barrier_certified.all()
    assert apart.energy.tolist() == pytest.approx([low / product * distance**2] * 2, abs=1e-10)
    assert [KINDS[i] for i in apart.kinds()] == ["memory", "memory"]


def polygon(n):
    turn = torch.arange(n, dtype=torch.float64) * 2 * math.pi / n
    return torch.stack([turn.cos(), turn.sin()], dim=1)


@pytest.mark.parametrize("n", range(3, 13))
def test_polygons_at_their_transition_need_little_work(n, monkeypatch):
    # The center turns unstable at beta = 1, where 2 beta C = I for n patterns on the unit circle.
    looks, real = [], Place.at.__func__

    def counted(cls, memory, x):
        looks.append(len(x))
        return real(cls, memory, x)

    monkeypatch.setattr(Place, "at", classmethod(counted))
    for beta in (0.3, 1 - 1e-2, 1 - 1e-6, 1.0, 1 + 1e-6, 1 + 1e-4, 1.01, 1.1, 1.5, 4.0, 30.0):
        looks.clear()
        found = search(polygon(n), beta)
        assert found.unconverged == 0
        assert len(looks) < 600  # stalled searches look more than 3,000 times


@pytest.mark.parametrize(
    ("n", "beta"), [(3, 1.5), (4, 1.01), (5, 1.01), (7, 1.1), (8, 1.01), (8, 1.5), (12, 3.0)]
)
def test_a_polygon_has_a_minimum_in_each_sector(n, beta):
    found = search(polygon(n), beta)
    turn = angles(found.points).sort().values
    assert len(found) == n
    assert float((turn.diff() - 360 / n).abs().max()) < 0.01
    assert float(found.points.norm(dim=1).std()) < 1e-6


TABLE = {  # t: minima (of these at a pattern) for K = 2, 4, 9
    1.0: ((1, 0), (1, 0), (1, 0)),
    0.5: ((2, 2), (1, 0), (2, 0)),
    0.25: ((2, 2), (2, 1), (2, 0)),
    0.15: ((2, 2), (3, 2), (3, 0)),
    0.05: ((2, 2), (3, 2), (3, 0)),
    0.02: ((2, 2), (3, 2), (5, 1)),
    0.005: ((2, 2), (4, 4), (7, 5)),
    0.001: ((2, 2), (4, 4), (8, 7)),
    1e-5: ((2, 2), (4, 4), (9, 9)),
}
ANGLES = {
    1.0: [169.9],
    0.5: [158.9, 329.2],
    0.25: [148.7, 333.4],
    0.15: [146.0, 214.2, 331.9],
    0.05: [145.3, 217.2, 325.9],
    0.02: [136.9, 153.9, 217.2, 325.0, 356.4],
    1e-5: [129.15, 138.86, 151.88, 161.73, 213.83, 220.65, 324.39, 325.52, 356.42],
}


@pytest.mark.parametrize("time", TABLE)
def test_minima_of_the_sets_of_the_paper(time):
    for count, expected in zip((2, 4, 9), TABLE[time], strict=True):
        found = search(paper_circle(count), 1 / (2 * time))
        assert (len(found), int((found.top_weight >= 0.9).sum())) == expected
        assert (found.gradient < 1e-11).all()
        assert (found.eigenvalues > 0).all()
        assert found.barrier_certified.all()
        assert found.unconverged == 0
    if time in ANGLES:
        digits = 2 if time == 1e-5 else 1
        assert angles(found.points).sort().values.tolist() == pytest.approx(
            ANGLES[time], abs=0.51 * 10**-digits
        )


def test_the_published_time_in_detail():
    found = search(paper_circle(9), 1 / 0.3)
    order = angles(found.points).argsort()
    assert found.effective_number[order].tolist() == pytest.approx([4.0, 2.3, 3.1], abs=0.4)
    assert (found.energy - found.energy[0])[order].tolist() == pytest.approx([0, 0.156, 0.105], abs=1.5e-3)
    assert (found.top_weight < 0.9).all()
    warm = search(paper_circle(9), 0.5)
    assert float(warm.points.norm()) == pytest.approx(0.54, abs=0.005)
    assert float(warm.effective_number) == pytest.approx(7.9, abs=0.05)
    cold = search(paper_circle(9), 5e4)
    order = cold.top_pattern
    assert sorted(order.tolist()) == list(range(9))
    assert float((cold.points - paper_circle(9)[order]).norm(dim=1).max()) < 1e-6
    assert (cold.kinds() == 0).all()


def grid_minima(patterns, beta, size):
    """All minima of the energy on a fine grid over the bounding box, polished by BFGS: independent code."""
    patterns = patterns.numpy()
    low, high = patterns.min(0) - 0.05, patterns.max(0) + 0.05
    axes = [np.linspace(a, b, size) for a, b in zip(low, high, strict=True)]
    x = np.stack(np.meshgrid(*axes, indexing="ij"), -1)

    def energy(y):
        logits = -beta * ((y[..., None, :] - patterns) ** 2).sum(-1)
        top = logits.max(-1)
        return -(top + np.log(np.exp(logits - top[..., None]).sum(-1))) / beta

    def gradient(y):
        logits = -beta * ((y - patterns) ** 2).sum(-1)
        weight = np.exp(logits - logits.max())
        return 2 * (y - weight @ patterns / weight.sum())

    value = energy(x)
    inner, lowest = value[1:-1, 1:-1], np.ones((size - 2, size - 2), dtype=bool)
    for i in range(3):
        for j in range(3):
            if (i, j) != (1, 1):
                lowest &= inner <= value[i : size - 2 + i, j : size - 2 + j]
    starts = x[1:-1, 1:-1][lowest]
    found = [minimize(energy, s, jac=gradient, method="BFGS", options={"gtol": 1e-9}).x for s in starts]
    return distinct(torch.tensor(np.array(found)), 1e-4)


@pytest.mark.parametrize("seed", range(12))
def test_in_two_dimensions_it_finds_what_a_dense_grid_finds(seed):
    rng = generator(seed, "grid")
    count = int(torch.randint(3, 13, (1,), generator=rng))
    patterns = torch.randn(count, 2, generator=rng, dtype=torch.float64)
    if seed % 3 == 0:
        patterns = torch.nn.functional.normalize(patterns, dim=1)
    beta = 10 ** float(torch.rand(1, generator=rng)) * 2
    found, truth = search(patterns, beta), grid_minima(patterns, beta, 250)
    assert len(truth) >= 1
    assert len(found) == len(truth)
    assert (torch.cdist(found.points, truth).amin(1) < 1e-5).all()


@pytest.mark.parametrize("dim", [1, 3, 70])
def test_minima_in_other_dimensions(dim):
    # Clusters far apart: one minimum for each tight pair, one for each single pattern.
    centers = torch.zeros(5, dim, dtype=torch.float64)
    centers[:, 0] = torch.arange(5) * 10
    patterns = torch.cat([centers, centers[:2] + 0.1])
    found = search(patterns, 1.0)
    assert len(found) == 5
    assert found.points.shape == (5, dim)
    assert found.eigenvalues.shape == (5, dim)
    kinds = sorted(KINDS[i] for i in found.kinds())
    assert kinds == ["memory"] * 3 + ["spurious"] * 2
    pairs = found.kinds() == 1
    # Along the line of a pair: 2 - beta d^2, d^2 = 0.01 D.
    assert found.eigenvalues[pairs, 0].tolist() == pytest.approx([2 - 0.01 * dim] * 2, abs=1e-9)
    assert torch.allclose(found.effective_number[pairs], torch.tensor(2.0).double())


def test_copies_and_single_patterns():
    same = torch.ones(4, 2, dtype=torch.float64)
    for patterns in (same, same[:1], same.float()):
        found = search(patterns, 7.0)
        assert torch.allclose(found.points, same[:1])
        assert found.points.dtype == torch.float64
        assert math.isinf(float(found.barrier))
    assert float(search(same, 7.0).effective_number) == pytest.approx(4)


def test_many_patterns_on_the_circle_make_a_continuum():
    found = search(paper_circle(1000), 10 / 3, draws=50)
    assert all(KINDS[i] == "continuum" for i in found.kinds())
    assert float(found.points.norm(dim=1).mean()) == pytest.approx(0.914, abs=0.02)
    assert (found.kinds(flat=0) == 1).all()
    assert found.unseen <= 0.05


def test_classes_follow_their_thresholds():
    found = search(paper_circle(9), 25.0)
    top = float(found.top_weight.max())
    assert int((found.kinds(memory_weight=top) == 0).sum()) == 1
    assert int((found.kinds(memory_weight=min(1.0, top + 1e-9)) == 0).sum()) == 0
    with pytest.raises(ValueError, match=r"`memory_weight` must lie in \(0\.5, 1\], got 0\.5"):
        found.kinds(memory_weight=0.5)
    with pytest.raises(ValueError, match=r"`memory_weight` must lie in \(0\.5, 1\], got 1\.1"):
        found.kinds(memory_weight=1.1)
    with pytest.raises(ValueError, match=r"`flat` must be at least 0, got -0\.1"):
        found.kinds(flat=-0.1)


def test_basins_of_symmetric_patterns_are_equal():
    patterns = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    memory = DenseAM(patterns, 3.0)
    found = find_minima(memory, generator=generator(0, "x"))
    shared = basins(memory, found, draws=2000, generator=generator(0, "draws"))
    assert (shared.total, shared.elsewhere, int(shared.counts.sum())) == (2000, 0, 2000)
    assert shared.shares.tolist() == pytest.approx([0.25] * 4, abs=5 * math.sqrt(0.25 * 0.75 / 2000))
    quick, counted = survey(memory, draws=2000, generator=generator(0, "draws"))
    assert torch.equal(quick.points[:, 0] > 0.5, found.points[:, 0] > 0.5) or len(quick) == 4
    assert sorted(counted.counts.tolist()) == sorted(shared.counts.tolist())
    assert torch.isnan(quick.barrier).all()  # all are memories


def test_draws_to_a_minimum_not_listed_are_counted():
    memory = DenseAM(pair(10.0), 1.0)
    one = find_minima(DenseAM(pair(10.0)[:1], 1.0), generator=generator(0, "x"))
    shared = basins(memory, one, draws=100, generator=generator(0, "draws"))
    assert int(shared.counts.sum()) + shared.elsewhere == 100
    assert 30 < shared.elsewhere < 70


def test_barrier_of_far_patterns_is_the_ridge_between_them():
    # At the mid-point of two far patterns: beta d^2 / 4 - log 2, a ridge much narrower than the string.
    memory = DenseAM(pair(3.0), 100.0)
    points = pair(3.0)
    both = torch.ones(2, dtype=torch.bool)
    found = find_barriers(memory, points, torch.full((2,), 1e-3).double(), of=both)
    assert found.height.tolist() == pytest.approx([225 - math.log(2)] * 2, rel=1e-9)
    assert found.saddles.tolist() == [pytest.approx([1.5, 0.0], abs=1e-9)]
    assert sorted(found.ends[0].tolist()) == [0, 1]
    one = find_barriers(memory, points, torch.full((2,), 1e-3).double(), of=torch.tensor([True, False]))
    assert float(one.height[0]) == pytest.approx(225 - math.log(2))
    assert math.isnan(float(one.height[1]))
    assert one.certified.tolist() == [True, False]


def test_a_minimum_behind_a_pass_is_reported():
    # The string from left to right runs over the middle pattern, which is not listed.
    patterns = torch.tensor([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]], dtype=torch.float64)
    memory = DenseAM(patterns, 5.0)
    found = find_barriers(
        memory, patterns[[0, 2]], torch.full((2,), 1e-3).double(), of=torch.ones(2, dtype=torch.bool)
    )
    assert len(found.strangers) >= 1
    assert torch.allclose(found.strangers, patterns[[1]].expand_as(found.strangers), atol=1e-6)
    assert (found.ends.min(1).values == -1).all()
    assert found.height.isfinite().any()


def test_states_are_located_within_their_radius():
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    radius = torch.tensor([0.1, 0.01], dtype=torch.float64)
    x = torch.tensor([[0.05, 0.0], [1.05, 0.0], [1.005, 0.0]], dtype=torch.float64)
    assert locate(x, points, radius).tolist() == [0, -1, 1]
    assert locate(x, points[:0], radius[:0]).tolist() == [-1, -1, -1]
    assert distinct(x, 0.01).tolist() == [[0.05, 0.0], [1.05, 0.0], [1.005, 0.0]]
    assert len(distinct(x, 0.1)) == 2


@pytest.mark.parametrize(("options", "message"), [({"draws": 0}, "`draws`"), ({"rounds": 0}, "`rounds`")])
def test_bad_search_options(options, message):
    with pytest.raises(ValueError, match=f"{message} must be at least 1, got 0"):
        search(pair(1.0), 1.0, **options)
    with pytest.raises(ValueError, match="`draws` must be at least 1, got 0"):
        survey(DenseAM(pair(1.0), 1.0), draws=0, generator=generator(0))
    with pytest.raises(ValueError, match="`draws` must be at least 1, got 0"):
        basins(DenseAM(pair(1.0), 1.0), search(pair(1.0), 1.0), draws=0, generator=generator(0))


def test_one_draw_leaves_all_unseen_and_many_leave_nothing():
    # Good and Turing: the share of draws that ended where no other draw did.
    assert search(pair(4.0), 1.0, draws=1, rounds=1).unseen == 1.0
    assert search(pair(4.0), 1.0, draws=200, rounds=1).unseen == 0.0


def test_starts_that_do_not_come_to_rest_are_counted(monkeypatch):
    def retrieve_but_one(memory, x):
        found = retrieve(memory, x)
        converged = found.converged.clone()
        converged[0] = False
        return found._replace(converged=converged)

    calm = search(pair(4.0), 1.0, draws=20, rounds=1)
    monkeypatch.setattr("spurion.memory.minima.retrieve", retrieve_but_one)
    found = search(pair(4.0), 1.0, draws=20, rounds=1)
    assert calm.unconverged == 0
    assert found.unconverged == 1  # in the one round, whose starts all descend together
    assert torch.allclose(found.points, calm.points)


def test_copies_of_a_pattern_are_one_memory():
    patterns = torch.tensor([[0.0, 0.0]] * 12 + [[1.0, 0.0]], dtype=torch.float64)
    found = search(patterns, 1e3)
    assert len(found) == 2
    assert [KINDS[kind] for kind in found.kinds()] == ["memory", "memory"]
    assert found.top_weight.tolist() == pytest.approx([1.0, 1.0])
    merged = search(patterns[-2:], 1.0)  # beta d^2 = 1: neither has its own well
    assert [KINDS[kind] for kind in merged.kinds()] == ["spurious"]


@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_minima_do_not_depend_on_the_origin(offset):
    # Two minima just beyond the merging point, far from the origin in units of d.
    patterns = torch.tensor([[offset, 0.0, 0.0], [offset + 1e-5, 0.0, 0.0]], dtype=torch.float64)
    squared = float((patterns[0] - patterns[1]).square().sum())
    assert len(search(patterns, 1.9999 / squared)) == 1
    assert len(search(patterns, 2.0001 / squared)) == 2

"""The exact part against the published table and closed forms."""

import math

import numpy as np
import pytest
import torch

from spurion.circle import phases
from spurion.circle.config import circle_config
from spurion.circle.landscapes import branches, grid_points, landscape, pattern_set, table
from spurion.circle.phases import (
    _crossing,
    capacity_law,
    mean_interval,
    phase_point,
    ripple_law,
    saturation_law,
)
from spurion.circle.ring import RingEnergy, paper_circle, ring_memory_capacity
from spurion.core.progress import silent
from spurion.core.random import generator
from spurion.memory.dense import DenseAM
from spurion.memory.patterns import random_circle

# Minima and memories of the paper's sets by time, from an independent search on a grid.
TIMES = (1.0, 0.5, 0.25, 0.15, 0.05, 0.02, 0.005, 0.001, 1e-5)
KNOWN = {
    2: ([1, 2, 2, 2, 2, 2, 2, 2, 2], [0, 2, 2, 2, 2, 2, 2, 2, 2]),
    4: ([1, 1, 2, 3, 3, 3, 4, 4, 4], [0, 0, 1, 2, 2, 2, 4, 4, 4]),
    9: ([1, 2, 2, 3, 3, 5, 7, 8, 9], [0, 0, 0, 0, 0, 1, 5, 7, 9]),
}


def angles(state):
    return sorted(round(math.degrees(math.atan2(m.y, m.x)) % 360, 1) for m in state.minima)


@pytest.mark.parametrize("count", KNOWN)
def test_the_whole_table_of_minima(count):
    states = table(circle_config(), count, silent)
    assert [1 / (2 * state.beta) for state in states] == pytest.approx(TIMES)
    minima, memories = KNOWN[count]
    assert [len(state.minima) for state in states] == minima
    assert [sum(m.kind == "memory" for m in state.minima) for state in states] == memories
    assert all(state.minima[0].energy == 0 for state in states)
    assert all(m.curvature[0] > 0 and m.curvature[1] <= 2 + 1e-9 for s in states for m in s.minima)
    if count == 9:
        assert angles(states[1]) == [158.9, 329.2]
        assert angles(states[2]) == [148.7, 333.4]
        assert angles(states[3]) == [146.0, 214.2, 331.9]
        assert angles(states[4]) == [145.3, 217.2, 325.9]
        assert angles(states[5]) == [136.9, 153.9, 217.2, 325.0, 356.4]
        # Plain mean shift in float64 gives -0.373782, -0.269765, -0.219097.
        assert [m.energy for m in states[3].minima] == pytest.approx([0, 0.104017, 0.154685], abs=2e-6)
        assert round(states[0].minima[0].effective_number, 1) == 7.9


def test_landscapes_hold_the_exact_energies(tmp_path):
    config = circle_config(overrides=["landscapes={counts: [3], betas: [0.8, 5], points: 7, extent: 2}"])
    calls = []
    for count, exact in ((3, lambda beta: DenseAM(paper_circle(3), beta)), (None, RingEnergy)):
        path = tmp_path / f"{count}.npz"
        states = landscape(config, count, path, lambda *call: calls.append(call))
        with np.load(path) as stored:
            assert stored["betas"].tolist() == [0.8, 5]
            for row, beta in enumerate((0.8, 5)):
                # Row i, column j of the grid is the point (x_j, y_i), rows from the bottom.
                at = torch.tensor([[-2 + 4 * 5 / 6, -2 + 4 * 1 / 6]], dtype=torch.float64)
                assert stored["energy"][row, 1, 5] == pytest.approx(float(exact(beta).energy(at)), abs=1e-5)
                score = exact(beta).score(at)[0].tolist()
                assert stored["score"][row, 1, 5].tolist() == pytest.approx(score, abs=1e-4)
        assert [state.beta for state in states] == [0.8, 5]
    assert [state.ring for state in states] == pytest.approx([0, RingEnergy(5.0).radius])
    assert states[0].minima == ()
    assert calls == [(1, 2), (2, 2)] * 2


def test_grid_points_run_by_row_from_the_bottom():
    assert grid_points(2, 1.5).tolist() == [[-1.5, -1.5], [1.5, -1.5], [-1.5, 1.5], [1.5, 1.5]]


def test_sets_are_nested_and_random_ones_follow_the_seed():
    paper = circle_config()
    assert torch.equal(pattern_set(paper, 9), paper_circle(9))
    drawn = circle_config(overrides=["patterns=random", "seed=3"])
    assert torch.equal(pattern_set(drawn, 5), pattern_set(drawn, 9)[:5])
    other = circle_config(overrides=["patterns=random", "seed=4"])
    assert not torch.equal(pattern_set(drawn, 5), pattern_set(other, 5))


def test_two_patterns_merge_where_beta_d_squared_is_two():
    config = circle_config(overrides=["branches={counts: [2], lowest: 0.3, highest: 3, steps: 3}"])
    found = branches(config, 2, silent)
    first, second = paper_circle(2)
    (merge,) = found.merges
    assert merge.beta * float((first - second).square().sum()) == pytest.approx(2, abs=1e-6)
    middle = (first + second) / 2
    assert (merge.x, merge.y) == pytest.approx(tuple(middle.tolist()), abs=1e-2)
    assert found.minima == (2, 2, 1)
    assert found.betas == pytest.approx((3, math.sqrt(0.9), 0.3))


def test_mean_interval_is_students():
    values = torch.tensor([1.0, 2.0, 4.0, 5.0], dtype=torch.float64)
    found = mean_interval(values)
    # Standard error sqrt(10/3) / 2; the quantile of Student's t with 3 degrees is 3.1824.
    assert found.value == 3
    assert found.high - 3 == pytest.approx(3.1824 * math.sqrt(10 / 3) / 2, rel=1e-4)
    assert found.low == pytest.approx(3 - 3.1824 * math.sqrt(10 / 3) / 2, abs=1e-3)
    assert mean_interval(values, low=2.5, high=4.0).model_dump() == {"value": 3, "low": 2.5, "high": 4}


def test_sets_that_agree_leave_the_exact_bound():
    # All of n sets at 0: a share of sets up to 1 - 0.05^(1/n) may still be at 1.
    found = mean_interval(torch.zeros(12, dtype=torch.float64), high=1.0)
    assert (found.value, found.low) == (0, 0)
    assert (1 - found.high) ** 12 == pytest.approx(0.05)


def test_phase_points_are_means_over_sets():
    point = phase_point(2, 10.0, sets=6, draws=3, seed=0, progress=silent)
    widths = []
    for index in range(6):
        pair = random_circle(2, generator=generator(0, "capacity", "set", index))
        widths.append(10 * float((pair[0] - pair[1]).square().sum()) / 4)
    assert point.memory.value == pytest.approx(np.mean([w >= math.log(3) / 1.6 for w in widths]))
    assert point.minima.value == pytest.approx(np.mean([1 + (w > 0.5) for w in widths]))
    total = point.memory.value + point.spurious.value + point.continuum.value + point.elsewhere
    assert total == pytest.approx(1)
    assert sum(point.shares) == pytest.approx(1)
    assert point.memories.value == pytest.approx(point.shares[0] * point.minima.value)
    assert (point.count, point.beta, point.sets) == (2, 10.0, 6)


def test_half_of_the_density_is_where_the_line_crosses():
    counts = [4, 8, 16]
    assert _crossing(counts, np.array([0.8, 0.6, 0.4])) == pytest.approx(8 * math.sqrt(2))
    assert _crossing(counts, np.array([0.4, 0.6, 0.8])) is None
    assert _crossing([1], np.array([0.9])) is None


def test_memories_hold_half_near_the_law():
    # 40 sets leave a standard error near 0.04 in the shares, 12 % in K; the law itself is good to 20 %.
    law = capacity_law(10.0, sets=40, draws=10, seed=0, progress=silent)
    assert law.predicted == ring_memory_capacity(10.0)
    assert law.found.value == pytest.approx(law.predicted, rel=0.2)
    assert law.found.low < law.found.value < law.found.high


def test_a_law_out_of_reach_has_no_number(monkeypatch):
    counts = []
    monkeypatch.setattr(phases, "_memory_share", lambda count, *rest: counts.append(count) or 0.5)
    assert capacity_law(0.05, sets=2, draws=2, seed=0, progress=silent).found is None
    assert counts == [1, 1]


def test_saturation_needs_many_patterns():
    few, many = (phase_point(k, 2.0, sets=2, draws=4, seed=0, progress=silent) for k in (3, 60))
    assert [law.found for law in saturation_law([few])] == [None]
    (law,) = saturation_law([few, many])
    assert law.found == many.minima
    assert law.predicted == pytest.approx(1.7 * math.sqrt(2))


def test_the_ripple_follows_its_law():
    # The relative variance of a sum of 300 bumps; the law's next term lowers it by 1 / 18.
    law = ripple_law(50.0, 300, sets=12, seed=0)
    assert law.found.value == pytest.approx(law.predicted, rel=0.12)
    assert law.found.low < law.found.value < law.found.high

import pytest
import torch

from spurion.circle.ring import paper_circle
from spurion.core.random import generator
from spurion.memory.branches import track
from spurion.memory.dense import DenseAM
from spurion.memory.minima import find_minima


def follow(patterns, betas, **options):
    return track(DenseAM(patterns, 1.0), betas, generator=generator(0, "track"), **options)


@pytest.mark.parametrize("distance", [0.3, 1.0, 5.0])
def test_two_patterns_merge_at_beta_d2_of_two(distance):
    patterns = torch.tensor([[0.0, 0.0], [distance, 0.0]], dtype=torch.float64)
    calls = []
    found = follow(patterns, [0.1 / distance**2, 20 / distance**2], progress=lambda *args: calls.append(args))
    assert calls == [(1, 2), (2, 2)]
    assert [m.beta * distance**2 for m in found.merges] == pytest.approx([2], abs=1e-6)
    assert [len(m) for m in found.minima] == [2, 1]
    ended = found.merges[0]
    assert sorted([ended.branch, ended.into]) == [0, 1]
    assert [len(b.points) for b in found.branches] == ([1, 2] if ended.branch == 0 else [2, 1])
    assert torch.allclose(ended.point, torch.tensor([distance / 2, 0.0]).double(), atol=0.01 * distance)


def test_nine_patterns_of_the_paper_merge_pairwise():
    times = [0.001, 0.005, 0.02]
    found = follow(paper_circle(9), [1 / (2 * t) for t in times[::-1]])
    assert found.betas == tuple(1 / (2 * t) for t in times)
    assert [len(m) for m in found.minima] == [8, 7, 5]
    assert len(found.branches) == 8
    assert len(found.merges) == 3
    betas = [m.beta for m in found.merges]
    assert betas == sorted(betas, reverse=True)
    for merge in found.merges:
        assert merge.branch != merge.into
        counts = []
        for factor in (1.001, 0.999):
            memory = DenseAM(paper_circle(9), merge.beta * factor)
            counts.append(len(find_minima(memory, generator=generator(0, "near"), draws=16)))
        assert counts[0] - counts[1] == 1
    for branch in found.branches:
        assert branch.first == 0
        assert len(branch.points) == len(branch.energies)


def test_a_minimum_without_predecessor_starts_a_branch():
    # Four patterns at the corners of a square: their common center is a minimum only once they have merged,
    # and by then the four minima lie on it.
    square = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    found = follow(square, [5.0, 0.6, 0.4])
    assert [len(m) for m in found.minima] == [4, 4, 1]
    assert len(found.merges) == 3
    # The covariance at the center is the identity: 2 - 4 beta = 0 at beta = 1/2.
    assert [m.beta for m in found.merges] == pytest.approx([0.5] * 3, abs=1e-6)


def test_at_least_two_temperatures():
    with pytest.raises(
        ValueError, match=r"`betas` must hold at least two different values, got \[1\.0, 1\.0\]"
    ):
        follow(torch.zeros(1, 2), [1.0, 1.0])

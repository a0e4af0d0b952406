"""Families of near copies, against distances between all pairs, and the split that keeps them whole."""

import pytest
import torch

from spurion.data import ImageSet
from spurion.data.families import near_families, near_pairs
from spurion.data.split import hold_out_families


def images(n, side, seed=0, most=256):
    return torch.randint(
        most, (n, 2, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize(("n", "side", "distance"), [(40, 8, 8.6), (40, 7, 7.5), (30, 3, 2.4), (600, 4, 2.7)])
def test_pairs_are_those_of_all_distances(n, side, distance):
    levels = images(n, side)
    rows = levels.flatten(1).double() / 127.5
    every = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    expected = (every < distance).triu(1).nonzero()
    assert 0 < len(expected) < n * (n - 1) / 2
    assert sorted(near_pairs(levels, distance).tolist()) == expected.tolist()


def test_the_distance_itself_is_not_near():
    levels = torch.tensor([0, 51, 102], dtype=torch.uint8).reshape(3, 1, 1, 1)  # steps of 0.4
    assert near_pairs(levels, 0.4).tolist() == []
    assert near_pairs(levels, 0.4 + 1e-9).tolist() == [[0, 1], [1, 2]]
    assert near_pairs(levels, 0.0).tolist() == []


def test_families_are_all_that_links_reach():
    levels = torch.tensor([0, 100, 1, 200, 2, 102, 250], dtype=torch.uint8).reshape(-1, 1, 1, 1)
    assert near_families(levels, [[]] * 7, 0.012).tolist() == [0, 1, 0, 3, 0, 5, 6]
    keys = [["a"], [], [], ["b", "a"], [], ["b"], ["c"]]
    assert near_families(levels, keys, 0.0).tolist() == [0, 1, 2, 0, 4, 0, 6]
    assert near_families(levels, keys, 0.02).tolist() == [0, 0, 0, 0, 0, 0, 6]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="`keys` must be given for each of the 3 images, got 2"):
        near_families(images(3, 4), [[], []], 1.0)
    with pytest.raises(ValueError, match="`distance` must be at least 0 and finite, got -1"):
        near_pairs(images(3, 4), -1.0)
    with pytest.raises(ValueError, match="`distance` must be at least 0 and finite, got nan"):
        near_pairs(images(3, 4), float("nan"))


def ramp(n):
    return ImageSet(torch.linspace(-1, 1, n).reshape(n, 1, 1, 1), "ramp", tuple(str(i) for i in range(n)))


def test_families_are_held_out_whole_and_large_ones_never():
    families = torch.tensor([0] * 30 + [7] * 5 + [1] * 5 + [*range(100, 160)])
    split = hold_out_families(ramp(100), 0.2, families)
    held = [int(name) for name in split.holdout.item_names]
    assert len(held) == 20
    assert held == sorted(held)
    assert [int(name) for name in split.train.item_names] == [i for i in range(100) if i not in held]
    assert min(held) >= 30
    for part in (range(30, 35), range(35, 40)):
        assert len({i in held for i in part}) == 1
    assert split.holdout.name == "ramp (held out)"
    assert hold_out_families(ramp(100), 0.2, families).holdout.sha256 == split.holdout.sha256


def test_a_quarter_may_be_held_out_and_fewer_where_nothing_fits():
    twos = torch.arange(40) // 2
    assert len(hold_out_families(ramp(40), 0.2, twos).holdout) == 8
    assert len(hold_out_families(ramp(36), 0.25, torch.arange(36) // 2).holdout) == 8  # of 9
    with pytest.raises(ValueError, match="one of at most a quarter of the 8 images to hold out"):
        hold_out_families(ramp(42), 0.2, torch.arange(42) // 3)


def test_bad_splits_are_refused():
    with pytest.raises(ValueError, match="`families` must be given for each of the 10 images, got 9"):
        hold_out_families(ramp(10), 0.2, torch.arange(9))
    with pytest.raises(ValueError, match="fraction that leaves images on both sides, got 1 of 10"):
        hold_out_families(ramp(10), 1.0, torch.arange(10))


def test_the_bound_is_no_larger_than_the_distance():
    levels = images(60, 2).repeat_interleave(4, 2).repeat_interleave(4, 3)  # equal to their blocks' means
    rows = levels.flatten(1).double() / 127.5
    every = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    for distance in (4.0, 6.0, 8.0):
        expected = (every < distance).triu(1).nonzero().tolist()
        assert expected
        assert sorted(near_pairs(levels, distance).tolist()) == expected

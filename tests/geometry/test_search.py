import pytest
import torch

from spurion.core.random import generator
from spurion.geometry.search import bisect, scan


class Table:
    """Trials that succeed as a table (n, M, L) says, and remembers them."""

    def __init__(self, success):
        self.success, self.made = success, []

    def __call__(self, points, draws, levels):
        self.made += list(zip(points.tolist(), draws.tolist(), levels.tolist(), strict=True))
        return self.success[points, draws, levels]


def monotone(own, levels):
    """The table of draws with these own levels."""
    return own.unsqueeze(2) >= torch.arange(levels)


def random_own(points, draws, levels, *path):
    return torch.randint(-1, levels, (points, draws), generator=generator(0, "own", *path))


def checks(points, draws):
    return torch.rand(points, draws, generator=generator(0, "checks"))


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize(
    ("draws", "levels", "needed"), [(1, 1, 1), (1, 40, 1), (10, 40, 9), (10, 40, 10), (10, 7, 1), (3, 2, 2)]
)
def test_both_find_the_levels_of_a_monotone_table(draws, levels, needed, every):
    own = random_own(200, draws, levels, draws, levels, needed)
    critical = own.sort(dim=1, descending=True).values[:, needed - 1]
    table, points = monotone(own, levels), torch.arange(200)
    scanned = scan(Table(table), points, draws, levels, needed, every)
    bisected = bisect(Table(table), points, draws, checks(200, draws), levels, needed, every)
    for found in (scanned, bisected):
        assert torch.equal(found.critical, critical)
        assert torch.equal(found.own, own if every else own.minimum(critical.unsqueeze(1)))
        assert found.monotone.all()
        assert not found.undecided.any()


@pytest.mark.parametrize(("every", "most"), [(False, 34), (True, 50)])
def test_bisection_makes_no_trial_twice_and_few_in_all(every, most):
    # Own levels as models have them, some three levels around that of the point. Plain bisection of every
    # draw would need log2(41) = 5.4 trials for each; a scan 10 for each level, 180 on the average.
    points, draws, levels, random = 300, 10, 40, generator(0, "cluster")
    center = 5 + 25 * torch.rand(points, 1, generator=random)
    own = (center + 3 * torch.randn(points, draws, generator=random)).long().clamp(-1, levels - 1)
    table = Table(monotone(own, levels))
    bisect(table, torch.arange(points), draws, torch.zeros(points, 0), levels, 9, every)
    assert len(table.made) == len(set(table.made))
    assert len(table.made) / points < most


def test_checks_are_made_below_what_is_known():
    own = torch.tensor([[8, 8, 8], [0, 8, 0]])
    table = Table(monotone(own, 9))
    bisect(table, torch.arange(2), 3, torch.tensor([[0.3, 0.99], [0.5, 0.99]]), 9, 2, True)
    # Of the last two draws those known to succeed above level 0: at 0.3 * 8, 0.99 * 8, 0.5 * 8, rounded down.
    assert table.made[-3:] == [(0, 1, 2), (0, 2, 7), (1, 1, 4)]


def test_the_other_draws_walk_from_the_level_of_the_first():
    # The first draw: level 0, then bisection of 0..40 down to 16. The second begins there and walks down by a
    # quarter of the level, rounded down, until it succeeds; then it is bisected.
    table = Table(monotone(torch.tensor([[16, 8]]), 40))
    bisect(table, torch.arange(1), 2, torch.zeros(1, 0), 40, 2, True)
    assert [level for _, draw, level in table.made if draw == 0] == [0, 20, 10, 15, 17, 16]
    assert [level for _, draw, level in table.made if draw == 1] == [16, 12, 9, 7, 8]
    # And up: by a quarter of the next level, at least one.
    table = Table(monotone(torch.tensor([[16, 23]]), 40))
    bisect(table, torch.arange(1), 2, torch.zeros(1, 0), 40, 1, True)
    assert [level for _, draw, level in table.made if draw == 1] == [16, 20, 25, 22, 23, 24]


def test_scan_tries_everything_up_to_the_first_level_where_too_few_succeed():
    table = Table(monotone(torch.tensor([[2, 5, 5], [-1, -1, 5]]), 8))
    found = scan(table, torch.arange(2), 3, 8, 2, False)
    assert found.critical.tolist() == [5, -1]
    assert found.own.tolist() == [[2, 5, 5], [-1, -1, -1]]
    assert len(table.made) == 3 * 7 + 3 * 1


def test_scan_goes_by_the_first_failure():
    success = torch.ones(1, 3, 6, dtype=torch.bool)
    success[0, 0, 2] = False  # one of three fails at level 2 only: its own level is 1
    success[0, :2, 4] = False  # two fail at level 4, and all succeed again above
    found = scan(Table(success), torch.arange(1), 3, 6, 2, False)
    assert found.critical.tolist() == [3]
    assert found.own.tolist() == [[1, 3, 3]]
    assert not found.monotone.any()


def test_scan_for_every_draw_climbs_on_but_keeps_the_critical_level():
    success = torch.ones(1, 3, 6, dtype=torch.bool)
    success[0, :2, 2] = False
    success[0, 2, 5] = False
    found = scan(Table(success), torch.arange(1), 3, 6, 2, True)
    assert found.critical.tolist() == [1]
    assert found.own.tolist() == [[1, 1, 4]]


def test_scan_of_a_draw_that_fails_everywhere_while_enough_succeed():
    success = torch.ones(1, 2, 4, dtype=torch.bool)
    success[0, 0, 0] = success[0, 1, 1] = False  # each fails once, one of two always succeeds
    found = scan(Table(success), torch.arange(1), 2, 4, 1, True)
    assert found.critical.tolist() == [3]
    assert found.own.tolist() == [[-1, 0]]


@pytest.mark.parametrize("every", [False, True])
def test_points_where_the_two_disagree_are_undecided_and_have_the_first_failure(every):
    own = torch.tensor([[30] * 4, [30] * 4, [12] * 4])
    success = monotone(own, 40)
    success[1, :, 5:15] = False  # nothing succeeds in between
    found = bisect(Table(success), torch.arange(3), 4, torch.full((3, 4), 0.4), 40, 3, every)
    assert found.critical.tolist() == [30, 4, 12]
    assert found.own.tolist() == [[30] * 4, [4] * 4, [12] * 4]
    assert found.monotone.tolist() == [True, False, True]
    assert found.undecided.tolist() == [False, True, False]


def test_one_draw_that_is_not_monotone_decides_nothing():
    success = monotone(torch.tensor([[30] * 4]), 40)
    success[0, 3, 10:14] = False
    found = bisect(Table(success), torch.arange(1), 4, torch.full((1, 4), 0.4), 40, 3, False)
    assert found.critical.tolist() == [30]
    assert found.own.tolist() == [[30, 30, 30, 9]]
    assert found.monotone.tolist() == [False]
    assert found.undecided.tolist() == [False]


def test_only_the_points_asked_for_are_tried():
    table = Table(monotone(random_own(6, 2, 9), 9))
    points = torch.tensor([4, 1])
    found = bisect(table, points, 2, checks(2, 2), 9, 2, False)
    assert {point for point, _, _ in table.made} == {1, 4}
    assert torch.equal(found.critical, (table.success[points].sum(2) - 1).min(dim=1).values)

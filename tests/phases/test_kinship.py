"""Sets drawn alike and sets that are not."""

import sys

import pytest
import torch

from spurion.core.random import generator
from spurion.phases.kinship import MARGIN, Kinship, kinship
from spurion.statistics.intervals import Interval

module = sys.modules["spurion.phases.kinship"]  # the package has a function of this name


def drawn(count, *path, scale=1.0):
    return scale * torch.randn(count, 1, 3, 4, generator=generator(0, "kinship test", *path))


def test_shares_are_those_of_a_table_of_all_distances():
    first, second = drawn(40, "a"), drawn(40, "b", scale=1.3)
    found = kinship(first, second, seed=0)
    pool = torch.cat([first, second]).flatten(1).double()
    table = (pool[:, None] - pool[None]).square().sum(2).fill_diagonal_(torch.inf)
    own = (table.argmin(1) < 40) == (torch.arange(80) < 40)
    assert found.first.value == own[:40].double().mean()
    assert found.second.value == own[40:].double().mean()


@pytest.mark.parametrize("seed", range(20))
def test_one_source_is_alike_and_two_differ(seed):
    first, second = drawn(500, "first", seed), drawn(300, "second", seed)
    alike = kinship(first, second, seed=seed)
    assert (alike.alike(), alike.differ()) == (True, False)
    apart = kinship(first, drawn(300, "wider", seed, scale=2.0), seed=seed)
    assert (apart.alike(), apart.differ()) == (False, True)


def test_what_is_neither_is_neither():
    """Few images: the shares are too wide for either answer."""
    few = kinship(drawn(8, "a"), drawn(9, "b"), seed=0)
    assert (few.alike(), few.differ()) == (False, False)


@pytest.mark.parametrize(
    ("low", "high", "alike", "differ"),
    [
        (0.5 - MARGIN, 0.5 + MARGIN, True, False),
        (0.5 - MARGIN - 0.01, 0.6, False, False),
        (0.4, 0.5 + MARGIN + 0.01, False, False),
        (0.1, 0.5 - MARGIN - 0.01, False, True),
        (0.1, 0.5 - MARGIN, False, False),
        (0.5 + MARGIN + 0.01, 0.9, False, True),
        (0.5 + MARGIN, 0.9, False, False),
    ],
)
def test_one_share_decides_that_sets_differ_and_both_that_they_are_alike(low, high, alike, differ):
    even, share = Interval(value=0.5, low=0.45, high=0.55), Interval(value=0.5, low=low, high=high)
    for found in (Kinship(even, share), Kinship(share, even)):
        assert (found.alike(), found.differ()) == (alike, differ)


def test_ties_count_half():
    """Equal images everywhere: every nearest image is as near in either set."""
    found = kinship(torch.zeros(6, 2), torch.zeros(6, 2), seed=0)
    assert (found.first.value, found.second.value) == (0.5, 0.5)


def test_sizes(monkeypatch):
    assert kinship(torch.zeros(1, 2), torch.zeros(5, 2), seed=0) is None
    assert kinship(torch.zeros(0, 2), torch.zeros(5, 2), seed=0) is None
    assert kinship(drawn(2, "a"), drawn(2, "b"), seed=0) is not None
    sizes = []
    exact = module.proportion
    monkeypatch.setattr(module, "proportion", lambda share, n: [sizes.append(n), exact(share, n)][1])
    kinship(drawn(500, "a"), drawn(450, "b"), seed=0)
    for most in (120, 23):
        monkeypatch.setattr(module, "MOST_ELEMENTS", most)
        kinship(drawn(50, "a"), drawn(45, "b"), seed=0)
    assert sizes == [400, 400, 10, 10, 2, 2]

import itertools

import pytest

from spurion.studies.grid import paper_grid

TABLE = [(4000, 32000, 60000), (4000, 16000, 60000), (2000, 16000, 50000), (2000, 16000, 126227)]


@pytest.mark.parametrize(("first_drop", "plateau", "available"), TABLE)
def test_the_paper_s_grid(first_drop, plateau, available):
    grid = paper_grid(first_drop, plateau, available)
    assert len(grid) == 38
    assert grid[:5] == tuple(round(2 + i * (first_drop - 2) / 4) for i in range(5))
    steps = [b - a for a, b in itertools.pairwise(grid[4:34])]
    assert max(steps) - min(steps) <= 1
    assert sum(steps) == plateau - first_drop
    assert grid[33:] == tuple(round(plateau + i * (available - plateau) / 4) for i in range(5))


def test_order_is_required():
    with pytest.raises(ValueError, match="smallest < A < B < N, got 2, 16, 16 and 20"):
        paper_grid(16, 16, 20)

"""What is odd about real images, where it was planted and where it was not."""

import math

import pytest
import torch

from spurion.core.random import generator
from spurion.neighbors.distances.l2 import L2
from spurion.phases.anchor import Anchor, anchor_among, anchor_of
from spurion.phases.clusters import clusters
from spurion.phases.reality import real_reading


def cube(count, name, dim=5):
    """Images of uniform pixels, float64."""
    random = generator(0, "reality", name)
    return torch.rand(count, 1, 1, dim, generator=random, dtype=torch.float64) * 2 - 1


def reading(images, **more):
    return real_reading(anchor_among(images, L2(), seed=0), 0.01, 1000, L2(), **more)


def with_copies(images, pairs, jitter):
    """Near copies of the first images in place of the last ones."""
    noise = torch.randn(pairs, *images.shape[1:], generator=generator(0, "jitter"), dtype=images.dtype)
    return torch.cat([images[:-pairs], images[:pairs] + jitter * noise])


@pytest.mark.parametrize("count", [150, 600, 2000])
def test_near_copies_are_counted_whatever_sets_the_quantile(count):
    """5 % of the images have a near copy: below a thirtieth of 600 images, above it of 150."""
    pairs = count // 40
    found = reading(with_copies(cube(count, "copies"), pairs, 0.002))
    assert found.near_copies == 2 * pairs
    assert found.near_copies_p_value <= 0.01


@pytest.mark.parametrize("seed", range(20))
def test_honest_images_have_no_near_copies(seed):
    found = reading(cube(400, f"honest {seed}"))
    assert (
        found.near_copies_p_value > 0.001
    )  # 20 seeds: the smallest of 20 p-values is below it 2 % of the time


def test_a_dense_kind_is_no_near_copy():
    """Half of the images lie within a cube a hundredth as wide: near each other, but so are their tenth."""
    images = cube(400, "kinds")
    images[:200] *= 0.01
    assert reading(images).near_copies_p_value > 0.01


def test_the_group_that_the_rule_wrongs_is_found():
    """A tenth of the images lie in a denser cube apart: most of the images below any threshold are theirs."""
    images = cube(600, "uneven")
    images[:60] = 3 + 0.3 * images[:60]
    found = reading(images).uneven
    assert found.share == pytest.approx(0.1, abs=0.01)
    assert found.rate > 4 * found.overall
    assert found.p_value < 1e-6
    even = reading(cube(600, "even")).uneven
    assert even.p_value > 0.001


def test_groups_are_those_that_lie_apart():
    apart = torch.cat([cube(100, "a"), cube(100, "b") + 20])
    groups = clusters(apart, L2(), seed=0)
    assert not set(groups[:100].tolist()) & set(groups[100:].tolist())
    assert clusters(cube(79, "few"), L2(), seed=0).unique().tolist() == [0]


def test_a_law_of_one_dimension_does_not_shift():
    """On a line, neighbors lie at multiples of a step: the dimension of five and of ten neighbors agree."""
    line = torch.linspace(-1, 1, 500, dtype=torch.float64).reshape(-1, 1, 1, 1)
    shift = reading(line + 1e-4 * cube(500, "line", 1)).shift
    assert shift < 1.2


def test_the_shift_is_the_ratio_of_thresholds_at_two_dimensions():
    images = with_copies(cube(200, "shift"), 40, 0.05)
    anchor = anchor_among(images, L2(), seed=0)
    logs = anchor.distances.log()
    other = 4 * 200 / float((logs[:, 4:5] - logs[:, :4]).sum())
    beta, d = 30 / 201, anchor.dimension
    factors = (0.01 / beta, 0.01 / beta * 199 / 999)
    expected = max(math.exp(abs(math.log(factor) * (1 / other - 1 / d))) for factor in factors)
    found = real_reading(anchor, 0.01, 1000, L2()).shift
    assert found == pytest.approx(expected, rel=1e-9)


def test_typical_is_the_median_spacing_at_the_number_of_samples():
    anchor = anchor_of(torch.ones(300, dtype=torch.float64), cube(300, "typical"), L2(), seed=0)
    median = float(anchor.to_others.sort().values[149])
    found = real_reading(anchor, 0.01, 1000, L2())
    assert found.typical == pytest.approx(median * (299 / 999) ** (1 / anchor.dimension), rel=1e-9)


def test_no_groups_and_equal_distances():
    distances = torch.ones(100, 10, dtype=torch.float64)
    anchor = Anchor(torch.ones(100, dtype=torch.float64), distances, torch.zeros(100, 10).long(), True)
    found = real_reading(anchor, 0.01, 1000, L2())
    assert (found.uneven, found.near_copies, found.shift) == (None, 0, 1.0)

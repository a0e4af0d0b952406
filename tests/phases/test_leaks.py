"""Near copies among held-out images are found, and none among honest ones."""

import pytest
import torch
from scipy.stats import fisher_exact

from spurion.core.random import generator
from spurion.phases.leaks import NATURAL, SPACINGS, near_leaks


def honest(seed, dim, count=200):
    random = generator(seed, "leaks", dim)
    train, held_out = torch.randn(300, dim, generator=random), torch.randn(count, dim, generator=random)
    return torch.cdist(held_out.double(), train.double()).amin(1)


def power_law(seed, dim, count=200):
    """Distances with P(x <= r) = r^dim, for which the law of the spacings is exact."""
    return torch.rand(count, generator=generator(seed, "law", dim), dtype=torch.float64) ** (1 / dim)


@pytest.mark.parametrize("dim", [1, 2, 5, 20])
@pytest.mark.parametrize("draw", [honest, power_law])
def test_honest_images_are_rarely_accused(draw, dim):
    accused = sum(len(near_leaks(draw(seed, dim))) > 0 for seed in range(300))
    assert (
        accused <= 9
    )  # 1 % are allowed by the bound over all places: 3 of 300, here 3.5 standard errors more


@pytest.mark.parametrize("leaks", [1, 3, 12])
@pytest.mark.parametrize("dim", [10, 50])
def test_near_copies_are_found_nearest_first(leaks, dim):
    distances = honest(0, dim)
    distances[5 : 5 + leaks] = 0.02 * torch.arange(leaks, 0, -1)
    assert near_leaks(distances).tolist() == list(range(4 + leaks, 4, -1))


def test_equal_images_are_another_matter():
    distances = honest(0, 10)
    distances[:4] = 0.0
    assert near_leaks(distances).tolist() == []
    distances[4] = 0.01
    assert near_leaks(distances).tolist() == [4]


def test_the_bound_is_that_of_the_spacings():
    """Below 20 spacings of 1 the lowest of 22 images may have one of 20 (100^(1/20) - 1) = 5.18."""
    above = torch.cat([torch.zeros(1), torch.cumsum(1 / torch.arange(2.0, SPACINGS + 2), 0)]).double()
    for gap, found in ((5.17, 0), (5.19, 1)):
        assert len(near_leaks(torch.cat([above, above[:1] - gap]).exp())) == found


def test_a_gap_must_at_least_double_the_distance():
    distances = 1 + 1e-6 * torch.arange(100.0, dtype=torch.float64)
    for factor, found in ((2.02, 1), (1.98, 0)):
        assert len(near_leaks(torch.cat([distances, torch.tensor([1 / factor])]))) == found


def test_too_few_or_tied_images_accuse_nobody():
    assert len(near_leaks(torch.cat([torch.ones(SPACINGS), torch.tensor([0.001])]))) == 0
    assert near_leaks(torch.cat([torch.ones(SPACINGS + 1), torch.tensor([0.001])])).tolist() == [SPACINGS + 1]
    assert len(near_leaks(torch.ones(50))) == len(near_leaks(torch.zeros(50))) == 0
    assert len(near_leaks(torch.empty(0))) == 0


def test_a_denser_kind_of_image_is_no_leak():
    """10 % of all images have a twentieth of the contrast: held-out and training images alike lie near."""
    random = generator(0, "leaks", "mixture")
    train, held_out = torch.randn(500, 64, generator=random), torch.randn(400, 64, generator=random)
    train[:50] *= 0.05
    held_out[:40] *= 0.05
    distances = torch.cdist(held_out.double(), train.double()).amin(1)
    among = torch.cdist(train.double(), train.double()).fill_diagonal_(torch.inf).amin(1)
    assert sorted(near_leaks(distances).tolist()) == list(range(40))
    assert near_leaks(distances, lambda: among).tolist() == []
    assert len(near_leaks(distances, lambda: among[50:])) == 40  # no training image lies as near
    # 4 of 450 training images do, and 40 of 400 held-out images: p = 1e-11
    assert len(near_leaks(distances, lambda: torch.cat([among[:4], among[54:]]))) == 40


def leaked(count, nearest=0.02):
    """200 honest distances, of which so many are replaced by those of near copies, the last the farthest."""
    distances = honest(0, 10)
    distances[:count] = nearest * torch.linspace(0.5, 1.0, count, dtype=torch.float64)
    return distances


@pytest.mark.parametrize("leaks", [8, 12])
def test_the_gap_counts_if_fewer_training_images_lie_below_it_by_fishers_test(leaks):
    """Of 300 training images so many lie as near as the leaks that the p-value passes 0.01 in between."""

    def p_value(alike):
        return fisher_exact([[leaks, 200 - leaks], [alike, 300 - alike]], alternative="greater").pvalue

    alike = next(count for count in range(1, 300) if p_value(count) >= NATURAL)
    assert p_value(alike) < 0.1
    among = torch.ones(300, dtype=torch.float64)
    for count, found in ((alike, 0), (alike - 1, leaks)):
        among[:] = 1.0
        among[:count] = 0.01
        assert len(near_leaks(leaked(leaks), among.clone)) == found


def test_a_training_image_is_as_near_up_to_the_farthest_near_copy():
    """One training image and one held-out image of a few: p is far above 0.01, if the image counts."""
    distances = leaked(2)
    for at, found in ((0.02, 0), (0.0201, 2), (0.015, 0)):
        among = torch.tensor([at, 1.0, 1.0], dtype=torch.float64)
        assert len(near_leaks(distances, among.clone)) == found


def test_training_images_are_looked_at_only_if_there_is_a_gap():
    def never():
        raise AssertionError

    assert len(near_leaks(honest(0, 10), never)) == 0

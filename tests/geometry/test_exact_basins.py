"""Isolated memories, pairs and a dense patch under the exact denoiser: the order that the paper describes."""

import pytest
import torch

from spurion.core.random import generator
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.schedule import DDPMSchedule
from spurion.geometry.critical import basins
from spurion.geometry.volume import log_basin_volume

D, PAIR = 144, 0.3
KINDS = ("isolated", "pair", "middle", "patch")
EACH = 5


def uniform(count, name):
    return torch.rand(count, D, generator=generator(0, "exact", name)) * 1.8 - 0.9


@pytest.fixture(scope="module")
def found():
    """Log-volumes, critical steps and statuses by tolerance and kind."""
    isolated, middle = uniform(60, "isolated"), uniform(EACH, "pair")
    along = torch.randn(EACH, D, generator=generator(0, "exact", "along"))
    along *= PAIR / 2 / along.norm(dim=1, keepdim=True)
    # A four-dimensional cube of side 2 with 1,000 points; those asked about are points of it near its center.
    frame = torch.linalg.qr(torch.randn(D, 4, generator=generator(0, "exact", "frame")))[0].T
    place = torch.rand(1000, 4, generator=generator(0, "exact", "place")) * 2 - 1
    patch = 0.5 * uniform(1, "patch") + place @ frame
    inner = patch[place.abs().max(dim=1).values.argsort()[:EACH]]
    denoiser = ExactDenoiser(torch.cat([isolated, middle + along, middle - along, patch]), DDPMSchedule())
    points = torch.cat([isolated[:EACH], middle + along, middle, inner])
    results = {tolerance: basins(denoiser, points, tolerance, seed=0) for tolerance in (0.1, 0.2, 0.5)}
    return {
        tolerance: dict(
            zip(KINDS, zip(result.critical.split(EACH), result.radius.split(EACH), strict=True), strict=True)
        )
        for tolerance, result in results.items()
    }


def step(found, tolerance, kind):
    """The median critical step; -24 where it is never recovered."""
    return 1 + 25 * int(found[tolerance][kind][0].median())


def test_an_isolated_memory_survives_much_noise_at_every_tolerance(found):
    steps = [step(found, tolerance, "isolated") for tolerance in (0.1, 0.2, 0.5)]
    assert min(steps) >= 276
    assert max(steps) - min(steps) <= 50


def test_a_member_of_a_pair_is_lost_where_the_pair_merges(found):
    # Phi(d / 2 s) = 0.9 at s = d / 2.563 = 0.117, step 29 of the schedule; with ten draws the level scatters.
    assert 1 <= step(found, 0.1, "pair") <= 76
    assert 1 <= step(found, 0.2, "pair") <= 76
    assert step(found, 0.5, "pair") >= 226  # the other member is within the tolerance


def test_the_middle_of_a_pair_is_recovered_only_where_the_tolerance_reaches_a_member(found):
    # The flow ends on a pattern, 0.15 from the middle.
    assert step(found, 0.1, "middle") == -24
    assert step(found, 0.2, "middle") >= 276
    assert step(found, 0.5, "middle") >= 276


def test_a_dense_patch_hardly_survives_any_noise(found):
    assert step(found, 0.1, "patch") <= 1
    assert step(found, 0.2, "patch") <= 26
    assert step(found, 0.5, "patch") <= 101


@pytest.mark.parametrize("tolerance", [0.1, 0.2, 0.5])
def test_memories_lie_deeper_than_the_patch_by_far(found, tolerance):
    # In 144 dimensions a log-volume of 100 is a factor of two in the radius.
    isolated, patch = (log_basin_volume(found[tolerance][kind][1], D) for kind in ("isolated", "patch"))
    assert float(isolated.min()) > float(patch.max()) + 100
    assert 150 < float(isolated.median()) < 210

import math

import pytest
import torch

from spurion.core.random import generator
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.schedule import DDPMSchedule
from spurion.geometry.critical import basins
from spurion.geometry.volume import LogVolume, log_basin_volume


@pytest.mark.parametrize(
    ("dim", "volume"),
    [(1, lambda r: 2 * r), (2, lambda r: math.pi * r**2), (3, lambda r: 4 / 3 * math.pi * r**3)],
)
def test_closed_forms(dim, volume):
    radius = torch.tensor([0.25, 1.0, 7.5], dtype=torch.float64)
    expected = torch.tensor([math.log(volume(r)) for r in radius.tolist()], dtype=torch.float64)
    assert torch.allclose(log_basin_volume(radius, dim), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("radius", [0.5, 10.0])
def test_the_recursion_holds_up_to_12288_dimensions(radius):
    # V_D = V_(D-2) 2 pi R^2 / D. Log-volumes are up to 5e4, so rounding leaves 1e-10 of a step.
    volumes = [float(log_basin_volume(torch.tensor([radius]), dim)) for dim in range(1, 12_289)]
    for dim in range(3, 12_289):
        step = math.log(2 * math.pi * radius**2 / dim)
        assert volumes[dim - 1] - volumes[dim - 3] == pytest.approx(step, abs=1e-9)


def test_four_dimensions_by_counting_random_points():
    # Share of a cube's points inside the unit ball: pi^2 / 32 = 0.308; 4 standard errors.
    points = torch.rand(100_000, 4, generator=generator(0, "ball")) * 2 - 1
    share = float((points.square().sum(1) <= 1).double().mean())
    expected = math.exp(float(log_basin_volume(torch.tensor(1.0), 4))) / 16
    assert abs(share - expected) <= 4 * math.sqrt(expected * (1 - expected) / 100_000)


def test_edges():
    volume = log_basin_volume(torch.tensor([0.0, math.nan, math.inf]), 5)
    assert volume.dtype == torch.float64
    assert volume[0] == -math.inf
    assert volume[1].isnan()
    assert volume[2] == math.inf
    assert log_basin_volume(torch.tensor(2.0), 3072).shape == ()


def test_a_radius_too_small_for_a_float_volume_is_no_trouble():
    assert float(log_basin_volume(torch.tensor(1e-30), 12_288)) == pytest.approx(
        12_288 * math.log(1e-30) + 6144 * math.log(math.pi) - math.lgamma(6145), rel=1e-6
    )


def test_bad_arguments():
    with pytest.raises(ValueError, match="`dim` must be at least 1, got 0"):
        log_basin_volume(torch.tensor([1.0]), 0)
    with pytest.raises(ValueError, match=r"`radius` must not be negative, got a minimum of -2"):
        log_basin_volume(torch.tensor([math.nan, 1.0, -2.0, -1.0]), 3)


def test_the_measure_reads_the_radius_of_the_basins():
    memories = torch.rand(5, 12, generator=generator(0, "volume")) * 1.8 - 0.9
    points = torch.cat([memories[:2], memories[:1] + 0.3])
    result = basins(ExactDenoiser(memories, DDPMSchedule()), points, 0.2, seed=0)
    measured = LogVolume().of(result)
    assert measured.has("measured").tolist() == [True, True, False]
    assert measured.has("never").tolist() == [False, False, True]
    assert torch.equal(measured.values[:2], log_basin_volume(result.radius, 12)[:2])
    assert measured.values[2].isnan()

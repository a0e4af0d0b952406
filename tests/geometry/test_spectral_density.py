import math

import pytest
import torch

from curved import SCHEDULE, Faulty, Turned, network
from spurion.core.random import generator
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.geometry.density import Density, spectral_density
from spurion.geometry.jacobian import ScoreJacobian

T = 26


def random(*path):
    return generator(0, "density", *path)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_shares_of_a_known_spectrum_in_many_coordinates(dtype):
    denoiser = Turned(torch.logspace(1, -5, 3072).to(dtype), (3, 32, 32))
    jacobian = ScoreJacobian(denoiser, torch.zeros(1, 3, 32, 32), T)
    density = spectral_density(jacobian, generator=random())
    rho = denoiser.rho(jacobian.sigma, jacobian.alpha).double()
    for cut in (0.05, 0.2, 0.5, 0.8):
        share, expected = density.share_below(cut), float((rho < cut).double().mean())
        error = abs(float(share.value) - expected)
        assert error < 0.02 * expected  # the bar of 2 %
        assert error < 4 * float(share.standard_error) + float(share.resolution)
        assert float(density.count_below(cut).value) == pytest.approx(3072 * float(share.value), rel=1e-12)
    mean = density.mean()
    assert abs(float(mean.value) - float(rho.mean())) < 4 * float(mean.standard_error)
    assert float(mean.resolution) == 0


def test_standard_errors_are_honest():
    denoiser = Turned(torch.cat([torch.ones(60), torch.zeros(140)]).double(), (200,))
    jacobian = ScoreJacobian(denoiser, torch.zeros(100, 200), T)  # the same point, a hundred times
    share = spectral_density(jacobian, generator=random(), probes=16, steps=5).share_below()
    # Two eigenvalues are integrated exactly by two nodes, so that only probes scatter.
    deviations = (share.value - 0.3) / share.standard_error
    assert 0.75 < deviations.std() < 1.4  # Student's t with 15 degrees of freedom: 1.07
    assert deviations.mean().abs() < 0.4
    # The variance of z^T P z / D with random signs is at most 2 * 0.3 * 0.7 / D.
    assert share.standard_error.mean() <= math.sqrt(2 * 0.3 * 0.7 / 200 / 16)


def test_a_full_quadrature_is_the_spectrum_itself():
    jacobian = ScoreJacobian(network((7,)), torch.rand(2, 7, generator=random()), T)
    matrix = jacobian.full()
    rho = torch.linalg.eigvalsh((matrix + matrix.mT) / 2)
    density = spectral_density(jacobian, generator=random(), probes=3)
    assert density.nodes.shape == density.weights.shape == (2, 3, 7)
    torch.testing.assert_close(density.nodes, rho[:, None].expand(-1, 3, -1), atol=1e-10, rtol=0)
    torch.testing.assert_close(density.weights.sum(2), torch.ones(2, 3).double(), atol=1e-12, rtol=0)


def test_the_share_and_resolution_of_a_quadrature():
    nodes = torch.tensor([[[0.1, 0.5, 0.9], [0.2, 0.6, 0.8]]], dtype=torch.float64)
    weights = torch.tensor([[[0.2, 0.5, 0.3], [0.1, 0.6, 0.3]]], dtype=torch.float64)
    density = Density(nodes, weights, dim=10)
    share = density.share_below(0.5)  # a node at the cut is not below it
    assert float(share.value) == pytest.approx(0.15)
    assert float(share.standard_error) == pytest.approx(0.05)  # of 0.2 and 0.1
    assert float(share.resolution) == pytest.approx(0.55)  # of 0.5 and 0.6
    assert float(density.share_below(2.0).value) == pytest.approx(1.0)
    assert float(density.share_below(2.0).resolution) == pytest.approx(0.3)  # the last nodes
    assert float(density.share_below(-1.0).resolution) == pytest.approx(0.15)  # the first nodes
    count = density.count_below(0.5)
    assert [float(x) for x in (count.value, count.standard_error, count.resolution)] == [
        pytest.approx(1.5),
        pytest.approx(0.5),
        pytest.approx(5.5),
    ]
    assert float(density.mean().value) == pytest.approx((0.54 + 0.62) / 2)


def test_a_memory_of_a_large_image():
    pattern = torch.rand(1, 3, 64, 64, generator=random())
    jacobian = ScoreJacobian(ExactDenoiser(pattern, SCHEDULE), pattern, T)
    density = spectral_density(jacobian, generator=random(), probes=2, steps=5)
    assert float(density.count_below(0.99).value) == pytest.approx(0.0, abs=1e-3)
    assert float(density.count_below(1.01).value) == pytest.approx(12288, abs=1e-3)


def test_one_probe_has_no_standard_error():
    jacobian = ScoreJacobian(network((3,)), torch.zeros(2, 3), T)
    share = spectral_density(jacobian, generator=random(), probes=1).share_below()
    assert share.value.isfinite().all()
    assert share.standard_error.isnan().all()


def test_points_that_fail_do_so_alone(monkeypatch):
    x = torch.tensor([[9.0, 0, 0], [0.1, 0.2, 0.3], [torch.nan, 0, 0]])
    jacobian = ScoreJacobian(Faulty(network((3,))), x, T)
    density = spectral_density(jacobian, generator=random(), probes=2)
    for estimate in (density.count_below(), density.mean()):
        assert estimate.value.isnan().tolist() == [True, False, True]
        assert estimate.standard_error.isnan().tolist() == [True, False, True]
    monkeypatch.setattr("spurion.geometry.density.MEMORY", 2 * 3 * 3 * 2)  # two points at once
    again = spectral_density(jacobian, generator=random(), probes=2)
    torch.testing.assert_close(again.nodes[1], density.nodes[1], atol=1e-10, rtol=0)


def test_bad_densities():
    jacobian = ScoreJacobian(network((3,)), torch.zeros(1, 3), T)
    for arguments in ({"probes": 0}, {"steps": 0}):
        with pytest.raises(ValueError, match="`probes` and `steps` must be at least 1, got"):
            spectral_density(jacobian, generator=random(), **arguments)

import math

import pytest
import torch

from curved import SCHEDULE, Faulty, Turned, network
from spurion.core.random import generator
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
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
        assert error < float(share.error)
        assert float(density.count_below(cut).value) == pytest.approx(3072 * float(share.value), rel=1e-12)
    mean = density.mean()
    assert abs(float(mean.value) - float(rho.mean())) < 2 * float(mean.error)


def test_errors_from_the_scatter_are_honest():
    denoiser = Turned(torch.cat([torch.ones(60), torch.zeros(140)]).double(), (200,))
    jacobian = ScoreJacobian(denoiser, torch.zeros(100, 200), T)  # the same point, a hundred times
    share = spectral_density(jacobian, generator=random(), probes=16, steps=2).share_below()
    # Two eigenvalues are integrated exactly by two nodes, so that only probes scatter; the heavier of the
    # nodes beside the cut, which the quadrature might miss, has what is not below it.
    scatter = share.error - (1 - share.value)
    deviations = (share.value - 0.3) / scatter
    assert 0.35 < deviations.std() < 0.66  # Student's t with 15 degrees of freedom, 1.07, over 2.13
    assert deviations.mean().abs() < 0.2
    assert (deviations.abs() < 1).sum() >= 88  # of 100, at 95 %: 3 standard errors
    # The variance of z^T P z / D with random signs is at most 2 * 0.3 * 0.7 / D.
    assert scatter.mean() <= 2.14 * math.sqrt(2 * 0.3 * 0.7 / 200 / 16)


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
    scatter = 12.7062 * 0.05  # Student's t with one degree of freedom; standard error of 0.2 and 0.1
    assert float(share.error) == pytest.approx(scatter + 0.55)  # the nodes beside: 0.5 and 0.6
    assert float(density.share_below(2.0).value) == pytest.approx(1.0)
    assert float(density.share_below(2.0).error) == pytest.approx(0.3)  # the last nodes; no scatter
    assert float(density.share_below(-1.0).error) == pytest.approx(0.15)  # the first nodes
    count = density.count_below(0.5)
    assert float(count.value) == pytest.approx(1.5)
    assert float(count.error) == pytest.approx(10 * float(share.error))
    assert float(density.mean().value) == pytest.approx((0.54 + 0.62) / 2)
    assert float(density.mean().error) == pytest.approx(12.7062 * 0.04)


def test_probes_that_agree_do_not_hide_a_coarse_quadrature():
    # A diagonal Jacobian gives the same quadrature to all random signs: no scatter, and yet an error.
    denoiser = GaussianDenoiser(torch.zeros(60).double(), torch.logspace(1, -5, 60).double(), SCHEDULE, (60,))
    jacobian = ScoreJacobian(denoiser, torch.zeros(1, 60), T)
    share = spectral_density(jacobian, generator=random(), steps=4).share_below(0.3)
    rho = jacobian.sigma**2 / (jacobian.alpha**2 * denoiser.spectrum.variances + jacobian.sigma**2)
    off = abs(float(share.value) - float((rho < 0.3).double().mean()))
    assert 0.05 < off < float(share.error) < 0.2


def test_a_memory_of_a_large_image():
    pattern = torch.rand(1, 3, 64, 64, generator=random())
    jacobian = ScoreJacobian(ExactDenoiser(pattern, SCHEDULE), pattern, T)
    density = spectral_density(jacobian, generator=random(), probes=2, steps=5)
    assert float(density.count_below(0.99).value) == pytest.approx(0.0, abs=1e-3)
    assert float(density.count_below(1.01).value) == pytest.approx(12288, abs=1e-3)


def test_one_probe_has_no_error():
    jacobian = ScoreJacobian(network((3,)), torch.zeros(2, 3), T)
    share = spectral_density(jacobian, generator=random(), probes=1).share_below()
    assert share.value.isfinite().all()
    assert share.error.isnan().all()


def test_points_that_fail_do_so_alone(monkeypatch):
    x = torch.tensor([[9.0, 0, 0], [0.1, 0.2, 0.3], [torch.nan, 0, 0]])
    jacobian = ScoreJacobian(Faulty(network((3,))), x, T)
    density = spectral_density(jacobian, generator=random(), probes=2)
    for estimate in (density.count_below(), density.mean()):
        assert estimate.value.isnan().tolist() == [True, False, True]
        assert estimate.error.isnan().tolist() == [True, False, True]
    monkeypatch.setattr("spurion.geometry.density.MEMORY", 2 * 3 * 3 * 2)  # two points at once
    again = spectral_density(jacobian, generator=random(), probes=2)
    torch.testing.assert_close(again.nodes[1], density.nodes[1], atol=1e-10, rtol=0)


def test_bad_densities():
    jacobian = ScoreJacobian(network((3,)), torch.zeros(1, 3), T)
    for arguments in ({"probes": 0}, {"steps": 0}):
        with pytest.raises(ValueError, match="`probes` and `steps` must be at least 1, got"):
            spectral_density(jacobian, generator=random(), **arguments)

import pytest
import torch

import spurion.geometry.stiffness as module
from curved import SCHEDULE, Faulty, Turned
from spurion.core.random import generator
from spurion.geometry.density import Density
from spurion.geometry.hessian import curvature
from spurion.geometry.stiffness import FULL_DIM, RANKS, stiffness

T = 150


def model(dim):
    variances = torch.logspace(-3, 0, dim, dtype=torch.float64, base=10)
    return Turned(variances, (dim,))


def coefficients(t):
    time = torch.tensor(t)
    return float(SCHEDULE.alpha(time)), float(SCHEDULE.sigma(time))


def test_few_coordinates_give_the_whole_spectrum():
    denoiser = model(5)
    alpha, sigma = coefficients(T)
    rho = denoiser.rho(sigma, alpha)
    found = stiffness(denoiser, torch.zeros(2, 5, dtype=torch.float64), T, cut=0.5, seed=0)
    assert torch.allclose(found.ranks, rho.expand(2, -1), atol=1e-10)
    assert found.soft_directions.values.tolist() == [float((rho < 0.5).sum())] * 2
    assert found.mean.values[0] == pytest.approx(float(rho.mean()))
    assert found.log_determinant.values[0] == pytest.approx(float(rho.log().sum()))
    # At the mean the score is 0, so FLIPD is the sum of 1 - rho.
    assert found.dimension.values[0] == pytest.approx(float((1 - rho).sum()))
    assert found.asymmetry.tolist() == pytest.approx([0, 0], abs=1e-10)


def test_many_ranks_are_thinned_from_softest_to_stiffest():
    denoiser = model(200)
    x = torch.zeros(1, 200, dtype=torch.float64)
    found, full = stiffness(denoiser, x, T, cut=0.5, seed=0), curvature(denoiser, x, T).rho
    assert found.ranks.shape == (1, RANKS)
    assert (found.ranks[0, 0], found.ranks[0, -1]) == (full[0, 0], full[0, -1])
    assert (found.ranks.diff(dim=1) >= 0).all()


def test_many_coordinates_give_a_density(monkeypatch):
    denoiser = model(300)
    x = torch.randn(3, 300, generator=generator(0, "x"), dtype=torch.float64) * 0.1
    full = stiffness(denoiser, x, T, cut=0.5, seed=0)
    monkeypatch.setattr(module, "FULL_DIM", 100)
    found = stiffness(denoiser, x, T, cut=0.5, seed=0)
    assert found.asymmetry is None
    assert found.spectra is None
    assert found.log_determinant.has("undecided").all()
    for name, tolerance in (("soft_directions", 0.1), ("mean", 0.05), ("dimension", 0.1)):
        # 8 probes of 300 coordinates: relative scatter about sqrt(2 / 2400) = 3 % at the most.
        exact = getattr(full, name).values
        assert torch.allclose(getattr(found, name).values, exact, rtol=tolerance), name
    assert found.ranks.shape == (3, RANKS)
    assert (found.ranks - full.ranks).abs().mean() < 0.03


def test_quantiles_of_a_density_by_hand():
    nodes = torch.tensor([[[0.0, 0.5, 1.0], [0.1, 0.4, 0.9]]], dtype=torch.float64)
    weights = torch.tensor([[[0.2, 0.2, 0.6], [0.2, 0.2, 0.6]]], dtype=torch.float64)
    # Together: 0.0 0.1 0.4 0.5 with weight 0.1 each, 0.9 and 1.0 with 0.3 each.
    found = module._quantiles(Density(nodes, weights, dim=10), 5)
    assert found[0].tolist() == [0.0, 0.4, 0.9, 0.9, 1.0]  # at 0.1, 0.3, 0.5, 0.7, 0.9


@pytest.mark.parametrize("limit", [1, FULL_DIM])
def test_bad_points_fail_alone(monkeypatch, limit):
    monkeypatch.setattr(module, "FULL_DIM", limit)
    denoiser = Faulty(model(6))
    x = torch.zeros(3, 6, dtype=torch.float64)
    x[1, 0] = 9
    x[2, 0] = torch.nan
    found = stiffness(denoiser, x, T, cut=0.5, seed=0)
    for measured in (found.soft_directions, found.dimension, found.mean, found.log_determinant):
        assert measured.has("failed").tolist() == [False, True, True]
    assert found.ranks.isnan().all(dim=1).tolist() == [False, True, True]

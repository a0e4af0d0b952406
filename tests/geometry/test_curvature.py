import math

import pytest
import torch

from curved import SCHEDULE, Faulty, Recording, Turned, network
from spurion.core.random import generator
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.schedule import VESchedule
from spurion.geometry.dimension import flipd, normal_bundle_dimension
from spurion.geometry.hessian import curvature, judged
from spurion.geometry.measured import STATUSES
from spurion.geometry.spectrum import decompose, log_determinant, separation, soft_count, stable_rank

T = 40


def random():
    return generator(0, "curvature")


def values(measured, *, status="measured"):
    assert measured.has(status).all()
    return measured.values


def test_a_gaussian_has_its_spectrum():
    covariance = torch.randn(35, 35, dtype=torch.float64, generator=random()) / 6
    covariance = covariance.T @ covariance
    denoiser = GaussianDenoiser(torch.full((35,), 0.1, dtype=torch.float64), covariance, SCHEDULE, (1, 5, 7))
    x = torch.rand(3, 1, 5, 7, dtype=torch.float64, generator=random())
    found = curvature(denoiser, x, T, batch_size=70)  # two points at once
    assert found.noise == found.sigma / found.alpha
    # -J is the inverse of the covariance of x_t.
    marginal = found.alpha**2 * covariance + found.sigma**2 * torch.eye(35, dtype=torch.float64)
    precision = torch.linalg.inv(marginal)
    raw = torch.linalg.eigvalsh(precision).expand(3, -1)
    torch.testing.assert_close(found.singular / found.sigma**2, raw.flip(1), atol=1e-8, rtol=0)  # the bar
    torch.testing.assert_close(found.rho / found.sigma**2, raw, atol=1e-8, rtol=0)
    assert found.asymmetry.max() < 1e-12
    rho = raw * found.sigma**2
    assert values(found.soft_directions(0.3)).tolist() == [float((rho[0] < 0.3).sum())] * 3
    torch.testing.assert_close(values(found.mean()), rho.mean(1), atol=1e-12, rtol=0)
    torch.testing.assert_close(values(found.log_determinant()), rho.log().sum(1), atol=1e-10, rtol=0)
    torch.testing.assert_close(
        values(found.stable_rank()), rho.square().sum(1) / rho.amax(1) ** 2, atol=1e-10, rtol=0
    )
    score = (found.alpha * (x.flatten(1) - 0.1)) @ precision
    expected = (1 - rho).sum(1) + found.sigma**2 * score.square().sum(1)
    torch.testing.assert_close(values(found.flipd()), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("t", [0, 15, 300])
@pytest.mark.parametrize("shape", [(1,), (1, 3, 5)])
def test_an_isolated_memory_is_flat(shape, t):
    patterns = torch.stack([torch.zeros(shape), torch.full(shape, 100.0)]).double()
    found = curvature(ExactDenoiser(patterns, SCHEDULE), patterns[1:], t)
    dim = math.prod(shape)
    torch.testing.assert_close(found.singular, torch.ones(1, dim).double(), rtol=1e-10, atol=0)
    assert values(found.soft_directions()).tolist() == [0]
    assert values(found.normal_bundle_dimension()).tolist() == [0]
    assert values(found.flipd()).tolist() == [pytest.approx(0, abs=1e-9)]
    assert values(found.log_determinant()).tolist() == [pytest.approx(0, abs=1e-9)]
    assert values(found.stable_rank()).tolist() == [pytest.approx(dim)]
    assert values(found.separation()).tolist() == [pytest.approx(0, abs=1e-12)]


@pytest.mark.parametrize("distance", [0.3, 1.2, 1.4, 1.6])
def test_a_pair_has_one_softer_direction(distance):
    pair = torch.zeros(2, 12, dtype=torch.float64)
    pair[1, 3] = distance
    t = 0.5  # beta = 1: the pair has merged up to a distance of sqrt 2
    found = curvature(ExactDenoiser(pair, VESchedule()), pair.mean(0, keepdim=True), t)
    soft = 1 - distance**2 / 2
    expected = torch.tensor([[soft] + [1] * 11], dtype=torch.float64)
    torch.testing.assert_close(found.rho, expected, atol=1e-12, rtol=0)
    assert found.singular[0].tolist() == pytest.approx(sorted([abs(soft)] + [1] * 11, reverse=True))
    assert values(found.soft_directions()).tolist() == [soft < 0.5]
    assert values(found.log_determinant()).tolist() == [pytest.approx(math.log(abs(soft)))]
    assert values(found.normal_bundle_dimension()).tolist() == [soft < 0.5]
    assert values(found.mean()).tolist() == [pytest.approx((11 + soft) / 12)]


@pytest.mark.parametrize("m", [1, 2, 3])
def test_a_patch_has_its_dimension(m):
    # About 20,000 points in [-1, 1]^m, turned into 16 coordinates; their density is even within 3 sigma of 0.
    axes = torch.linalg.qr(torch.randn(16, m, dtype=torch.float64, generator=random()))[0]
    cloud = torch.rand(20_000, m, dtype=torch.float64, generator=random()) * 2 - 1
    sigma = 0.25
    near = torch.rand(5, m, dtype=torch.float64, generator=random()) * 0.4 - 0.2
    found = curvature(ExactDenoiser(cloud @ axes.T, VESchedule()), near @ axes.T, sigma**2)
    assert values(found.soft_directions()).tolist() == [m] * 5
    assert values(found.normal_bundle_dimension()).tolist() == [m] * 5
    # Variances are estimated from at least 20,000 (sigma sqrt(2 pi) / 2)^3 = 620 points, to 6 % each; the
    # walls take another few per cent.
    assert (values(found.flipd()) - m).abs().max() < 0.1 * m + 0.05
    torch.testing.assert_close(found.rho[:, m:], torch.ones(5, 16 - m).double(), atol=1e-10, rtol=0)


def test_the_asymmetry_of_a_network():
    found = curvature(network((6,)), torch.rand(4, 6, generator=random()), T)
    assert (found.asymmetry > 0.1).all()
    # Symmetric and antisymmetric matrices have 0 and 2; a shear [[1, 1], [0, 1]] has sqrt(2) / sqrt(3).
    matrices = torch.tensor([[[1.0, 2], [2, 3]], [[0, 1], [-1, 0]], [[1, 1], [0, 1]], [[0, 0], [0, 0]]])
    decomposed = decompose(matrices)
    torch.testing.assert_close(decomposed.asymmetry, torch.tensor([0, 2, (2 / 3) ** 0.5, 0]))
    assert decomposed.rho[2].tolist() == pytest.approx([0.5, 1.5])
    assert decomposed.singular[2].tolist() == pytest.approx([(5**0.5 + 1) / 2, (5**0.5 - 1) / 2])


def test_every_point_has_its_status():
    inner = Turned(torch.tensor([0.3, 0.1, 0.0], dtype=torch.float64), (3,))
    x = torch.tensor([[9.0, 0, 0], [0.2, 0.2, 0.2], [0, math.nan, 0], [-1, 1, 0]])
    found = curvature(Faulty(inner), x, T, batch_size=3)
    good = curvature(inner, x[[1, 3]], T)
    assert found.failed.tolist() == [True, False, True, False]
    for name in (
        "soft_directions",
        "mean",
        "log_determinant",
        "stable_rank",
        "normal_bundle_dimension",
        "flipd",
        "separation",
    ):
        measured = getattr(found, name)()
        assert [STATUSES[i] for i in measured.status] == ["failed", "measured", "failed", "measured"], name
        assert measured.values.isnan().tolist() == [True, False, True, False], name
        assert torch.equal(measured.values[[1, 3]], getattr(good, name)().values), name
    assert found.asymmetry.isnan().tolist() == [True, False, True, False]


def test_no_more_points_go_through_the_model_at_once_than_asked():
    denoiser = Recording(network((3,)))
    curvature(denoiser, torch.zeros(50, 3), T, batch_size=7)
    assert max(len(x_t) for x_t in denoiser.seen) == 2  # each with 3 directions


def test_constant_points_are_points():
    found = curvature(ExactDenoiser(torch.zeros(1, 1, 2, 3), SCHEDULE), torch.ones(2, 1, 2, 3), T)
    assert values(found.soft_directions()).tolist() == [0, 0]


def test_what_has_no_logarithm_is_undecided():
    status = judged(torch.tensor([1.0, -math.inf, math.nan, 2.0]), torch.tensor([False, False, True, True]))
    assert [STATUSES[i] for i in status.status] == ["measured", "undecided", "failed", "failed"]
    assert status.values.isnan().tolist() == [False, True, True, True]


def test_counts_have_a_strict_cut():
    rho = torch.tensor([[-0.5, 0.0, 0.5, 0.8], [math.nan] * 4])
    assert soft_count(rho)[0] == 2
    assert soft_count(rho, 0.51)[0] == 3
    assert soft_count(rho)[1].isnan()


def test_log_determinants_and_stable_ranks():
    singular = torch.tensor([[2.0, 1.0, 1.0], [1.0, 0.5, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    assert log_determinant(singular).tolist() == [pytest.approx(math.log(2)), -math.inf, -math.inf]
    assert stable_rank(singular)[:2].tolist() == [1.5, 1.25]
    assert stable_rank(singular)[2].isnan()


def test_separation_is_the_variance_between_the_sides():
    rho = torch.tensor([[-3.0, 0.1, 0.7, 0.9, 1.5]], dtype=torch.float64)
    clipped, cut = rho[0].clamp(0, 1), 0.5
    soft, stiff = clipped[clipped < cut], clipped[clipped >= cut]
    total = clipped.var(correction=0)
    within = (2 * soft.var(correction=0) + 3 * stiff.var(correction=0)) / 5
    assert float(separation(rho)) == pytest.approx(float(total - within))
    assert separation(torch.tensor([[0.1, 0.2], [0.5, 0.6], [math.nan, math.nan]]))[:2].tolist() == [0, 0]
    assert separation(torch.tensor([[math.nan, math.nan]])).isnan().all()
    assert separation(torch.tensor([[0.1, 0.3], [0.1, 0.3]]), cut=0.2).tolist() == pytest.approx([0.01] * 2)


def test_the_drop_of_a_spectrum():
    rho = torch.tensor(
        [
            [-0.1, 0.2, 0.8, 0.9],  # two soft, one of them unstable
            [0.6, 0.9, 0.95, 1.2],  # from 0 to the first is the largest
            [0.0, 0.1, 0.3, 0.45],  # from the last to 1
            [-5.0, 0.9, 0.9, 0.9],  # clipped, so that one step of 0.9 remains
        ]
    )
    assert normal_bundle_dimension(rho).tolist() == [2, 0, 4, 1]
    assert normal_bundle_dimension(torch.full((1, 2), math.nan)).isnan().all()


def test_flipd_adds_the_score():
    found = flipd(torch.tensor([2.5]), torch.tensor([[0.3, 0.0, 0.4]]), sigma=0.5)
    assert found.tolist() == [pytest.approx(3 - 2.5 + 1.0)]


def test_bad_points():
    with pytest.raises(ValueError, match="points of the model's shape"):
        curvature(network((3,)), torch.zeros(2, 4), T)
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, got 0"):
        curvature(network((3,)), torch.zeros(2, 3), T, batch_size=0)

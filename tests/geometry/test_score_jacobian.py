import math

import pytest
import torch

from curved import SCHEDULE, SQUARES, Faulty, Mixed, Recording, Turned, network
from spurion.core.random import generator
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.denoisers.unet import UNetConfig
from spurion.diffusion.schedule import VESchedule
from spurion.geometry.jacobian import ScoreJacobian, coefficients

T = 40
SIGMA, ALPHA = float(SCHEDULE.sigma(torch.tensor(T))), float(SCHEDULE.alpha(torch.tensor(T)))


def points(count, shape, dtype=torch.float64):
    return torch.rand(count, *shape, dtype=dtype, generator=generator(0, "points")) * 2 - 1


def covariance(dim):
    factor = torch.randn(dim, dim, dtype=torch.float64, generator=generator(0, "factor")) / math.sqrt(dim)
    return factor.T @ factor


def test_coefficients_of_both_schedules():
    assert coefficients(SCHEDULE, T) == (ALPHA, SIGMA)
    # float32 would round 0.09
    assert coefficients(VESchedule(2.0), 0.09) == (1.0, 2.0 * math.sqrt(0.09))


@pytest.mark.parametrize("shape", [(1,), (6,), (1, 5, 7), (3, 2, 4)])
@pytest.mark.parametrize("batch_size", [1, 7, 1024])
def test_a_gaussian_has_its_jacobian(shape, batch_size):
    dim = math.prod(shape)
    denoiser = GaussianDenoiser(torch.zeros(dim, dtype=torch.float64), covariance(dim), SCHEDULE, shape)
    jacobian = ScoreJacobian(denoiser, points(3, shape), T, batch_size=batch_size)
    eye = torch.eye(dim, dtype=torch.float64)
    expected = SIGMA**2 * torch.linalg.inv(ALPHA**2 * covariance(dim) + SIGMA**2 * eye)
    assert (len(jacobian), jacobian.dim, jacobian.alpha, jacobian.sigma) == (3, dim, ALPHA, SIGMA)
    # Both sides are float64; the inverse magnifies rounding by 1 / sigma^2 = 50.
    torch.testing.assert_close(jacobian.full(), expected.expand(3, -1, -1), atol=1e-12, rtol=0)


def test_it_is_read_at_the_scaled_point():
    patterns = points(5, (4,))
    jacobian = ScoreJacobian(ExactDenoiser(patterns, SCHEDULE), points(2, (4,)) / 3, 200)
    alpha, sigma = coefficients(SCHEDULE, 200)
    x = points(2, (4,)) / 3
    weights = torch.softmax(-((x[:, None] - patterns).square().sum(2)) * alpha**2 / (2 * sigma**2), dim=1)
    offsets = patterns - (weights @ patterns)[:, None]
    scatter = torch.einsum("nk,nki,nkj->nij", weights, offsets, offsets)
    expected = torch.eye(4, dtype=torch.float64) - alpha**2 / sigma**2 * scatter
    torch.testing.assert_close(jacobian.full(), expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(
        jacobian.noise(), alpha * (x - weights @ patterns), atol=1e-12, rtol=0
    )  # x_t - alpha x_hat


@pytest.mark.parametrize("batch_size", [1, 5, 1024])
def test_products_of_an_asymmetric_network(batch_size):
    jacobian = ScoreJacobian(network((1, 3, 2)), points(3, (1, 3, 2)), T, batch_size=batch_size)
    vectors = torch.randn(3, 4, 6, dtype=torch.float64, generator=generator(0, "vectors"))
    matrix = jacobian.full()
    assert (matrix - matrix.mT).norm() > 0.1 * matrix.norm()
    pushed, pulled = vectors @ matrix.mT, vectors @ matrix
    torch.testing.assert_close(jacobian.push(vectors), pushed, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(jacobian.pull(vectors), pulled, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(jacobian.symmetric(vectors), (pushed + pulled) / 2, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("kind", SQUARES)
def test_what_modules_do_not_support_is_done_otherwise(kind):
    network = Mixed(5, kind)
    jacobian = ScoreJacobian(NetworkDenoiser(network, SCHEDULE, (5,)), points(3, (5,)), T)
    x_t = ALPHA * points(3, (5,))
    first, second = network.matrix.detach()
    # eps_j = x_i A_ij + x_i^2 B_ij, and N = sigma d eps / d x
    expected = SIGMA * (first.T + 2 * second.T * x_t[:, None])
    vectors = torch.randn(3, 2, 5, dtype=torch.float64, generator=generator(0, "vectors"))
    torch.testing.assert_close(jacobian.full(), expected, atol=1e-13, rtol=0)
    torch.testing.assert_close(jacobian.push(vectors), vectors @ expected.mT, atol=1e-13, rtol=0)
    torch.testing.assert_close(jacobian.pull(vectors), vectors @ expected, atol=1e-13, rtol=0)


def test_vectors_go_through_the_model_in_batches():
    denoiser = Recording(NetworkDenoiser(Mixed(5, "reverse only"), SCHEDULE, (5,)))
    for batch_size, expected in [(1, 3), (7, 6), (100, 15)]:
        denoiser.seen.clear()
        ScoreJacobian(denoiser, points(3, (5,)), T, batch_size=batch_size).full()
        assert max(len(x_t) for x_t in denoiser.seen) == expected


def test_a_u_net_has_products_in_both_directions():
    config = UNetConfig(channels=8, groups=4, multipliers=(1, 2), blocks=1, attention=(4,))
    denoiser = config.build(torch.zeros(1, 1, 8, 8), SCHEDULE, generator=generator(0, "weights"))
    for parameter in denoiser.network.parameters():
        parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=generator(1, "weights")))
    denoiser = NetworkDenoiser(denoiser.network.double(), SCHEDULE, (1, 8, 8))
    jacobian = ScoreJacobian(denoiser, points(2, (1, 8, 8)), T)
    u, v = torch.randn(2, 2, 1, 64, dtype=torch.float64, generator=generator(0, "vectors"))
    pushed, pulled = jacobian.push(v), jacobian.pull(u)
    # The time embedding of diffusers is float32, but the same in both.
    torch.testing.assert_close((u * pushed).sum(), (v * pulled).sum(), atol=1e-10, rtol=1e-10)
    step = 1e-4 * v.view(2, 1, 8, 8)
    slope = (jacobian.noise(jacobian.x_t + step) - jacobian.noise(jacobian.x_t - step)) / 2e-4
    torch.testing.assert_close(pushed[:, 0], slope, atol=1e-6, rtol=1e-6)  # O(step^2)


def test_a_bad_point_spoils_no_other():
    x = points(4, (3,))
    x[1, 0], x[2, 1] = 9.0, torch.nan  # the model fails; the point is none
    jacobian = ScoreJacobian(Faulty(network((3,))), x, T)
    alone = ScoreJacobian(network((3,)), x[[0, 3]], T)
    assert jacobian.finite.tolist() == [True, True, False, True]
    assert jacobian.failed.tolist() == [False, True, True, False]
    vectors = torch.ones(4, 1, 3, dtype=torch.float64)
    for found, good in [
        (jacobian.full(), alone.full()),
        (jacobian.noise(), alone.noise()),
        (jacobian.symmetric(vectors), alone.symmetric(vectors[:2])),
    ]:
        torch.testing.assert_close(found[[0, 3]], good, atol=1e-14, rtol=0)
        assert found[1].isnan().all()
        assert found[2].isnan().all()
    assert jacobian.at(slice(2, 4)).finite.tolist() == [False, True]


def test_a_number_too_large_for_the_model_is_a_bad_point():
    denoiser = ExactDenoiser(torch.zeros(1, 2), SCHEDULE)
    x = torch.tensor([[1e300, 0.0], [0.0, 0.0]], dtype=torch.float64)
    jacobian = ScoreJacobian(denoiser, x, T)
    assert jacobian.finite.tolist() == [False, True]
    assert jacobian.unit == torch.finfo(torch.float32).eps
    assert torch.equal(jacobian.full()[1], torch.eye(2, dtype=torch.float64))


def test_turned_data_have_the_known_stiffness():
    denoiser = Turned(torch.tensor([2.0, 0.5, 0.0, 0.1], dtype=torch.float64), (4,))
    rho = torch.linalg.eigvalsh(ScoreJacobian(denoiser, points(1, (4,)), T).full())
    torch.testing.assert_close(rho[0], denoiser.rho(SIGMA, ALPHA), atol=1e-12, rtol=0)


def test_bad_jacobians():
    denoiser = ExactDenoiser(torch.zeros(1, 2), SCHEDULE)
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, got 0"):
        ScoreJacobian(denoiser, torch.zeros(1, 2), T, batch_size=0)
    with pytest.raises(ValueError, match="points of the model's shape"):
        ScoreJacobian(denoiser, torch.zeros(1, 3), T)
    with pytest.raises(ValueError, match="`t` must lie in"):
        ScoreJacobian(denoiser, torch.zeros(1, 2), 1000)

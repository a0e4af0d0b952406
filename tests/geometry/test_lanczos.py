import pytest
import torch

from curved import SCHEDULE, Faulty, Turned, network
from spurion.core.random import generator
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.schedule import VESchedule
from spurion.geometry.jacobian import ScoreJacobian
from spurion.geometry.lanczos import extremal, lanczos
from spurion.geometry.randomized import top_singular_values

T = 26


def random():
    return generator(0, "lanczos")


def natural(dim, shape, dtype=torch.float64):
    """Variances that fall like those of images."""
    variances = 10 * torch.arange(1, dim + 1, dtype=dtype) ** -2.0
    return GaussianDenoiser(torch.zeros(dim, dtype=dtype), variances, SCHEDULE, shape)


def stiffness(denoiser, jacobian):
    variances = denoiser.spectrum.variances.double()
    return (jacobian.sigma**2 / (jacobian.alpha**2 * variances + jacobian.sigma**2)).sort().values


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_both_ends_in_many_coordinates(dtype):
    denoiser = natural(3072, (3, 32, 32), dtype)
    jacobian = ScoreJacobian(denoiser, torch.zeros(2, 3, 32, 32), T)
    found, rho = extremal(jacobian, generator=random()), stiffness(denoiser, jacobian)
    assert found.top.shape == found.bottom.shape == (2, 10)
    assert (found.top / rho.flip(0)[:10] - 1).abs().max() < 1e-3  # the bar of 0.1 %
    # The soft end stands apart and is exact to the rounding of the type.
    assert (found.bottom - rho[:10]).abs().max() < (1e-12 if dtype is torch.float64 else 2e-6)
    assert max(found.top_error.max(), found.bottom_error.max()) < 3e-4


def test_a_crowded_soft_end_is_as_exact_as_the_stiff_one():
    # Twenty of the soft directions differ by half a percent and the next are ten times as stiff. Residuals
    # of 3e-4, small for the stiff end near 1, would leave the soft one, near 0.001, wrong by 4 percent.
    crowd, rest = torch.linspace(9, 10, 20).double(), torch.logspace(0, -5, 3052).double()
    zeros = torch.zeros(3072, dtype=torch.float64)
    denoiser = GaussianDenoiser(zeros, torch.cat([crowd, rest]), SCHEDULE, (3, 32, 32))
    jacobian = ScoreJacobian(denoiser, torch.zeros(1, 3, 32, 32), T)
    found, rho = extremal(jacobian, generator=random(), top=0), stiffness(denoiser, jacobian)
    assert (found.bottom / rho[:10] - 1).abs().max() < 1e-3  # the bar of the other end
    assert (found.bottom_error <= 3e-4 * found.bottom).all()


def test_residuals_say_how_near_an_eigenvalue_is():
    variances = torch.logspace(1, -5, 600, dtype=torch.float64)
    denoiser = GaussianDenoiser(torch.zeros(600, dtype=torch.float64), variances, SCHEDULE, (600,))
    jacobian = ScoreJacobian(denoiser, torch.zeros(1, 600), T)
    rho = stiffness(denoiser, jacobian)
    found = extremal(jacobian, generator=random(), steps=30)  # far too few
    for values, errors in [(found.top, found.top_error), (found.bottom, found.bottom_error)]:
        assert errors.max() > 3e-3
        assert ((values[0, :, None] - rho).abs().amin(dim=1) <= errors[0] + 1e-12).all()


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4])
def test_it_stops_where_the_residuals_are_small(tolerance):
    denoiser, calls = natural(500, (500,)), 0
    jacobian = ScoreJacobian(denoiser, torch.zeros(1, 500), T)

    def symmetric(vectors):
        nonlocal calls
        calls += 1
        return vectors @ torch.diag(stiffness(denoiser, jacobian))

    found = extremal(jacobian, generator=random(), top=3, bottom=3, tolerance=tolerance)
    assert found.top_error.max() <= tolerance
    *_, run = lanczos(symmetric, torch.ones(1, 1, 500).double(), 20, generator=random(), unit=1e-16)
    assert (calls, run.diagonal.shape, run.off.shape) == (20, (1, 1, 20), (1, 1, 20))


def test_all_eigenvalues_of_few_coordinates():
    jacobian = ScoreJacobian(network((1, 5, 7)), torch.rand(3, 1, 5, 7, generator=random()), T)
    matrix = jacobian.full()
    expected = torch.linalg.eigvalsh((matrix + matrix.mT) / 2)
    found = extremal(jacobian, generator=random(), top=35, bottom=35)
    torch.testing.assert_close(found.bottom, expected, atol=1e-10, rtol=0)
    torch.testing.assert_close(found.top, expected.flip(1), atol=1e-10, rtol=0)


def test_blocks_of_points_change_nothing(monkeypatch):
    jacobian = ScoreJacobian(network((6,)), torch.rand(5, 6, generator=random()), T)
    together = extremal(jacobian, generator=random(), top=2, bottom=1)
    monkeypatch.setattr("spurion.geometry.lanczos.MEMORY", 80)  # two points with 6 x 6 numbers
    apart = extremal(jacobian, generator=random(), top=2, bottom=1)
    torch.testing.assert_close(apart.top, together.top, atol=1e-12, rtol=0)
    torch.testing.assert_close(apart.bottom, together.bottom, atol=1e-12, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_repeated_eigenvalues_of_a_small_space(dtype):
    # 20 soft directions and 980 of stiffness 1: the Krylov space has 21 dimensions.
    variances = torch.cat([torch.linspace(0.1, 1, 20), torch.zeros(980)]).to(dtype)
    denoiser = GaussianDenoiser(torch.zeros(1000, dtype=dtype), variances, SCHEDULE, (1000,))
    jacobian = ScoreJacobian(denoiser, torch.zeros(1, 1000), T)
    found, rho = extremal(jacobian, generator=random()), stiffness(denoiser, jacobian)
    torch.testing.assert_close(found.top[0], rho.flip(0)[:10], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.bottom[0], rho[:10], atol=1e-5, rtol=0)


def test_a_memory_is_stiff_in_every_direction():
    pattern = torch.rand(1, 1, 40, 50, dtype=torch.float64, generator=random())
    jacobian = ScoreJacobian(ExactDenoiser(pattern, SCHEDULE), pattern, T)
    found = extremal(jacobian, generator=random(), top=5, bottom=5)
    torch.testing.assert_close(found.top, torch.ones(1, 5, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(found.bottom, torch.ones(1, 5, dtype=torch.float64), atol=1e-12, rtol=0)


def test_a_merged_pair_has_one_softer_direction():
    pair = torch.zeros(2, 3000, dtype=torch.float64)
    pair[1, 7] = distance = 0.9
    t = 0.5  # beta = 1
    jacobian = ScoreJacobian(ExactDenoiser(pair, VESchedule()), pair.mean(0, keepdim=True), t)
    found = extremal(jacobian, generator=random(), top=0, bottom=3)
    expected = torch.tensor([[1 - distance**2 / 2, 1, 1]], dtype=torch.float64)
    assert found.top.shape == (1, 0)
    torch.testing.assert_close(found.bottom, expected, atol=1e-10, rtol=0)


def test_one_coordinate_and_points_that_fail():
    inner = Turned(torch.tensor([0.3, 0.1, 0.0], dtype=torch.float64), (3,))
    x = torch.tensor([[9.0, 0, 0], [0.1, 0.2, 0.3], [torch.nan, 0, 0]])
    jacobian = ScoreJacobian(Faulty(inner), x, T)
    found = extremal(jacobian, generator=random(), top=2, bottom=1)
    rho = inner.rho(jacobian.sigma, jacobian.alpha)
    assert found.top.isnan().all(dim=1).tolist() == [True, False, True]
    torch.testing.assert_close(found.top[1], rho.flip(0)[:2], atol=1e-12, rtol=0)
    torch.testing.assert_close(found.bottom[1], rho[:1], atol=1e-12, rtol=0)
    values = top_singular_values(jacobian, 2, generator=random())
    assert values.isnan().all(dim=1).tolist() == [True, False, True]
    torch.testing.assert_close(values[1], rho.flip(0)[:2], atol=1e-12, rtol=0)
    single = ScoreJacobian(ExactDenoiser(torch.zeros(1, 1), SCHEDULE), torch.zeros(1, 1), T)
    assert extremal(single, generator=random(), top=1, bottom=1).top.tolist() == [
        [pytest.approx(1.0, abs=1e-6)]
    ]
    assert top_singular_values(single, 1, generator=random()).tolist() == [[pytest.approx(1.0, abs=1e-6)]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top": 4}, "`top` and `bottom` must be between 0 and 3, not both 0, got 4 and 1"),
        ({"top": -1}, "not both 0, got -1 and 1"),
        ({"top": 0, "bottom": 0}, "not both 0, got 0 and 0"),
        ({"top": 3, "steps": 2}, "`steps` must be at least 3, the eigenvalues wanted, got 2"),
        ({"tolerance": -1.0}, "`tolerance` must not be negative, got -1.0"),
    ],
)
def test_bad_ends(arguments, message):
    jacobian = ScoreJacobian(ExactDenoiser(torch.zeros(1, 3), SCHEDULE), torch.zeros(1, 3), T)
    with pytest.raises(ValueError, match=message):
        extremal(jacobian, generator=random(), **{"top": 1, "bottom": 1} | arguments)


def test_top_singular_values_of_an_asymmetric_network():
    jacobian = ScoreJacobian(network((1, 5, 7)), torch.rand(3, 1, 5, 7, generator=random()), T)
    expected = torch.linalg.svdvals(jacobian.full())
    exact = top_singular_values(jacobian, 3, generator=random(), spare=32, iterations=0)  # all 35 columns
    torch.testing.assert_close(exact, expected[:, :3], atol=1e-10, rtol=0)
    none_to_spare = top_singular_values(jacobian, 35, generator=random(), spare=0)
    torch.testing.assert_close(none_to_spare, expected, atol=1e-10, rtol=0)
    # A rough basis gives values that are too small, and power iterations make them better.
    errors = [
        expected[:, :3] - top_singular_values(jacobian, 3, generator=random(), spare=3, iterations=count)
        for count in (0, 2, 8)
    ]
    assert all((error > -1e-12).all() for error in errors)
    assert errors[0].max() > 2 * errors[1].max() > 4 * errors[2].max()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "`count` must be between 1 and the 3 coordinates, got 0"),
        ({"count": 4}, "`count` must be between 1 and the 3 coordinates, got 4"),
        ({"spare": -1}, "`spare` and `iterations` must not be negative, got -1 and 2"),
        ({"iterations": -1}, "`spare` and `iterations` must not be negative, got 10 and -1"),
    ],
)
def test_bad_tops(arguments, message):
    jacobian = ScoreJacobian(ExactDenoiser(torch.zeros(1, 3), SCHEDULE), torch.zeros(1, 3), T)
    with pytest.raises(ValueError, match=message):
        top_singular_values(jacobian, **{"count": 1} | arguments, generator=random())

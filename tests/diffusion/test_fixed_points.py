import math

import pytest
import torch

from spurion.circle.ring import paper_circle
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.iteration import fixed_points
from spurion.diffusion.schedule import DDPMSchedule, VESchedule
from spurion.memory.dense import DenseAM
from spurion.memory.minima import find_minima

AXIS = torch.linspace(-1.5, 1.5, 12, dtype=torch.float64)
GRID = torch.cartesian_prod(AXIS, AXIS)


def two():
    return ExactDenoiser(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]).double(), VESchedule())


@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("t", [1.0, 0.25, 0.15, 0.02])
def test_the_minima_of_the_exact_energy(count, t):
    patterns = paper_circle(count)
    found = fixed_points(ExactDenoiser(patterns, VESchedule()), t, torch.cat([GRID, patterns]))
    memory = DenseAM(patterns, 1 / (2 * t))
    exact = find_minima(memory, generator=torch.Generator(), barriers=False)
    assert len(found) == len(exact)
    nearest, index = torch.cdist(found.points, exact.points).min(1)
    assert nearest.max() < 1e-8
    torch.testing.assert_close(found.eigenvalues, exact.eigenvalues[index], atol=1e-6, rtol=0)
    assert found.score.max() < 1e-8
    assert (found.unconverged, int(found.hits.sum())) == (0, len(GRID) + count)


def test_the_nine_of_the_paper_at_its_time():
    found = fixed_points(ExactDenoiser(paper_circle(9), VESchedule()), 0.15, GRID)
    angles = torch.rad2deg(torch.atan2(found.points[:, 1], found.points[:, 0])).remainder(360)
    assert angles.sort().values.round(decimals=1).tolist() == [146.0, 214.2, 331.9]
    assert found.hits.tolist() == sorted(found.hits.tolist(), reverse=True)


def test_float32_finds_the_same():
    nine = paper_circle(9)
    found = fixed_points(ExactDenoiser(nine.float(), VESchedule()), 0.15, GRID)
    exact = fixed_points(ExactDenoiser(nine, VESchedule()), 0.15, GRID)
    assert found.points.dtype == torch.float32
    torch.testing.assert_close(found.points.double(), exact.points, atol=1e-5, rtol=0)
    assert found.unconverged == 0


def test_a_start_on_a_saddle_leaves_it():
    found = fixed_points(two(), 0.4, torch.zeros(1, 2).double())  # 2 / d^2 beta: two minima below t = 1
    assert found.points[:, 1].abs().max() < 1e-9
    assert sorted(found.points[:, 0].sign().tolist()) == [-1, 1]
    assert found.hits.tolist() == [1, 0]
    assert found.unconverged == 0
    root = found.points[0, 0]
    assert abs(root - torch.tanh(root / 0.4)) < 1e-9


def test_one_pattern_is_its_own_minimum_with_curvature_two():
    pattern = torch.tensor([[0.3, -0.2]]).double()
    found = fixed_points(ExactDenoiser(pattern, VESchedule()), 0.5, GRID)
    torch.testing.assert_close(found.points, pattern)
    torch.testing.assert_close(found.eigenvalues, torch.full((1, 2), 2.0).double())


def test_a_gaussian_of_any_shape_has_its_mean():
    mean = torch.linspace(-1, 1, 6, dtype=torch.float64)
    variances = torch.linspace(0.1, 3, 6, dtype=torch.float64)
    denoiser = GaussianDenoiser(mean, variances, VESchedule(2.0), (1, 2, 3))
    starts = torch.randn(5, 1, 2, 3, generator=torch.Generator().manual_seed(0)).double()
    found = fixed_points(denoiser, 0.25, starts)
    assert found.points.shape == (1, 1, 2, 3)
    torch.testing.assert_close(found.points.flatten(), mean)
    expected = 2 * 1 / (variances + 1)  # 2 (1 - lambda / (lambda + sigma^2 t)) at sigma^2 t = 1
    torch.testing.assert_close(found.eigenvalues[0], expected.sort().values)


class Planar(Denoiser):
    """A linear map of the plane as posterior mean: not a gradient in general."""

    def __init__(self, matrix):
        self.schedule, self.shape, self.dtype = VESchedule(), (2,), torch.float64
        self.matrix = torch.tensor(matrix, dtype=torch.float64)

    def denoise(self, x_t, t):
        return x_t @ self.matrix.T


def test_rotation_does_not_hide_a_fixed_point():
    found = fixed_points(Planar([[0.5, -0.9], [0.9, 0.5]]), 0.5, GRID)  # spirals outwards: Newton must help
    assert found.points.abs().max() < 1e-9
    torch.testing.assert_close(found.eigenvalues, torch.full((1, 2), 1.0).double())


def test_where_nothing_rests_nothing_is_reported():
    class Drift(Planar):
        def denoise(self, x_t, t):
            return x_t + 1.0

    found = fixed_points(Drift([[0.0, 0.0], [0.0, 0.0]]), 0.5, GRID, steps=20)
    assert (len(found), found.unconverged) == (0, len(GRID))
    assert (found.points.shape, found.eigenvalues.shape, found.score.shape) == ((0, 2), (0, 2), (0,))


def test_a_maximum_in_one_direction_is_no_minimum():
    found = fixed_points(Planar([[2.0, 0.0], [0.0, 0.0]]), 0.5, torch.zeros(1, 2).double(), steps=20)
    assert (len(found), found.unconverged) == (0, 1)


def test_merging_is_in_units_of_the_noise():
    denoiser = ExactDenoiser(torch.tensor([[-0.5], [0.5]]).double(), VESchedule())
    starts = torch.tensor([[-0.5], [0.5]]).double()
    assert len(fixed_points(denoiser, 0.01, starts)) == 2
    assert len(fixed_points(denoiser, 0.01, starts, merge=9.9)) == 2
    assert len(fixed_points(denoiser, 0.01, starts, merge=10.1)) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: fixed_points(ExactDenoiser(GRID, DDPMSchedule()), 1, GRID),
            "have a VESchedule .* got DDPM",
        ),
        (lambda: fixed_points(two(), 0.0, GRID), r"`t` must lie in \(0, 1\], got 0"),
        (lambda: fixed_points(two(), 1.1, GRID), r"`t` must lie in \(0, 1\], got 1.1"),
        (lambda: fixed_points(two(), 0.5, GRID[:, :1]), r"must have shape \(n, 2\) .*, got \(144, 1\)"),
        (lambda: fixed_points(two(), 0.5, GRID[:0]), r"with n at least 1, got \(0, 2\)"),
        (lambda: fixed_points(two(), 0.5, GRID * math.nan), "`starts` must be finite"),
        (lambda: fixed_points(two(), 0.5, GRID, steps=0), "`steps` must be at least 1, got 0"),
        (lambda: fixed_points(two(), 0.5, GRID, merge=0.0), "`merge` must be positive, got 0"),
    ],
)
def test_bad_arguments_get_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()

import math

import pytest
import torch
from scipy import stats

from curved import SCHEDULE, Faulty, Recording
from spurion.core.random import generator
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.geometry.jacobian import ScoreJacobian
from spurion.geometry.perturbations import (
    haar,
    one_sided_singular_values,
    symmetrized_singular_values,
)

T = 40


def random():
    return generator(0, "perturbations")


def memory(shape):
    """The Jacobian at the one pattern of a model: N is the identity."""
    pattern = torch.rand(1, *shape, dtype=torch.float64, generator=generator(0, "pattern"))
    return ScoreJacobian(ExactDenoiser(pattern, SCHEDULE), pattern, T)


def test_haar_matrices_are_orthogonal_and_uniform():
    matrices = haar(2000, 3, generator=random())
    torch.testing.assert_close(
        matrices @ matrices.mT, torch.eye(3, dtype=torch.float64).expand(2000, -1, -1), atol=1e-13, rtol=0
    )
    # Every coordinate of a uniform point of the sphere is uniform on [-1, 1]; QR alone fails on the diagonal.
    for row, column in [(0, 0), (1, 1), (2, 2), (0, 2), (2, 0)]:
        assert stats.kstest(matrices[:, row, column].numpy(), "uniform", args=(-1, 2)).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(64,), (1, 8, 8), (3, 4, 6)])
@pytest.mark.parametrize("algorithm", [symmetrized_singular_values, one_sided_singular_values])
def test_random_rows_smear_a_flat_spectrum(algorithm, shape):
    jacobian = memory(shape)
    smeared = algorithm(jacobian, generator=random())[0]
    # Marchenko-Pastur with ratio 1/4: from 0.5 to 1.5, edges sharp to about D^(-2/3) = 0.06.
    assert 0.44 < smeared.min() < 0.6
    assert 1.4 < smeared.max() < 1.56
    assert smeared.diff().max() <= 0
    # The mean square is tr(N N^T) / D = 1; it varies by sqrt(2 / (R D)) = 0.011 at most.
    assert abs(smeared.square().mean() - 1) < 0.05
    more = algorithm(jacobian, generator=random(), rows=25 * jacobian.dim)[0]
    assert 0.75 < more.min() < more.max() < 1.25  # 1 -+ 1/5


@pytest.mark.parametrize("shape", [(2, 3, 3), (1, 2, 4)])
def test_images_are_perturbed_by_orthogonal_planes(shape):
    denoiser = Recording(ExactDenoiser(torch.zeros(1, *shape, dtype=torch.float64), SCHEDULE))
    jacobian = ScoreJacobian(denoiser, torch.zeros(1, *shape), T)
    values = symmetrized_singular_values(jacobian, generator=random(), rows=30)
    # 30 directions of length 1, scaled by sqrt(D / 30), and N is the identity.
    assert float(values.square().sum()) == pytest.approx(math.prod(shape))
    forth, back = (x_t for x_t in denoiser.seen if len(x_t) == 30)
    planes = ((forth - back) / (2 * jacobian.sigma)).flatten(0, 1)
    assert len(planes) == 30 * shape[0]
    torch.testing.assert_close(forth, -back)
    if shape[1] == shape[2]:
        # Rows of an orthogonal matrix have length 1; the whole image, of 2 x 3 rows, is scaled to 1.
        eye = torch.eye(3, dtype=torch.float64) / 6
        torch.testing.assert_close(planes @ planes.mT, eye.expand(60, -1, -1), atol=1e-12, rtol=0)


def test_scores_that_are_not_subtracted_add_a_direction():
    pattern = torch.zeros(1, 64, dtype=torch.float64)
    jacobian = ScoreJacobian(ExactDenoiser(pattern, SCHEDULE), pattern + 0.2, T)
    plain = one_sided_singular_values(jacobian, generator=random())[0]
    centered = one_sided_singular_values(jacobian, generator=random(), centered=True)[0]
    # The constant row has the norm |x_t| / sigma = 0.2 * 8 / 0.147 = 10.9.
    assert 10 < plain[0] < 12
    assert plain[1] < 1.56
    assert centered[0] < 1.56


@pytest.mark.parametrize("algorithm", [symmetrized_singular_values, one_sided_singular_values])
def test_bad_points_fail_alone(algorithm):
    inner = ExactDenoiser(torch.zeros(1, 3, dtype=torch.float64), SCHEDULE)
    x = torch.tensor([[9.0, 0, 0], [0.1, 0.2, 0.3], [math.inf, 0, 0]], dtype=torch.float64)
    jacobian = ScoreJacobian(Faulty(inner), x, T)
    values = algorithm(jacobian, generator=random())
    assert values.isnan().all(dim=1).tolist() == [True, False, True]


@pytest.mark.parametrize("algorithm", [symmetrized_singular_values, one_sided_singular_values])
def test_one_coordinate(algorithm):
    jacobian = memory((1,))
    assert 0.3 < float(algorithm(jacobian, generator=random(), rows=50)) < 1.7


def test_bad_perturbations():
    jacobian = memory((3,))
    for algorithm in (symmetrized_singular_values, one_sided_singular_values):
        with pytest.raises(ValueError, match="`rows` must be at least the 3 coordinates, got 2"):
            algorithm(jacobian, generator=random(), rows=2)

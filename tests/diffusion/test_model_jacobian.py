import pytest
import torch

from spurion.diffusion import jacobian as module
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.denoisers.network_config import FourierResidualConfig
from spurion.diffusion.jacobian import (
    denoise_and_jacobian,
    denoise_and_traces,
    random_signs,
)
from spurion.diffusion.schedule import DDPMSchedule, VESchedule
from spurion.memory.dense import DenseAM


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=stream(seed), dtype=torch.float64)


def test_exact_posterior_covariance():
    patterns, x = normal(5, 3), normal(4, 3, seed=1)
    x_hat, jacobian = denoise_and_jacobian(ExactDenoiser(patterns, VESchedule()), x, 0.4)
    memory = DenseAM(patterns, 1 / 0.8)
    torch.testing.assert_close(x_hat, memory.posterior_mean(x))
    torch.testing.assert_close(jacobian, memory.posterior_covariance(x) / 0.4)


def skew():
    """A model whose Jacobian is not symmetric: the rows must not be mixed up with the columns."""
    denoiser = FourierResidualConfig(width=16, blocks=1).build(
        torch.zeros(1, 1, 2, 2), VESchedule(), generator=stream()
    )
    denoiser.network.double()
    denoiser.dtype = torch.float64
    return denoiser


def test_rows_are_outputs_for_any_item_shape():
    denoiser, x = skew(), normal(3, 1, 2, 2)
    x_hat, jacobian = denoise_and_jacobian(denoiser, x, 0.3)
    assert torch.equal(x_hat, denoiser(x, 0.3))
    assert not x_hat.requires_grad
    for i in range(3):
        reference = torch.autograd.functional.jacobian(lambda z: denoiser(z[None], 0.3)[0], x[i]).view(4, 4)
        torch.testing.assert_close(jacobian[i], reference)
    assert not torch.allclose(jacobian, jacobian.mT, atol=1e-3)
    trace = denoise_and_traces(denoiser, x, 0.3)[1][:, 0]
    torch.testing.assert_close(trace, jacobian.diagonal(dim1=1, dim2=2).sum(1))


@pytest.mark.parametrize("numbers", [1, 24, 10**9])
def test_groups_change_nothing(numbers, monkeypatch):
    denoiser, x = skew(), normal(3, 1, 2, 2)
    expected = denoise_and_jacobian(denoiser, x, 0.3)[1], denoise_and_traces(denoiser, x, 0.3)[1]
    monkeypatch.setattr(module, "_NUMBERS", numbers)
    torch.testing.assert_close(denoise_and_jacobian(denoiser, x, 0.3)[1], expected[0])
    torch.testing.assert_close(denoise_and_traces(denoiser, x, 0.3)[1], expected[1])


def test_probes_are_quadratic_forms_whose_mean_is_the_trace():
    denoiser, x = skew(), normal(2, 1, 2, 2)
    signs = random_signs(4000, x, generator=stream())
    assert (signs.shape, signs.dtype) == ((4000, 2, 1, 2, 2), torch.float64)
    assert signs.unique().tolist() == [-1, 1]
    _, jacobian = denoise_and_jacobian(denoiser, x, 0.3)
    estimate = denoise_and_traces(denoiser, x, 0.3, signs)[1].mean(1)
    flat = signs.flatten(2)
    forms = torch.einsum("mni,nij,mnj->mn", flat, jacobian, flat)
    torch.testing.assert_close(estimate, forms.mean(0))
    torch.testing.assert_close(denoise_and_traces(denoiser, x, 0.3, signs)[1], forms.T)
    exact = jacobian.diagonal(dim1=1, dim2=2).sum(1)
    assert ((estimate - exact).abs() < 5 * forms.std(0) / 4000**0.5).all()


def test_a_linear_model_at_a_step():
    schedule = DDPMSchedule(100)
    variances = torch.tensor([0.5, 2.0], dtype=torch.float64)
    denoiser = GaussianDenoiser(torch.zeros(2, dtype=torch.float64), variances, schedule, (2,))
    alpha, sigma = schedule.alpha(torch.tensor(40)), schedule.sigma(torch.tensor(40))
    gain = alpha * variances / (alpha**2 * variances + sigma**2)
    _, trace = denoise_and_traces(denoiser, normal(3, 2), 40)
    torch.testing.assert_close(trace[:, 0], gain.sum().expand(3))


def test_parameters_collect_no_gradients():
    denoiser = skew()
    denoise_and_traces(denoiser, normal(3, 1, 2, 2), 0.3)
    assert all(p.grad is None for p in denoiser.network.parameters())

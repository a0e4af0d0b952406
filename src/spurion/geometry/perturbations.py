r"""Singular values of the Jacobian from perturbed scores: the literature's two estimates.

With :math:`g(x_t) = x_t - \alpha_t \hat x = -\sigma_t^2 s` and a direction q,

.. math:: N q \approx \frac{g(x_t + \sigma_t q) - g(x_t - \sigma_t q)}{2 \sigma_t} .

The estimates stack many such rows and take the singular values of the (rows, D) matrix. With R rows even a
flat spectrum comes out smeared, by the Marchenko-Pastur law, over
factors :math:`1 \pm \sqrt{D / R}` of the truth: 0.5 to 1.5 at the usual R = 4 D. They are here for
comparison only.

References:
    | Memorization to Generalization (Pham et al., 2025), Algorithms 2 and 3
    | Your Diffusion Model Secretly Knows the Dimension of the Data Manifold (Stanczuk et al., 2022)
    | How to Generate Random Matrices from the Classical Compact Groups (Mezzadri, 2007)
"""

__all__ = ["haar", "one_sided_singular_values", "symmetrized_singular_values"]

from math import prod, sqrt

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from spurion.geometry.jacobian import ScoreJacobian


def haar(count: int, dim: int, *, generator: torch.Generator) -> Float64[Tensor, "count dim dim"]:
    """Random orthogonal matrices with the uniform (Haar) distribution, which QR alone does not have.

    Arguments:
        count: How many.
        dim: Their size.
        generator: The source of randomness, on the CPU.
    """
    normal = torch.randn(count, dim, dim, dtype=torch.float64, generator=generator)
    q, r = torch.linalg.qr(normal)
    answer: Float64[Tensor, "count dim dim"] = q * r.diagonal(dim1=1, dim2=2).sign()[:, None, :]
    return answer


def symmetrized_singular_values(
    jacobian: ScoreJacobian, *, generator: torch.Generator, rows: int | None = None
) -> Float[Tensor, "n D"]:
    """Singular values by Algorithm 2: differences of step sigma over many random directions.

    The directions are those of the authors' code, images made of orthogonal blocks (one for each channel),
    scaled to length 1. The result is normalized, so that without smear it would be the singular values of N.

    Arguments:
        jacobian: The Jacobian at n points.
        generator: The source of the directions.
        rows: The number R of directions; 4 D if not given.

    Raises:
        ValueError: If `rows` is below D.
    """
    count = _rows(jacobian, rows)
    values = []
    for point in range(len(jacobian)):
        here = jacobian.at(slice(point, point + 1))
        directions = _blocks(count, jacobian.denoiser.shape, generator)
        values.append(_singular(_differences(here, directions[None])) * sqrt(jacobian.dim / count))
    return torch.cat(values)


def one_sided_singular_values(
    jacobian: ScoreJacobian, *, generator: torch.Generator, rows: int | None = None, centered: bool = False
) -> Float[Tensor, "n D"]:
    r"""Singular values by Algorithm 3: scores at :math:`x_t + \sigma_t z` with normal z, no differences.

    Arguments:
        jacobian: The Jacobian at n points.
        generator: The source of the perturbations.
        rows: The number R of perturbations; 4 D if not given.
        centered: Whether to subtract the mean of the rows. Without it the score at the point itself adds a
            spurious singular value.

    Raises:
        ValueError: If `rows` is below D.
    """
    count, sigma = _rows(jacobian, rows), jacobian.sigma
    values = []
    for point in range(len(jacobian)):
        here = jacobian.at(slice(point, point + 1))
        noise = torch.randn(count, *jacobian.denoiser.shape, dtype=torch.float64, generator=generator)
        scores = here.noise(here.x_t + sigma * noise.to(here.x_t)) / sigma
        scores = scores - scores.mean(dim=0) if centered else scores
        scores[here.failed.expand(count)] = torch.nan
        values.append(_singular(scores[None]) / sqrt(count))
    return torch.cat(values)


def _rows(jacobian: ScoreJacobian, rows: int | None) -> int:
    count = 4 * jacobian.dim if rows is None else rows
    if count < jacobian.dim:
        raise ValueError(f"`rows` must be at least the {jacobian.dim} coordinates, got {count}.")
    return count


def _differences(jacobian: ScoreJacobian, directions: Tensor) -> Tensor:
    """N q for directions (n, m, D), from two scores each."""
    out = torch.empty(directions.shape, dtype=torch.float64)
    for point, x_t in enumerate(jacobian.x_t):
        move = (jacobian.sigma * directions[point]).view(-1, *x_t.shape).to(x_t)
        out[point] = (jacobian.noise(x_t + move) - jacobian.noise(x_t - move)) / (2 * jacobian.sigma)
    out[jacobian.failed] = torch.nan
    return out


def _singular(matrices: Tensor) -> Tensor:
    finite = matrices.isfinite().all(dim=2).all(dim=1)
    values = torch.linalg.svdvals(torch.where(finite[:, None, None], matrices, 0.0))
    return torch.where(finite[:, None], values, torch.nan)


def _blocks(count: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Random directions (count, D) of length 1 whose planes are orthogonal matrices, up to scale."""
    planes, height, width = prod(shape[:-2]), *(1, *shape)[-2:]
    if min(height, width) == 1:
        flat = torch.randn(count, prod(shape), dtype=torch.float64, generator=generator)
    else:
        full = haar(count * planes, max(height, width), generator=generator)
        flat = full[:, :height, :width].reshape(count, -1)
    answer: Tensor = flat / flat.norm(dim=1, keepdim=True)
    return answer

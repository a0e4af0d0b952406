r"""The Lanczos process on the symmetric part of the Jacobian, and its extreme eigenvalues.

From a start vector, k products with :math:`(N + N^\top) / 2` give an orthonormal basis Q of a Krylov space
and a tridiagonal :math:`T = Q^\top N Q`, whose eigenvalues (Ritz values) converge to the extreme eigenvalues
of N first. An eigenvalue of N lies within :math:`\beta_k |y_k|` of a Ritz value with eigenvector y. Every
vector is made orthogonal to all before it, twice. Where the Krylov space is exhausted (at a memory after one
step, for all stiffness is equal) the process goes on from a random vector orthogonal to it, so that
eigenvalues are found with their multiplicity. Memory is (k, D) for each point, never (D, D).

A Krylov space that is not exhausted holds one vector of each eigenspace only: an eigenvalue that is repeated
exactly, as 1 is for the exact score of fewer patterns than coordinates, is then found once, and its
neighbors take the other places. `spurion.geometry.density` counts repeated eigenvalues rightly.

The soft end is near 0 and the stiff end near 1, so residuals are compared with the eigenvalues they belong
to: both ends get as many digits. The Krylov space of :math:`\lambda I - N` is that of N, so that a shift
would change nothing; what a crowded end needs is steps.

References:
    | Numerical Methods for Large Eigenvalue Problems (Saad, 2011), Sec. 6.6
"""

__all__ = ["Extremal", "Tridiagonal", "extremal", "lanczos"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from spurion.geometry.jacobian import ScoreJacobian

MEMORY = 2**25  # numbers of all bases at once


@dataclass(frozen=True)
class Tridiagonal:
    """The tridiagonal matrices of m runs at each of n points.

    Attributes:
        diagonal: With shape (n, m, k).
        off: The k-1 elements beside the diagonal and the norm of the last residual, with shape (n, m, k).
    """

    diagonal: Float64[Tensor, "n m k"]
    off: Float64[Tensor, "n m k"]

    def eigh(self) -> tuple[Float64[Tensor, "n m k"], Float64[Tensor, "n m k k"]]:
        """Ritz values, increasing, and their eigenvectors in columns; NaN where a run is not finite."""
        inner = self.off[..., :-1]
        matrix = self.diagonal.diag_embed() + inner.diag_embed(1) + inner.diag_embed(-1)
        finite = matrix.isfinite().flatten(2).all(dim=2)
        values, vectors = torch.linalg.eigh(torch.where(finite[..., None, None], matrix, 0.0))
        values[~finite], vectors[~finite] = torch.nan, torch.nan
        return values, vectors


@dataclass(frozen=True)
class Extremal:
    """The extreme stiffness of n points; NaN where a point or the model's answer at it is not finite.

    Attributes:
        top: The largest eigenvalues, decreasing, with shape (n, top).
        bottom: The smallest, increasing, with shape (n, bottom).
        top_error: The residual of each of `top`: an eigenvalue lies so near, with shape (n, top).
        bottom_error: The same for `bottom`.
    """

    top: Float64[Tensor, "n top"]
    bottom: Float64[Tensor, "n bottom"]
    top_error: Float64[Tensor, "n top"]
    bottom_error: Float64[Tensor, "n bottom"]


def lanczos(
    product: Callable[[Float64[Tensor, "n m D"]], Float64[Tensor, "n m D"]],
    start: Float64[Tensor, "n m D"],
    steps: int,
    *,
    generator: torch.Generator,
    unit: float,
) -> Iterator[Tridiagonal]:
    """Run the process from each start vector, and yield what is known after each step.

    Arguments:
        product: The symmetric operator, applied to m vectors for each of n points.
        start: Start vectors of any length but 0, with shape (n, m, D).
        steps: The largest number k of steps, at most D.
        generator: The source of the vectors to go on from where a Krylov space is exhausted.
        unit: The relative rounding of the operator; a space is exhausted where a residual is below its power
            3/4.
    """
    basis = start.new_zeros(*start.shape[:2], steps, start.shape[2])
    diagonal, off = start.new_zeros(*start.shape[:2], steps), start.new_zeros(*start.shape[:2], steps)
    vector = start / start.norm(dim=2, keepdim=True)
    for step in range(steps):
        basis[:, :, step] = vector
        known = basis[:, :, : step + 1]
        residual = product(vector)
        scale = residual.norm(dim=2)
        diagonal[:, :, step] = (residual * vector).sum(dim=2)
        residual = _orthogonal(residual, known)
        norm = residual.norm(dim=2)
        exhausted = norm <= unit**0.75 * scale
        off[:, :, step] = torch.where(exhausted, 0.0, norm)
        yield Tridiagonal(diagonal[:, :, : step + 1], off[:, :, : step + 1])
        if bool(exhausted.any()):
            fresh = _orthogonal(torch.randn(start.shape, dtype=start.dtype, generator=generator), known)
            residual = torch.where(exhausted[..., None], fresh, residual)
        vector = residual / residual.norm(dim=2, keepdim=True)


def extremal(
    jacobian: ScoreJacobian,
    *,
    generator: torch.Generator,
    top: int = 10,
    bottom: int = 10,
    tolerance: float = 3e-4,
    steps: int = 4096,
) -> Extremal:
    """The largest and smallest stiffness of each point.

    The soft end of natural spectra stands apart and is found in few steps; the stiff end is crowded near 1
    and needs hundreds: ask for `top=0` where it is not wanted. An end whose eigenvalues differ by less than a
    hundredth of themselves may need almost D steps.

    Arguments:
        jacobian: The Jacobian at n points.
        generator: The source of the start vectors.
        top: How many of the largest, 0 to D.
        bottom: How many of the smallest, 0 to D.
        tolerance: Stop where every residual is below this share of its eigenvalue, or at rounding.
        steps: Stop after so many products with N and its transpose at each point, whatever the residuals.
            Memory is for all of them: up to 8 D `steps` bytes for a point.

    Raises:
        ValueError: If nothing or more than D is asked for, `steps` are too few for it, or `tolerance` is
            negative.
    """
    dim, most = jacobian.dim, min(steps, jacobian.dim)
    if not (min(top, bottom) >= 0 and 1 <= max(top, bottom) <= dim):
        raise ValueError(
            f"`top` and `bottom` must be between 0 and {dim}, not both 0, got {top} and {bottom}."
        )
    if most < max(top, bottom):
        raise ValueError(f"`steps` must be at least {max(top, bottom)}, the eigenvalues wanted, got {steps}.")
    if not tolerance >= 0:
        raise ValueError(f"`tolerance` must not be negative, got {tolerance}.")
    size = max(1, MEMORY // (most * dim))
    parts = []
    for first in range(0, len(jacobian), size):
        here = jacobian.at(slice(first, first + size))
        start = torch.randn(len(here), 1, dim, dtype=torch.float64, generator=generator)
        runs = lanczos(here.symmetric, start, most, generator=generator, unit=here.unit)
        parts.append(_settled(runs, top, bottom, tolerance, most, here.unit))
    columns = (torch.cat(column) for column in zip(*parts, strict=True))
    return Extremal(*columns)


def _settled(
    runs: Iterator[Tridiagonal], top: int, bottom: int, tolerance: float, most: int, unit: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Both ends, as soon as their residuals are small beside them; looked at after 25 % more steps each time.

    An exhausted space holds each eigenvalue once, so that as many must be exhausted as eigenvalues are
    wanted.
    """
    count = max(top, bottom)
    check = min(most, 4 * count + 40)
    for step, run in enumerate(runs, start=1):
        if step < check:
            continue
        ends = _ends(run, top, bottom)
        spaces = (run.off == 0).sum(dim=2)
        size = torch.cat(ends[:2], dim=1).abs().clamp(min=unit)
        loose = (torch.cat(ends[2:], dim=1) > tolerance * size).any(dim=1)
        partial = ((spaces > 0) & (spaces < count)).any(dim=1)
        if step == most or not bool((loose | partial).any()):
            break
        check = min(most, step + max(1, step // 4))
    return ends


def _ends(run: Tridiagonal, top: int, bottom: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    values, vectors = run.eigh()
    errors = run.off[..., -1:] * vectors[:, :, -1].abs()
    values, errors = values[:, 0], errors[:, 0]
    return values.flip(1)[:, :top], values[:, :bottom], errors.flip(1)[:, :top], errors[:, :bottom]


def _orthogonal(vector: Tensor, basis: Tensor) -> Tensor:
    """Remove the components along a basis (n, m, k, D), twice, for rounding leaves some the first time."""
    for _ in range(2):
        along = torch.einsum("nmkd,nmd->nmk", basis, vector)
        vector = vector - torch.einsum("nmkd,nmk->nmd", basis, along)
    return vector

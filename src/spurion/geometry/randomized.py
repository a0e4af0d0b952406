r"""The largest singular values of the Jacobian by a random range finder.

.. math:: Y = (N N^\top)^q N \Omega = Q R, \qquad s_i(N) \approx s_i(Q^\top N)

with c + p random columns :math:`\Omega`: c wanted, p to spare. For the top of the spectrum only; for counts
below a level use `spurion.geometry.density`.

References:
    | Finding Structure with Randomness (Halko, Martinsson & Tropp, 2011), Algorithms 4.4 and 5.1
"""

__all__ = ["top_singular_values"]

import torch
from jaxtyping import Float64
from torch import Tensor

from spurion.geometry.jacobian import ScoreJacobian


def top_singular_values(
    jacobian: ScoreJacobian,
    count: int,
    *,
    generator: torch.Generator,
    spare: int = 10,
    iterations: int = 2,
) -> Float64[Tensor, "n count"]:
    """The largest singular values of N at each point, decreasing; NaN where not finite.

    They are never above the true ones, but for rounding.

    Arguments:
        jacobian: The Jacobian at n points.
        count: How many, 1 to D.
        generator: The source of the random columns.
        spare: The number p of columns to spare, at least 0.
        iterations: The number q of power iterations, at least 0; more where the spectrum falls slowly.

    Raises:
        ValueError: If `count`, `spare` or `iterations` is out of range.
    """
    if not 1 <= count <= jacobian.dim:
        raise ValueError(f"`count` must be between 1 and the {jacobian.dim} coordinates, got {count}.")
    if spare < 0 or iterations < 0:
        raise ValueError(f"`spare` and `iterations` must not be negative, got {spare} and {iterations}.")
    width = min(count + spare, jacobian.dim)
    columns = torch.randn(len(jacobian), width, jacobian.dim, dtype=torch.float64, generator=generator)
    rows = _orthonormal(jacobian.push(columns))
    for _ in range(iterations):
        rows = _orthonormal(jacobian.push(_orthonormal(jacobian.pull(rows))))
    projected = jacobian.pull(rows)
    failed = ~projected.isfinite().flatten(1).all(dim=1)
    values = torch.linalg.svdvals(torch.where(failed[:, None, None], 0.0, projected))[:, :count]
    values[failed] = torch.nan
    answer: Float64[Tensor, "n count"] = values
    return answer


def _orthonormal(rows: Tensor) -> Tensor:
    """An orthonormal basis of the span of the rows, in rows; NaN stays in its point."""
    finite = rows.isfinite().flatten(1).all(dim=1)
    q, _ = torch.linalg.qr(torch.where(finite[:, None, None], rows, 0.0).mT)
    return torch.where(finite[:, None, None], q.mT, torch.nan)

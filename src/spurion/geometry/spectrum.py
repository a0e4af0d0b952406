r"""Numbers that sum up a spectrum of stiffness.

All are functions of the eigenvalues :math:`\rho` of the symmetric part of :math:`N = -\sigma_t^2 J`
(`spurion.geometry.jacobian`) or of the singular values :math:`s` of N:

.. math::
    n_\text{soft} = \#\{\rho_i < c\}, \qquad
    \log|\det N| = \sum_i \log s_i, \qquad
    \text{stable rank} = \frac{\sum_i s_i^2}{\max_i s_i^2} .

The separation of a spectrum says how clearly it falls apart at the cut c: Otsu's variance between the soft
and the stiff group,

.. math:: \eta = w (1 - w) (\bar\rho_\text{stiff} - \bar\rho_\text{soft})^2, \qquad w = n_\text{soft} / D,

with :math:`\rho` clipped to [0, 1]. It is at most 1/4, and 0 where all directions are on one side.

References:
    | A Threshold Selection Method from Gray-Level Histograms (Otsu, 1979)
"""

__all__ = ["CUT", "decompose", "log_determinant", "separation", "soft_count", "stable_rank"]

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

CUT = 0.5
"""Directions with less than this stiffness are soft."""


class Decomposed(NamedTuple):
    r"""The spectra of n normalized Jacobians; NaN where a Jacobian is not finite, or an algorithm fails.

    Attributes:
        rho: Eigenvalues of the symmetric parts, increasing, with shape (n, D).
        singular: Singular values, decreasing, with shape (n, D).
        asymmetry: :math:`\lVert J - J^T \rVert_F / \lVert J \rVert_F`, 0 to 2, with shape (n,).
    """

    rho: Float[Tensor, "n D"]
    singular: Float[Tensor, "n D"]
    asymmetry: Float[Tensor, " n"]


def decompose(matrices: Float[Tensor, "n D D"]) -> Decomposed:
    """Eigenvalues of the symmetric part, singular values and asymmetry of each matrix.

    Arguments:
        matrices: Normalized Jacobians, with shape (n, D, D).
    """
    finite = matrices.isfinite().all(dim=2).all(dim=1)
    safe = torch.where(finite[:, None, None], matrices, torch.zeros_like(matrices))
    size = safe.norm(dim=(1, 2))
    difference = (safe - safe.mT).norm(dim=(1, 2))
    asymmetry = torch.where(size > 0, difference / size, torch.zeros_like(size))
    rho, singular = _each(torch.linalg.eigvalsh, (safe + safe.mT) / 2), _each(torch.linalg.svdvals, safe)
    for values in (rho, singular, asymmetry):
        values[~finite] = torch.nan
    return Decomposed(rho, singular, asymmetry)


def _each(spectrum: Callable[[Tensor], Tensor], matrices: Tensor) -> Tensor:
    """The spectrum of each matrix; NaN where the algorithm does not converge."""
    try:
        return spectrum(matrices)
    except torch.linalg.LinAlgError:
        if len(matrices) == 1:
            return matrices[:, 0] * torch.nan
        return torch.cat([_each(spectrum, matrix) for matrix in matrices.split(1)])


def soft_count(rho: Float[Tensor, "n D"], cut: float = CUT) -> Float[Tensor, " n"]:
    """The number of directions with stiffness below `cut`; NaN stays NaN.

    Example:
        >>> soft_count(torch.tensor([[-0.2, 0.1, 1.0], [0.9, 1.0, 1.0]]))
        tensor([2., 0.])
    """
    return torch.where(rho.isnan(), rho, (rho < cut).to(rho)).sum(dim=1)


def log_determinant(singular: Float[Tensor, "n D"]) -> Float[Tensor, " n"]:
    r""":math:`\log|\det N|` in nats: 0 at an isolated memory, negative where directions are soft.

    The sign of the determinant is not in it, for a few unstable directions are common at a network's data.
    Of J itself it is :math:`\log|\det J| = \log|\det N| - 2 D \log \sigma_t`. A singular N gives minus
    infinity.
    """
    return singular.log().sum(dim=1)


def stable_rank(singular: Float[Tensor, "n D"]) -> Float[Tensor, " n"]:
    """Squared Frobenius over squared spectral norm, 1 to D; NaN for a matrix of zeros."""
    return (singular / singular.amax(dim=1, keepdim=True)).square().sum(dim=1)


def separation(rho: Float[Tensor, "n D"], cut: float = CUT) -> Float[Tensor, " n"]:
    """How clearly each spectrum falls apart at the cut, 0 to 1/4; NaN stays NaN.

    Example:
        >>> separation(torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.4, 0.4, 0.6, 0.6], [0.9, 0.9, 1.0, 1.0]]))
        tensor([0.2500, 0.0100, 0.0000])
    """
    soft, values = (rho < cut).to(rho), rho.clamp(0, 1)
    share = soft.mean(dim=1)
    below = (values * soft).sum(dim=1) / soft.sum(dim=1).clamp(min=1)
    above = (values * (1 - soft)).sum(dim=1) / (1 - soft).sum(dim=1).clamp(min=1)
    return share * (1 - share) * (above - below).square()

r"""Curvature of the energy at clean points: full spectra in one pass, and everything that is read from them.

The quantities are those of `spurion.geometry.spectrum` and `spurion.geometry.dimension`, of the normalized
Jacobian N at :math:`x_t = \alpha_t x` (`spurion.geometry.jacobian`). The time decides what is seen: choose
it by rule (`spurion.geometry.groups.scan`).

References:
    | Memorization to Generalization (Pham et al., 2025), Sec. 4 and Eq. 35-36
"""

__all__ = ["Curvature", "curvature", "judged"]

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Shaped
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.dimension import flipd, normal_bundle_dimension
from spurion.geometry.jacobian import ScoreJacobian
from spurion.geometry.measured import STATUSES, Measured
from spurion.geometry.spectrum import CUT, decompose, log_determinant, separation, soft_count, stable_rank


@dataclass(frozen=True)
class Curvature:
    r"""The spectra of n points at one time; NaN where a point or the model's answer at it is not finite.

    Attributes:
        t: The time.
        alpha: :math:`\alpha_t`.
        sigma: :math:`\sigma_t`.
        rho: Stiffness: the eigenvalues of :math:`-\sigma_t^2 (J + J^\top) / 2`, increasing, with shape (n,
            D).
        singular: The singular values of :math:`\sigma_t^2 J`, decreasing, with shape (n, D).
        asymmetry: :math:`\lVert J - J^\top \rVert_F / \lVert J \rVert_F`, with shape (n,).
        residual: The scaled noise :math:`x_t - \alpha_t \hat x = -\sigma_t^2 s`, with shape (n, D).
    """

    t: float
    alpha: float
    sigma: float
    rho: Float64[Tensor, "n D"]
    singular: Float64[Tensor, "n D"]
    asymmetry: Float64[Tensor, " n"]
    residual: Float64[Tensor, "n D"]

    @property
    def noise(self) -> float:
        r"""The noise in units of the clean data, :math:`\sigma_t / \alpha_t`."""
        return self.sigma / self.alpha

    @property
    def failed(self) -> Bool[Tensor, " n"]:
        """Which points have no spectrum, with shape (n,)."""
        return self.rho.isnan().any(dim=1)

    def soft_directions(self, cut: float = CUT) -> Measured:
        """The number of directions with stiffness below `cut`."""
        return self._measured(soft_count(self.rho, cut))

    def mean(self) -> Measured:
        """The mean stiffness, tr N / D."""
        return self._measured(self.rho.mean(dim=1))

    def log_determinant(self) -> Measured:
        r"""The sum of :math:`\log(\sigma_t^2 s_i)` in nats; undecided where a singular value is 0."""
        return self._measured(log_determinant(self.singular))

    def stable_rank(self) -> Measured:
        """Squared Frobenius over squared spectral norm; undecided where J is 0."""
        return self._measured(stable_rank(self.singular))

    def normal_bundle_dimension(self) -> Measured:
        """The local intrinsic dimension by the drop of the spectrum."""
        return self._measured(normal_bundle_dimension(self.rho))

    def flipd(self) -> Measured:
        """The local intrinsic dimension by FLIPD with the exact trace."""
        return self._measured(flipd(self.rho.sum(dim=1), self.residual, self.sigma))

    def separation(self, cut: float = CUT) -> Measured:
        """How clearly each spectrum falls apart at `cut`, 0 to 1/4."""
        return self._measured(separation(self.rho, cut))

    def _measured(self, values: Tensor) -> Measured:
        return judged(values, self.failed)


def judged(values: Float[Tensor, " n"], failed: Bool[Tensor, " n"]) -> Measured:
    """Values with their status: failed where told, undecided where not finite for another reason."""
    measured = values.isfinite() & ~failed
    status = torch.where(measured, STATUSES.index("measured"), STATUSES.index("undecided"))
    status[failed] = STATUSES.index("failed")
    return Measured(torch.where(measured, values.double(), torch.nan), status)


def curvature(
    denoiser: Denoiser, x: Shaped[Tensor, "n *shape"], t: float, *, batch_size: int = 1024
) -> Curvature:
    """Full spectra at clean points, by D products with the Jacobian for each.

    Memory is a few (D, D) matrices for each of `batch_size` / D points at once: meant for D up to about
    1,000. Beyond, use `spurion.geometry.lanczos` and `spurion.geometry.density`.

    Arguments:
        denoiser: The model.
        x: Clean points, with shape (n, *shape).
        t: The time: an integer step of a discrete schedule, or a number.
        batch_size: How many vectors go through the model at once.

    Raises:
        ValueError: If `x` does not have the model's shape, `t` is outside the schedule, or `batch_size` is
            below 1.
    """
    jacobian = ScoreJacobian(denoiser, x, t, batch_size=batch_size)
    size = max(1, batch_size // jacobian.dim)
    spectra, noise = [], []
    for first in range(0, len(jacobian), size):
        part = jacobian.at(slice(first, first + size))
        spectra.append(decompose(part.full()))
        noise.append(part.noise())
    rho, singular, asymmetry = (torch.cat(column) for column in zip(*spectra, strict=True))
    residual = torch.cat(noise)
    return Curvature(t, jacobian.alpha, jacobian.sigma, rho, singular, asymmetry, residual)

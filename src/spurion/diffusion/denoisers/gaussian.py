r"""The exact posterior mean of Gaussian data: a linear map with a known spectrum.

If :math:`x \sim \mathcal{N}(\mu, \Sigma)` with :math:`\Sigma = V \operatorname{diag}(\lambda) V^\top`,

.. math::
    \hat x(x_t, t) = \mu + V \operatorname{diag}\Big(\frac{\alpha_t \lambda_i}
    {\alpha_t^2 \lambda_i + \sigma_t^2}\Big) V^\top (x_t - \alpha_t \mu) .

Directions that the data do not span have :math:`\lambda = 0` and are never stored. This model generalizes
without limit: it knows the mean and covariance of its training set, and no image of it.

References:
    | Pattern Recognition and Machine Learning (Bishop, 2006), Eq. 2.113-2.117
"""

__all__ = ["GaussianConfig", "GaussianDenoiser", "Spectrum"]

import math
from typing import Literal, NamedTuple, final

import torch
from jaxtyping import Float, Num
from torch import Tensor

from spurion.core.config import Config
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.schedule import Schedule

_ASYMMETRY = 1e-5
_NEGATIVE = 1e-5


class Spectrum(NamedTuple):
    r"""A covariance by its spectrum, :math:`\Sigma = \sum_i \lambda_i v_i v_i^\top`.

    Attributes:
        variances: The eigenvalues, non-negative, with shape (r,).
        directions: The orthonormal eigenvectors in rows, with shape (r, D); None for the coordinate axes.
    """

    variances: Float[Tensor, " r"]
    directions: Float[Tensor, "r D"] | None

    @classmethod
    def of(cls, covariance: Float[Tensor, "D D"] | Float[Tensor, " D"]) -> "Spectrum":
        """Decompose a covariance matrix, or take a vector of variances as a diagonal one.

        Raises:
            ValueError: If it is not finite, not symmetric, or has a negative eigenvalue.
        """
        if not bool(torch.isfinite(covariance).all()):
            raise ValueError("`covariance` must be finite, got NaN or infinity.")
        if covariance.ndim == 1:
            variances, directions = covariance, None
        else:
            if float((covariance - covariance.T).abs().max()) > _ASYMMETRY * float(covariance.abs().max()):
                raise ValueError("`covariance` must be symmetric.")
            variances, columns = torch.linalg.eigh(covariance)
            directions = columns.T
        if float(variances.min()) < -_NEGATIVE * float(variances.abs().max()):
            raise ValueError(f"`covariance` must have no negative variance, got {float(variances.min()):g}.")
        return cls(variances.clamp(min=0), directions)

    @classmethod
    def of_factor(cls, factor: Float[Tensor, "r D"]) -> "Spectrum":
        r"""Decompose the covariance :math:`F^\top F` of rank r; no (D, D) matrix is made where r < D."""
        if len(factor) >= factor.shape[1]:
            return cls.of(factor.T @ factor)
        _, roots, directions = torch.linalg.svd(factor, full_matrices=False)
        return cls(roots.square(), directions)


@final
class GaussianDenoiser(Denoiser):
    """The denoiser of a normal distribution, in closed form.

    Arguments:
        mean: The mean of the flattened data, with shape (D,); it decides dtype and device.
        covariance: The covariance matrix (D, D), a vector (D,) of variances of independent coordinates, or a
            `Spectrum` (of any rank).
        schedule: The noise schedule.
        shape: The shape of one item, with D coordinates.

    Raises:
        ValueError: If the shapes do not fit or the covariance is none.
    """

    def __init__(
        self,
        mean: Float[Tensor, " D"],
        covariance: Float[Tensor, "..."] | Spectrum,
        schedule: Schedule,
        shape: tuple[int, ...],
    ) -> None:
        if math.prod(shape) != len(mean):
            raise ValueError(f"`shape` must have {len(mean)} coordinates like `mean`, got {tuple(shape)}.")
        if not isinstance(covariance, Spectrum):
            dim = len(mean)
            if covariance.shape not in ((dim,), (dim, dim)):
                raise ValueError(
                    f"`covariance` must have shape ({dim}, {dim}) or ({dim},) like `mean`, got "
                    f"{tuple(covariance.shape)}."
                )
            covariance = Spectrum.of(covariance)
        self.mean = mean
        variances, directions = covariance
        rows = None if directions is None else directions.to(mean).contiguous()
        self.spectrum = Spectrum(variances.to(mean), rows)
        self.schedule = schedule
        self.shape = tuple(shape)
        self.dtype, self.device = mean.dtype, mean.device

    def denoise(self, x_t: Float[Tensor, "n *shape"], t: Num[Tensor, " n"]) -> Float[Tensor, "n *shape"]:
        """Posterior mean: the noisy item, shrunk towards the mean by one gain for each direction."""
        alpha, sigma = (value.view(-1, 1) for value in self._coefficients(x_t, t))
        variances, directions = self.spectrum
        gain = alpha * variances / (alpha.square() * variances + sigma.square())
        offset = x_t.flatten(1) - alpha * self.mean
        if directions is None:
            return (self.mean + gain * offset).view_as(x_t)
        return (self.mean + (gain * (offset @ directions.T)) @ directions).view_as(x_t)


class GaussianConfig(Config):
    """The normal distribution with the mean and covariance of the training images."""

    kind: Literal["gaussian"] = "gaussian"

    def build(
        self, images: Float[Tensor, "n *shape"], schedule: Schedule, *, generator: torch.Generator
    ) -> GaussianDenoiser:
        """Fit the distribution, in float64, with covariance divided by n; one image gives a point.

        Arguments:
            images: The training images, with shape (n, *shape).
            schedule: The noise schedule.
            generator: Not drawn from: nothing is random here.

        Raises:
            ValueError: If an image is not finite.
        """
        data = images.flatten(1).double()
        if not bool(torch.isfinite(data).all()):
            raise ValueError("`images` must be finite, got NaN or infinity.")
        mean = data.mean(0)
        spectrum = Spectrum.of_factor((data - mean) / math.sqrt(len(data)))
        return GaussianDenoiser(mean.to(images.dtype), spectrum, schedule, tuple(images.shape[1:]))

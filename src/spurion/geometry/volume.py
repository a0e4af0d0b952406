r"""Volume of a basin of attraction.

A state :math:`x` of a model is an attractor of the reverse process: noise it up to scale :math:`\sigma` and
the flow brings it back as long as :math:`\sigma` stays below a critical scale
(:mod:`spurion.geometry.critical`). This module turns that critical scale into a size. The basin is
*approximated by a ball*, because random noise probes every direction equally; its radius is the mean distance
that the noise moved the point,

.. math:: R = \mathbb{E} \lVert x - x_{t_c} \rVert_2 ,

and its volume follows from the dimension alone. Volumes of images under- or overflow every float
(:math:`D = 3072` for 32x32 color images), so nothing here ever leaves log space.

Say in any figure: this is an isotropic estimate. It neither bounds the true basin nor sees its anisotropy.
And the radius follows from the critical time up to :math:`O(1 / \sqrt D)`,

.. math:: R^2 \approx (1 - \alpha_t)^2 \lVert x \rVert^2 + D \sigma_t^2 ,

so the log-volume says nothing that the critical noise does not; it only says it in the units of the paper.

References:
    | Memorization to Generalization (Pham et al., 2025), Eq. 12
    | Sphere Packings, Lattices and Groups (Conway & Sloane), p. 9, Eq. 17
"""

__all__ = ["LogVolume", "log_basin_volume"]

import math
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from spurion.geometry.basin import BasinResult
from spurion.geometry.critical import BasinMeasure
from spurion.geometry.measured import Measured


def log_basin_volume(radius: Float[Tensor, "*batch"], dim: int) -> Float64[Tensor, "*batch"]:
    r"""Log-volume of a ball-shaped basin of attraction.

    .. math:: \log V_D(R) = \tfrac{D}{2} \log \pi - \log \Gamma(\tfrac{D}{2} + 1) + D \log R

    Arguments:
        radius: The basin radii :math:`R \geq 0`, in the units of the data (for images scaled to [-1, 1], half
            the gray range), with shape (*).
        dim: The number :math:`D \geq 1` of coordinates of one point: C H W for an image. Not the number K of
            patterns.

    Returns:
        The log-volumes in nats, float64, with shape (*). A radius of 0 (never recovered) gives minus
        infinity; NaN stays NaN. Rescaling the data by c adds D log c: compare only basins of equal D and
        equal scaling.

    Raises:
        ValueError: If `dim` is below 1 or a radius is negative.

    Example:
        >>> log_basin_volume(torch.tensor([1.0, 2.0]), dim=2)  # log(pi), log(4 pi)
        tensor([1.1447, 2.5310], dtype=torch.float64)
    """
    if dim < 1:
        raise ValueError(f"`dim` must be at least 1, got {dim}.")
    if bool((radius < 0).any()):
        least = float(radius[radius < 0].min())
        raise ValueError(f"`radius` must not be negative, got a minimum of {least:g}.")
    log_unit_ball = 0.5 * dim * math.log(math.pi) - math.lgamma(0.5 * dim + 1)
    return log_unit_ball + dim * torch.log(radius.double())


@final
class LogVolume(BasinMeasure):
    """Log-volume of the ball that stands for the basin."""

    name = "log-volume"
    unit = "nats"
    source = "Eq. 12"
    descending = True
    told = False
    unsupported = (
        (
            "The shape or the true volume of a basin",
            "Noise is equally strong in all directions, and the volume is that of a ball of the mean "
            "recovered radius: it neither bounds the basin nor sees in which directions it is long.",
        ),
    )

    def of(self, result: BasinResult) -> Measured:
        """Log-volumes of basins already found."""
        return result.measured(log_basin_volume(result.radius, result.dim))

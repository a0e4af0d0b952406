"""Stiffness of many points: full spectra while the coordinates are few enough, densities beyond."""

__all__ = ["FULL_DIM", "Stiffness", "stiffness"]

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.core.random import generator
from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.density import Density, spectral_density
from spurion.geometry.dimension import flipd
from spurion.geometry.hessian import Curvature, curvature, judged
from spurion.geometry.jacobian import ScoreJacobian
from spurion.geometry.measured import Measured

FULL_DIM = 1024
"""Up to so many coordinates every eigenvalue is computed."""

RANKS = 64
"""At most so many values of a spectrum are kept for figures."""


@dataclass(frozen=True)
class Stiffness:
    """What the curvature at n points says.

    Attributes:
        soft_directions: The number of directions softer than the cut.
        dimension: The local intrinsic dimension by FLIPD.
        mean: The mean stiffness over all directions.
        log_determinant: The log-determinant; undecided where only densities were computed.
        ranks: Stiffness at evenly spaced ranks, softest first, NaN for failed points, with shape (n, R).
        asymmetry: ||J - J^T|| / ||J||, with shape (n,); None where only densities were computed.
        spectra: The full spectra; None where only densities were computed.
    """

    soft_directions: Measured
    dimension: Measured
    mean: Measured
    log_determinant: Measured
    ranks: Float[Tensor, "n R"]
    asymmetry: Float[Tensor, " n"] | None
    spectra: Curvature | None


def stiffness(
    denoiser: Denoiser, x: Float[Tensor, "n *shape"], t: float, *, cut: float, seed: int
) -> Stiffness:
    """Read the curvature at clean points.

    Arguments:
        denoiser: The model.
        x: The points, with shape (n, *shape).
        t: The time.
        cut: Directions softer than this are soft.
        seed: Seed of the probes, which only densities need.
    """
    if math.prod(denoiser.shape) <= FULL_DIM:
        return _from_spectra(curvature(denoiser, x, t), cut)
    jacobian = ScoreJacobian(denoiser, x, t)
    density = spectral_density(jacobian, generator=generator(seed, "probes"))
    return _from_density(jacobian, density, cut)


def _from_spectra(found: Curvature, cut: float) -> Stiffness:
    dim = found.rho.shape[1]
    index = torch.linspace(0, dim - 1, min(dim, RANKS)).round().long()
    return Stiffness(
        soft_directions=found.soft_directions(cut),
        dimension=found.flipd(),
        mean=found.mean(),
        log_determinant=found.log_determinant(),
        ranks=found.rho[:, index],
        asymmetry=found.asymmetry,
        spectra=found,
    )


def _from_density(jacobian: ScoreJacobian, density: Density, cut: float) -> Stiffness:
    mean = density.mean().value
    failed = mean.isnan()
    return Stiffness(
        soft_directions=judged(density.count_below(cut).value, failed),
        dimension=judged(flipd(mean * density.dim, jacobian.noise(), jacobian.sigma), failed),
        mean=judged(mean, failed),
        log_determinant=judged(torch.full_like(mean, torch.nan), failed),
        ranks=_quantiles(density, RANKS),
        asymmetry=None,
        spectra=None,
    )


def _quantiles(density: Density, count: int) -> Float[Tensor, "n count"]:
    """Stiffness below which lie the shares 0 to 1 of all directions, with all probes taken together."""
    nodes, order = density.nodes.flatten(1).sort(dim=1)
    below = (density.weights.flatten(1).gather(1, order) / density.weights.shape[1]).cumsum(dim=1)
    wanted = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    index = torch.searchsorted(below.contiguous(), wanted.expand(len(below), -1).contiguous())
    return nodes.gather(1, index.clamp(max=nodes.shape[1] - 1))

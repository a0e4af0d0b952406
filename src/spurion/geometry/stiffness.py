"""Stiffness of many points: full spectra while the coordinates are few enough, densities beyond."""

__all__ = ["CURVATURES", "FULL_DIM", "Stiffness", "stiffness"]

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
from spurion.geometry.measure import Measured

FULL_DIM = 1024
"""Up to so many coordinates every eigenvalue is computed."""

CURVATURES = ("soft-directions", "intrinsic-dimension", "mean-curvature", "log-determinant")
"""The measures that are read off the stiffness."""

RANKS = 64
"""At most so many values of a spectrum are kept for figures."""


@dataclass(frozen=True)
class Stiffness:
    """What the curvature at n points says.

    Attributes:
        measures: By the name of the measure, one value for each point.
        ranks: Stiffness at evenly spaced ranks, softest first, NaN for failed points, with shape (n, R).
        asymmetry: ||J - J^T|| / ||J||, with shape (n,); None where only densities were computed.
    """

    measures: dict[str, Measured]
    ranks: Float[Tensor, "n R"]
    asymmetry: Float[Tensor, " n"] | None

    def of(self, name: str) -> Measured:
        """One measure; undecided where it needs a full spectrum and only densities were computed."""
        if name in self.measures:
            return self.measures[name]
        failed = self.ranks.isnan().any(dim=1)
        return judged(torch.full(failed.shape, torch.nan, dtype=torch.float64), failed)


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
    values = found.soft_directions(cut), found.flipd(), found.mean(), found.log_determinant()
    measures = dict(zip(CURVATURES, values, strict=True))
    return Stiffness(measures, found.rho[:, index], found.asymmetry)


def _from_density(jacobian: ScoreJacobian, density: Density, cut: float) -> Stiffness:
    mean = density.mean().value
    failed = mean.isnan()
    measures = {
        "soft-directions": judged(density.count_below(cut).value, failed),
        "intrinsic-dimension": judged(flipd(mean * density.dim, jacobian.noise(), jacobian.sigma), failed),
        "mean-curvature": judged(mean, failed),
    }
    return Stiffness(measures, _quantiles(density, RANKS), None)


def _quantiles(density: Density, count: int) -> Float[Tensor, "n count"]:
    """Stiffness below which lie the shares 0 to 1 of all directions, with all probes taken together."""
    nodes, order = density.nodes.flatten(1).sort(dim=1)
    below = (density.weights.flatten(1).gather(1, order) / density.weights.shape[1]).cumsum(dim=1)
    wanted = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    index = torch.searchsorted(below.contiguous(), wanted.expand(len(below), -1).contiguous())
    return nodes.gather(1, index.clamp(max=nodes.shape[1] - 1))

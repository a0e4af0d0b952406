r"""The density of stiffness where there are too many coordinates for a spectrum.

For a probe z with independent signs, :math:`z^\top f(N) z` has the mean :math:`\operatorname{tr} f(N)`
(Hutchinson), and k Lanczos steps from z give its Gauss quadrature: with Ritz values :math:`\theta_j` and
eigenvectors :math:`y_j` of T,

.. math:: \frac{1}{D} \operatorname{tr} f(N) \approx
    \frac{1}{P} \sum_{p=1}^P \sum_{j=1}^k w_{pj} f(\theta_{pj}), \qquad w_{pj} = y_{pj,1}^2 .

The share of directions below a cut takes f as a step. Two things limit it: the scatter over probes, of which
the half-width of a 95 % interval is :math:`t_{P-1} s / \sqrt P` with Student's t and the standard deviation s
of the P answers, and the quadrature, whose share is off by no more than the weights of the two nodes next to
the cut (Chebyshev-Markov-Stieltjes). Probes may all agree while the quadrature is coarse, so the error that
is stated is the sum of the two.

References:
    | Fast Estimation of tr(f(A)) via Stochastic Lanczos Quadrature (Ubaru, Chen & Saad, 2017)
"""

__all__ = ["Density", "Estimate", "spectral_density"]

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from spurion.diffusion.jacobian import probe_error
from spurion.geometry.jacobian import ScoreJacobian
from spurion.geometry.lanczos import MEMORY, lanczos
from spurion.geometry.spectrum import CUT


@dataclass(frozen=True)
class Estimate:
    """A number for each point with its error; NaN where a point or the model's answer is not finite.

    Attributes:
        value: With shape (n,).
        error: Half of the 95 % interval from the scatter over probes, plus the largest error of the
            quadrature, with shape (n,); NaN for a single probe, whose scatter nobody knows.
    """

    value: Float64[Tensor, " n"]
    error: Float64[Tensor, " n"]


@dataclass(frozen=True)
class Density:
    """Quadratures of the spectra of n points.

    Attributes:
        nodes: Ritz values, increasing, with shape (n, P, k).
        weights: Their weights, which add up to 1, with shape (n, P, k).
        dim: The number D of coordinates.
    """

    nodes: Float64[Tensor, "n probes k"]
    weights: Float64[Tensor, "n probes k"]
    dim: int

    def share_below(self, cut: float = CUT) -> Estimate:
        """The share of directions with stiffness below `cut`."""
        below = torch.where(self.nodes.isnan(), self.nodes, (self.nodes < cut).double())
        shares = (below * self.weights).sum(dim=2)
        inner = below.nan_to_num().sum(dim=2, keepdim=True).long()
        padded = torch.nn.functional.pad(self.weights, (1, 1))  # node j is at j + 1
        beside = torch.maximum(padded.gather(2, inner), padded.gather(2, inner + 1))[..., 0]
        return Estimate(shares.mean(dim=1), probe_error(shares) + beside.mean(dim=1))

    def count_below(self, cut: float = CUT) -> Estimate:
        """The number of directions with stiffness below `cut`."""
        share = self.share_below(cut)
        return Estimate(self.dim * share.value, self.dim * share.error)

    def mean(self) -> Estimate:
        """The mean stiffness, tr N / D; its quadrature is exact."""
        means = (self.nodes * self.weights).sum(dim=2)
        return Estimate(means.mean(dim=1), probe_error(means))


def spectral_density(
    jacobian: ScoreJacobian, *, generator: torch.Generator, probes: int = 8, steps: int = 50
) -> Density:
    """The density of stiffness at each point, from `probes` times `steps` products with the Jacobian.

    Arguments:
        jacobian: The Jacobian at n points.
        generator: The source of the probes.
        probes: The number P of random probes, at least 1.
        steps: The number k of nodes of each quadrature; at most D are used.

    Raises:
        ValueError: If `probes` or `steps` is below 1.
    """
    if probes < 1 or steps < 1:
        raise ValueError(f"`probes` and `steps` must be at least 1, got {probes} and {steps}.")
    dim, length = jacobian.dim, min(steps, jacobian.dim)
    size = max(1, MEMORY // (probes * length * dim))
    nodes, weights = [], []
    for first in range(0, len(jacobian), size):
        here = jacobian.at(slice(first, first + size))
        signs = torch.randint(2, (len(here), probes, dim), generator=generator).double() * 2 - 1
        *_, run = lanczos(here.symmetric, signs, length, generator=generator, unit=here.unit)
        values, vectors = run.eigh()
        nodes.append(values)
        weights.append(vectors[:, :, 0].square())
    return Density(torch.cat(nodes), torch.cat(weights), dim)

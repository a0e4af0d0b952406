r"""The local intrinsic dimension at a clean point, read from the score in two ways.

*Normal bundle* (Stanczuk et al., 2022): across the data the score is stiff, along the data it is not, so
the spectrum drops once. With the stiffness :math:`\rho` clipped to [0, 1], increasing, and padded with
:math:`\rho_0 = 0` and :math:`\rho_{D+1} = 1`,

.. math:: m = \operatorname{argmax}_{0 \le i \le D} (\rho_{i+1} - \rho_i) .

The padding lets an isolated memory (all stiff) have dimension 0 and a point inside full-dimensional data
(all soft) have D, where an argmax over the spectrum alone would return the place of the largest rounding
error.

*FLIPD* (Kamkari et al., 2024), from the rate at which the log-density falls as noise is added,

.. math::
    m = D + \sigma_t^2 \big(\operatorname{tr} J + \lVert s \rVert^2\big)
      = \sum_i (1 - N_{ii}) + \sigma_t^2 \lVert s \rVert^2 ,

both at :math:`x_t = \alpha_t x`. It is no integer and needs only the trace of N. It is exact in the limit of
low noise; the noise must be above the distance of training points, below which their exact score has
dimension 0.

References:
    | Your Diffusion Model Secretly Knows the Dimension of the Data Manifold (Stanczuk et al., 2022)
    | A Geometric View of Data Complexity: FLIPD (Kamkari et al., 2024), Eq. 12
"""

__all__ = ["flipd", "normal_bundle_dimension"]

import torch
from jaxtyping import Float
from torch import Tensor


def normal_bundle_dimension(rho: Float[Tensor, "n D"]) -> Float[Tensor, " n"]:
    """The number of directions before the largest drop of stiffness, 0 to D; NaN where `rho` is NaN.

    Arguments:
        rho: Stiffness, increasing, with shape (n, D).

    Example:
        >>> normal_bundle_dimension(torch.tensor([[0.1, 0.2, 0.9], [0.98, 0.99, 1.0], [0.0, 0.1, 0.2]]))
        tensor([2., 0., 3.])
    """
    none, all_ = torch.zeros_like(rho[:, :1]), torch.ones_like(rho[:, :1])
    steps = torch.cat([none, rho.clamp(0, 1), all_], dim=1).diff(dim=1)
    index = steps.nan_to_num().argmax(dim=1).to(rho)
    return torch.where(rho.isnan().any(dim=1), torch.nan, index)


def flipd(trace: Float[Tensor, " n"], noise: Float[Tensor, "n D"], sigma: float) -> Float[Tensor, " n"]:
    r"""The FLIPD estimate of the dimension.

    Arguments:
        trace: The trace of N at each point, exact or estimated, with shape (n,).
        noise: The scaled noise :math:`x_t - \alpha_t \hat x = -\sigma_t^2 s`, with shape (n, D).
        sigma: :math:`\sigma_t`.

    Example:
        >>> flipd(torch.tensor([1.0]), torch.tensor([[0.0, 0.1]]), sigma=0.1)  # two coordinates, one soft
        tensor([2.])
    """
    return noise.shape[1] - trace + (noise / sigma).square().sum(dim=1)

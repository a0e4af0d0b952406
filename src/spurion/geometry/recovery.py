r"""Recovery curve: the share of noise draws that recover a point, against the noise.

With :math:`s_i` the noise at the own level of draw i (0 if it is never recovered) and first failure as the
rule,

.. math::
    p(\sigma) = \frac1M \#\{i : s_i \geq \sigma\}, \qquad \int_0^\infty p \, d\sigma = \frac1M \sum_i s_i ,

so the area under the curve is the mean critical noise of the draws: a measure of the same thing as the
critical noise that needs no :math:`p_\text{min}` and moves in finer steps.

The interval of p at each level is Clopper and Pearson's, from the tails of the binomial distribution.

References:
    | Memorization to Generalization (Pham et al., 2025), Algorithm 1
    | The use of confidence or fiducial limits (Clopper & Pearson, 1934)
"""

__all__ = ["RecoveryArea", "RecoveryCurve", "recovery_area", "recovery_curve"]

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float64
from scipy.stats import beta
from torch import Tensor

from spurion.geometry.basin import BasinResult
from spurion.geometry.critical import BasinMeasure
from spurion.geometry.measure import Measured

_ALPHA = 0.05


@dataclass(frozen=True)
class RecoveryCurve:
    """Share of recovering draws at each level of a ladder.

    Attributes:
        sigmas: The noise sigma_t of the levels, with shape (L,).
        share: The share of draws that recover the point up to a level, not increasing, with shape (n, L).
        low: The lower end of its 95 % interval, with shape (n, L).
        high: The upper end, with shape (n, L).
    """

    sigmas: Float64[Tensor, " L"]
    share: Float64[Tensor, "n L"]
    low: Float64[Tensor, "n L"]
    high: Float64[Tensor, "n L"]


def recovery_curve(result: BasinResult) -> RecoveryCurve:
    """Recovery curve of every point; NaN for points that failed.

    Raises:
        ValueError: If the own level of every draw was not asked for.
    """
    _check(result)
    draws = result.draws.shape[1]
    counts = (result.draws.unsqueeze(2) >= torch.arange(len(result.sigmas))).sum(dim=1).double()
    low = torch.from_numpy(beta.ppf(_ALPHA / 2, counts.numpy(), (draws - counts + 1).numpy()))
    high = torch.from_numpy(beta.ppf(1 - _ALPHA / 2, (counts + 1).numpy(), (draws - counts).numpy()))
    low, high = low.masked_fill(counts == 0, 0.0), high.masked_fill(counts == draws, 1.0)
    failed = result.radius.isnan().unsqueeze(1)
    share, low, high = (values.masked_fill(failed, torch.nan) for values in (counts / draws, low, high))
    return RecoveryCurve(result.sigmas, share, low, high)


def recovery_area(result: BasinResult) -> Float64[Tensor, " n"]:
    """Area under the recovery curve of every point, in units of sigma_t; NaN for points that failed.

    It is a lower bound where a draw is recovered even from the highest level.

    Raises:
        ValueError: If the own level of every draw was not asked for.
    """
    _check(result)
    return result.at_level(result.draws).mean(dim=1).masked_fill(result.radius.isnan(), torch.nan)


def _check(result: BasinResult) -> None:
    if not result.complete:
        raise ValueError(
            "`result` must hold the own level of every draw: find basins with `every_draw=True`."
        )


@final
class RecoveryArea(BasinMeasure):
    """Area under the recovery curve."""

    name: ClassVar[str] = "recovery-area"
    unit: ClassVar[str] = "noise sigma_t"
    source: ClassVar[str] = "Algorithm 1, area under the share of recovered draws"
    every_draw: ClassVar[bool] = True

    def of(self, result: BasinResult) -> Measured:
        """Areas of basins already found."""
        return result.measured(recovery_area(result))

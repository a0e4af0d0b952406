r"""Area under the recovery curve: a critical noise that needs no share of draws.

With :math:`s_i` the noise at the own level of draw i (0 if it is never recovered) and first failure as the
rule,

.. math::
    p(\sigma) = \frac1M \#\{i : s_i \geq \sigma\}, \qquad \int_0^\infty p \, d\sigma = \frac1M \sum_i s_i ,

so the area under the curve is the mean critical noise of the draws: a measure of the same thing as the
critical noise that needs no :math:`p_\text{min}` and moves in finer steps.

References:
    | Memorization to Generalization (Pham et al., 2025), Algorithm 1
"""

__all__ = ["RecoveryArea", "recovery_area"]

from typing import final

import torch
from jaxtyping import Float64
from torch import Tensor

from spurion.geometry.basin import BasinResult
from spurion.geometry.critical import BasinMeasure
from spurion.geometry.measured import Measured


def recovery_area(result: BasinResult) -> Float64[Tensor, " n"]:
    """Area under the recovery curve of every point, in units of sigma_t; NaN for points that failed.

    It is a lower bound where a draw is recovered even from the highest level.

    Raises:
        ValueError: If the own level of every draw was not asked for.
    """
    if not result.complete:
        raise ValueError(
            "`result` must hold the own level of every draw: find basins with `every_draw=True`."
        )
    return result.at_level(result.draws).mean(dim=1).masked_fill(result.radius.isnan(), torch.nan)


@final
class RecoveryArea(BasinMeasure):
    """Area under the recovery curve."""

    name = "recovery-area"
    unit = "noise sigma_t"
    source = "Algorithm 1, area under the share of recovered draws"
    descending = True
    usual = False
    told = False
    logarithmic = True
    every_draw = True

    def of(self, result: BasinResult) -> Measured:
        """Areas of basins already found."""
        return result.measured(recovery_area(result))

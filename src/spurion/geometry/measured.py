"""What a geometric measure finds: one number with a status for each point.

A measure never stops because of one point. Where there is no number there is a status that says why, so
that "never recovered" cannot be mistaken for a small basin, nor a broken point for a flat one.
"""

__all__ = ["STATUSES", "Measured", "check_points"]

import math
from dataclasses import dataclass

from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser

STATUSES = ("measured", "never", "always", "undecided", "failed")
"""What became of a point.

- measured: the value is a number.
- never: the point is not recovered even from the least noise.
- always: the point is recovered even from the most noise.
- undecided: the measure does not apply to this point (for instance, recovery is not monotone, or the point
  lies where clipped posterior means cannot be).
- failed: the point or the model's answer at it is not finite.
"""


@dataclass(frozen=True)
class Measured:
    """One value and one status for each point.

    Attributes:
        values: Float64, NaN wherever the status is not "measured", with shape (n,).
        status: Index into `STATUSES`, with shape (n,).
    """

    values: Float64[Tensor, " n"]
    status: Int64[Tensor, " n"]

    def has(self, status: str) -> Bool[Tensor, " n"]:
        """Which points have this status, with shape (n,)."""
        return self.status == STATUSES.index(status)

    def ranked(self) -> Float64[Tensor, " n"]:
        """The values for comparisons of rank, with shape (n,).

        Minus infinity for "never", infinity for "always", NaN where there is nothing to compare.
        """
        never, always = self.has("never"), self.has("always")
        return self.values.masked_fill(never, -math.inf).masked_fill(always, math.inf)


def check_points(denoiser: Denoiser, x: Float[Tensor, "..."], name: str = "x") -> Bool[Tensor, " n"]:
    """Check the shape of the points, and tell which are finite.

    Arguments:
        denoiser: The model.
        x: The points.
        name: What messages call them.

    Returns:
        Which points hold finite numbers only, with shape (n,).

    Raises:
        ValueError: If `x` has another shape than (n, *shape) of the model, or no points.
    """
    wanted = tuple(denoiser.shape)
    if x.ndim != len(wanted) + 1 or tuple(x.shape[1:]) != wanted:
        raise ValueError(
            f"`{name}` must hold points of the model's shape, (n, {', '.join(map(str, wanted))}), got "
            f"{tuple(x.shape)}."
        )
    if not len(x):
        raise ValueError(f"`{name}` must hold at least one point, got none.")
    return x.flatten(1).isfinite().all(dim=1)

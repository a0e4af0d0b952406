r"""Passages: where a share that falls, or rises, with the training size passes a level.

Shares are known on a grid of training sizes K only and with noise, so:

- The curve is first replaced by its best monotone fit, weighted by the number of samples (isotonic
  regression), which leaves a monotone curve as it is: a stray crossing is noise.
- Between grid points it is linear in log K; the bracket names the grid points on either side.
- The interval is that of resampled studies, given with the study's own counts.
"""

__all__ = ["Capacity", "crossings", "falling_fit", "middle", "passage"]

import numpy as np
from jaxtyping import Bool, Float64, Int64, Num

from spurion.core.config import Config
from spurion.core.quantities import Count, Distance


class Capacity(Config):
    """A training size with interval and the bracket of the grid around it; null where not reached."""

    value: Distance | None
    low: Distance | None
    high: Distance | None
    bracket: tuple[Count | None, Count | None]
    note: str = ""


def passage(
    sizes: Int64[np.ndarray, " p"],
    counts: Num[np.ndarray, "r p"],
    total: Num[np.ndarray, " p"],
    level: float,
    name: str,
    *,
    falling: bool,
) -> Capacity:
    """Where a falling (else rising) share passes a level: of the study, first row, and its resamples.

    `name` is what notes call the share. Counts may be expected ones, of fractions times `total`.
    """
    if not falling:
        sizes, counts, total = sizes[::-1], counts[:, ::-1], total[::-1]
    fitted = falling_fit(counts, total)
    places = crossings(sizes, fitted, level, (0.0, np.inf) if falling else (np.inf, 0.0))
    number = int((fitted[0] >= level).sum())
    ends = (
        int(sizes[number - 1]) if number > 0 else None,
        int(sizes[number]) if number < len(sizes) else None,
    )
    low, high = middle(places, sizes)
    return Capacity(
        value=float(places[0]) if 0 < places[0] < np.inf else None,
        low=low,
        high=high,
        bracket=ends if falling else ends[::-1],
        note=_note(counts[0] / total >= level, number, f"The {name}", f"{level:.4g}", falling),
    )


def _note(reached: Bool[np.ndarray, " p"], number: int, what: str, level: str, falling: bool) -> str:
    if number == 0:
        edge, side = ("smallest", "below") if falling else ("largest", "above")
        return f"{what} is under {level} even at the {edge} training size; the capacity lies {side} the grid."
    if number == len(reached):
        edge, side = ("largest", "above") if falling else ("smallest", "below")
        return (
            f"{what} is at least {level} even at the {edge} training size; the capacity lies {side} the grid."
        )
    if reached[:number].all() and not reached[number:].any():
        return ""
    return f"{what} crosses {level} more than once; the capacity is that of its monotone fit."


def middle(
    places: Float64[np.ndarray, " r"], sizes: Int64[np.ndarray, " p"]
) -> tuple[float | None, float | None]:
    """The middle 95 % of the resampled capacities, with the study's own; ends beyond the grid are open."""
    ordered = np.sort(places[1:])
    outer = int(0.025 * len(ordered))
    low, high = min(ordered[outer], places[0]), max(ordered[-1 - outer], places[0])
    return (
        float(min(low, sizes.max())) if low > 0 else None,
        float(max(high, sizes.min())) if high < np.inf else None,
    )


def falling_fit(counts: Num[np.ndarray, "r p"], total: Num[np.ndarray, " p"]) -> Float64[np.ndarray, "r p"]:
    r"""The falling curve nearest to the fractions, weighted by the number of samples.

    By the min-max formula :math:`g_k = \min_{i \leq k} \max_{j \geq k} A_{ij}` of isotonic regression, with
    :math:`A_{ij}` the fraction in the pooled samples of points i to j.
    """
    points = len(total)
    ours = np.pad(counts.cumsum(axis=1), ((0, 0), (1, 0)))
    everyone = np.pad(total.cumsum(), (1, 0))
    i, j = np.triu_indices(points)
    pooled = np.full((len(counts), points, points), -np.inf)
    pooled[:, i, j] = (ours[:, j + 1] - ours[:, i]) / (everyone[j + 1] - everyone[i])
    highest = np.maximum.accumulate(pooled[:, :, ::-1], axis=2)[:, :, ::-1]
    i, k = np.tril_indices(points, -1)
    highest[:, i, k] = np.inf
    answer: Float64[np.ndarray, "r p"] = highest.min(axis=1)
    return answer


def crossings(
    sizes: Int64[np.ndarray, " p"],
    fitted: Float64[np.ndarray, "r p"],
    level: float,
    outside: tuple[float, float],
) -> Float64[np.ndarray, " r"]:
    """Where each falling curve leaves the level; `outside` if it starts below it, or never leaves it."""
    number = (fitted >= level).sum(axis=1)
    inside = (number > 0) & (number < len(sizes))
    right = np.where(inside, number, len(sizes) - 1)
    rows = np.arange(len(fitted))
    above, below = fitted[rows, right - 1], fitted[rows, right]
    step = np.divide(above - level, above - below, out=np.zeros(len(fitted)), where=inside)
    place = sizes[right - 1] * (sizes[right] / sizes[right - 1]) ** step
    return np.where(inside, place, np.where(number == 0, *outside))

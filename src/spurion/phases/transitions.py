r"""Capacities: the training sizes at which a model family passes from one phase to the next.

With :math:`f_M, f_S, f_G` the fractions of memorized, spurious and generalized samples of a model trained on
K images (workshop Definitions 2.1-2.3),

.. math:: MC = \max\{K : f_M(K) \geq 1 - \epsilon\}, \qquad SC = \arg\max_K f_S(K), \qquad
          GC = \min\{K : f_G(K) \geq 1 - \epsilon\} .

Fractions are known on a grid of K only and with noise, so:

- Between grid points fractions are linear in log K; the bracket names the grid points on either side. The
  spurious capacity is the top of the parabola in log K through the highest point of the grid and the two
  beside it, which are its bracket; at an end of the grid it is that point.
- In truth :math:`f_M` falls and :math:`f_G` rises with K. A stray crossing is noise, and neither the first
  nor the last is right, so the curve is first replaced by its best monotone fit (isotonic regression,
  weighted by the number of samples), which leaves a monotone curve as it is.
- The interval holds the middle 95 % of the capacities of resampled studies (`spurion.phases.replicates`);
  without any, those in which the counts at every K are drawn anew from a multinomial with the fractions
  found, which treats thresholds and training images as given. It does not speak of what happens between
  grid points, which the bracket bounds.
- A capacity outside the grid is no number: its value is None, the end of its bracket on that side is open
  (None), and a note says which side it is. The ends of an interval are open in the same way.

The spurious fraction grows with the number of samples: use the same number at every K.
"""

__all__ = ["Capacities", "capacities"]

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64

from spurion.core.config import Config
from spurion.core.quantities import Share
from spurion.core.random import derive_seed
from spurion.phases.passage import Capacity, middle, passage

RESAMPLES = 2_000


class Capacities(Config):
    """Memorization, spurious and generalization capacity (workshop Definitions 2.1-2.3)."""

    epsilon: Share
    memorization: Capacity
    spurious: Capacity
    generalization: Capacity


def capacities(
    train_sizes: Sequence[int],
    counts: Sequence[Sequence[float]],
    *,
    epsilon: float = 0.1,
    seed: int,
    resamples: int = RESAMPLES,
    drawn: Float64[np.ndarray, "r p 3"] | None = None,
) -> Capacities:
    """Capacities from the class counts at each training size; see the module.

    Arguments:
        train_sizes: The training sizes K, increasing, P of them.
        counts: The numbers of memorized, spurious and generalized samples at each K, with shape (P, 3);
            expected numbers, of fractions times the number of samples, need not be whole. A row without
            samples (a point that failed) is left out.
        epsilon: The fraction in (0, 1) that may be missing where a phase counts as complete.
        seed: Seed of the bootstrap.
        resamples: Number of resampled studies.
        drawn: Class fractions of studies drawn anew, with shape (R, P, 3), in place of the bootstrap.

    Raises:
        ValueError: If sizes do not increase, counts do not fit, or `epsilon` is out of range.

    Example:
        >>> found = capacities([2, 8, 32], [[100, 0, 0], [80, 15, 5], [0, 5, 95]], seed=0)
        >>> round(found.memorization.value, 6), found.memorization.bracket  # halfway in log K
        (4.0, (2, 8))
        >>> round(found.spurious.value, 2), found.spurious.bracket
        (9.19, (2, 32))
    """
    sizes, found, measured = _checked(train_sizes, counts, epsilon)
    total = found.sum(axis=1)
    if drawn is None:
        draw = np.random.default_rng(derive_seed(seed, "bootstrap"))
        rows = draw.multinomial(
            total.round().astype(int), found / total[:, None], size=(resamples, len(sizes))
        )
        drawn = rows / rows.sum(axis=2, keepdims=True)
    elif drawn.ndim != 3 or drawn.shape[1:] != (len(measured), 3):
        raise ValueError(f"`drawn` must have the shape (R, {len(measured)}, 3), got {drawn.shape}.")
    else:
        drawn = drawn[:, measured]
    every = np.concatenate([found[None] / total[:, None], drawn])  # the study itself comes first
    memorized, spurious, generalized = (every * total[:, None]).transpose(2, 0, 1)
    return Capacities(
        epsilon=epsilon,
        memorization=passage(sizes, memorized, total, 1 - epsilon, "memorized fraction", falling=True),
        spurious=_peak(sizes, spurious / total),
        generalization=passage(sizes, generalized, total, 1 - epsilon, "generalized fraction", falling=False),
    )


def _checked(
    train_sizes: Sequence[int], counts: Sequence[Sequence[float]], epsilon: float
) -> tuple[Int64[np.ndarray, " p"], Float64[np.ndarray, "p 3"], Bool[np.ndarray, " all"]]:
    if not 0 < epsilon < 1:
        raise ValueError(f"`epsilon` must lie between 0 and 1, got {epsilon}.")
    sizes, found = np.array(train_sizes, dtype=np.int64), np.array(counts, dtype=np.float64)
    if found.shape != (len(sizes), 3) or len(sizes) == 0 or not (found >= 0).all():
        raise ValueError(
            "`counts` must hold three numbers of at least 0 for each of at least one training size, got "
            f"{counts!r:.80} for {len(sizes)} sizes."
        )
    if sizes[0] < 1 or (np.diff(sizes) <= 0).any():
        raise ValueError(f"`train_sizes` must increase from at least 1, got {list(train_sizes)!r:.80}.")
    measured = found.sum(axis=1) > 0
    if not measured.any():
        raise ValueError("`counts` must hold samples at one training size at least, got none.")
    return sizes[measured], found[measured], measured


def _peak(sizes: Int64[np.ndarray, " p"], fractions: Float64[np.ndarray, "r p"]) -> Capacity:
    """The top of the parabola at the largest fraction: of the study, first row, and its resamples."""
    if not fractions[0].any():
        return Capacity(value=None, low=None, high=None, bracket=(None, None), note="No sample is spurious.")
    places = _tops(sizes, fractions[fractions.any(axis=1)])
    best, last = int(fractions[0].argmax()), len(sizes) - 1
    low, high = middle(places, sizes)
    notes = []
    if best in (0, last):
        notes.append("The largest spurious fraction is at an end of the grid; the peak may lie beyond.")
    if (fractions[0] == fractions[0, best]).sum() > 1:
        notes.append("Several training sizes share the largest spurious fraction; this is by the smallest.")
    return Capacity(
        value=float(places[0]),
        low=low,
        high=high,
        bracket=(int(sizes[best - 1]) if best > 0 else None, int(sizes[best + 1]) if best < last else None),
        note=" ".join(notes),
    )


def _tops(sizes: Int64[np.ndarray, " p"], fractions: Float64[np.ndarray, "r p"]) -> Float64[np.ndarray, " r"]:
    """Where each curve is highest: at the top of the parabola in log K through its three points there."""
    best, rows, last = fractions.argmax(axis=1), np.arange(len(fractions)), len(sizes) - 1
    inside = (best > 0) & (best < last)
    center = np.clip(best, min(1, last), max(last - 1, 0))
    left, right = np.maximum(center - 1, 0), np.minimum(center + 1, last)
    logs = np.log(sizes)
    down, up = logs[center] - logs[left], logs[right] - logs[center]
    fall = fractions[rows, center] - fractions[rows, right]
    rise = fractions[rows, center] - fractions[rows, left]
    bend = rise * up + fall * down
    shift = (rise * up**2 - fall * down**2) / 2
    aside = np.divide(shift, bend, out=np.zeros(len(rows)), where=inside & (bend > 0))
    answer: Float64[np.ndarray, " r"] = np.where(inside, np.exp(logs[center] + aside), sizes[best])
    return answer

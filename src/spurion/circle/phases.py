r"""Random sets of patterns: the three phases against K, numbers of minima, and the laws they follow.

The unit of chance is the set. Intervals of means over sets are Student's; where all sets agree they reach
as far as :math:`1 - 0.05^{1/n}` (in the unit of the quantity) from the common value, the exact bound for
n sets that all agree.
"""

__all__ = ["capacity_law", "mean_interval", "phase_point", "ripple_law", "saturation_law"]

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import t as student
from torch import Tensor

from spurion.circle.results import Law, PhasePoint
from spurion.circle.ring import (
    RingEnergy,
    ring_memory_capacity,
    ring_minima,
    ring_radius,
    ring_ripple,
)
from spurion.core.progress import Progress
from spurion.core.random import derive_seed, generator
from spurion.memory.capacity import capacity_curve
from spurion.memory.dense import DenseAM
from spurion.memory.patterns import random_circle
from spurion.memory.retrieval import retrieve
from spurion.statistics.intervals import ALPHA, Interval

MEMORY_WEIGHT = 0.9
SPREAD = (0.7, 1.0, 1.4)
"""Numbers of patterns, relative to the law's, at which the memory share is measured."""

RESAMPLES = 1000
ANGLES = 720


def mean_interval(values: Float[Tensor, " n"], low: float = 0.0, high: float = math.inf) -> Interval:
    """Mean over sets with its 95 % interval; see the module.

    Arguments:
        values: One value for each set, with shape (n), n at least 2.
        low: The least possible value.
        high: The largest possible value.

    Example:
        >>> print("{0.value} {0.low} {0.high:.3f}".format(mean_interval(torch.zeros(20), high=1.0)))
        0.0 0.0 0.139
    """
    n, mean = len(values), float(values.mean())
    deviation = float(values.std())
    if deviation == 0:
        reach = 1 - ALPHA ** (1 / n)
    else:
        reach = float(student.ppf(1 - ALPHA / 2, n - 1)) * deviation / math.sqrt(n)
    return Interval(value=mean, low=max(low, mean - reach), high=min(high, mean + reach))


def phase_point(
    count: int, beta: float, *, sets: int, draws: int, seed: int, progress: Progress
) -> PhasePoint:
    """Minima and basin masses of random sets of `count` patterns at one inverse temperature."""
    point = capacity_curve("circle", [count], [beta], sets=sets, draws=draws, seed=seed, progress=progress)[0]
    number, mass = point.rows[:, 0], point.rows[:, 1]
    memory, spurious, continuum = (mean_interval(mass[:, kind], high=1.0) for kind in range(3))
    total = max(point.minima, 1e-300)
    return PhasePoint(
        count=count,
        beta=beta,
        sets=sets,
        minima=mean_interval(number.sum(1)),
        memories=mean_interval(number[:, 0]),
        memory=memory,
        spurious=spurious,
        continuum=continuum,
        shares=(point.kinds[0] / total, point.kinds[1] / total, point.kinds[2] / total),
        elsewhere=max(0.0, point.elsewhere),
    )


def capacity_law(beta: float, *, sets: int, draws: int, seed: int, progress: Progress) -> Law:
    r"""Where half of the density belongs to memories, against :math:`K = \pi \ln 2 \sqrt{\beta / 2}`.

    The share at several K near the law is fitted by a straight line in log K; the interval is a bootstrap of
    the sets. The law counts patterns that have not merged. A memory must have a weight of 0.9, for which a
    gap has to be :math:`(\log 3 / 0.8)^{1/2} = 1.17` merge distances wide, so that for large beta the share
    is 1/2 already at :math:`1.31 \sqrt\beta`.
    """
    law = ring_memory_capacity(beta)
    counts = sorted({max(1, round(law * factor)) for factor in SPREAD})
    shares = torch.zeros(len(counts), sets, dtype=torch.float64)
    for row, count in enumerate(counts):
        for index in range(sets):
            shares[row, index] = _memory_share(count, beta, draws, seed, index)
            progress(row * sets + index + 1, len(counts) * sets)
    crossing = _crossing(counts, shares.mean(1).numpy())
    draw = np.random.default_rng(derive_seed(seed, "circle", "law", "bootstrap"))
    chosen = draw.integers(sets, size=(RESAMPLES, sets))
    resampled = [_crossing(counts, shares[:, rows].mean(1).numpy()) for rows in chosen]
    found = None
    if crossing is not None and None not in resampled:
        ends = np.quantile(np.array(resampled, dtype=float), [ALPHA / 2, 1 - ALPHA / 2])
        found = Interval(value=crossing, low=float(ends[0]), high=float(ends[1]))
    return Law(name="capacity", beta=beta, predicted=law, found=found)


def saturation_law(points: Sequence[PhasePoint]) -> list[Law]:
    r"""Number of minima at the largest K against :math:`1.7 \sqrt\beta`, where that K is large enough."""
    laws = []
    for beta in sorted({point.beta for point in points}):
        largest = max((p for p in points if p.beta == beta), key=lambda p: p.count)
        predicted = ring_minima(beta)
        enough = largest.count >= 4 * predicted
        laws.append(
            Law(name="saturation", beta=beta, predicted=predicted, found=largest.minima if enough else None)
        )
    return laws


def ripple_law(beta: float, count: int, *, sets: int, seed: int) -> Law:
    r"""Relative fluctuation of the density along the ring against :math:`(\sqrt{2\pi\beta} / K)^{1/2}`."""
    ring = RingEnergy(beta)
    angles = torch.arange(ANGLES, dtype=torch.float64) * (2 * math.pi / ANGLES)
    along = ring_radius(beta) * torch.stack([angles.cos(), angles.sin()], dim=1)
    variances = []
    for index in range(sets):
        memory = DenseAM(random_circle(count, generator=generator(seed, "circle", "ripple", index)), beta)
        ratio = (memory.log_density(along) - ring.log_density(along)).exp()
        variances.append(ratio.sub(1).square().mean())
    squared = mean_interval(torch.stack(variances))
    value, low, high = (math.sqrt(max(0.0, v)) for v in (squared.value, squared.low, squared.high))
    return Law(
        name="ripple",
        beta=beta,
        predicted=ring_ripple(count, beta),
        found=Interval(value=value, low=low, high=high),
    )


def _memory_share(count: int, beta: float, draws: int, seed: int, index: int) -> float:
    """Share of draws of one random set that end in a memory."""
    memory = DenseAM(random_circle(count, generator=generator(seed, "circle", "law", index)), beta)
    drawn = memory.sample(draws, generator=generator(seed, "circle", "law", "draws", index))
    found = retrieve(memory, drawn)
    held = memory.occupation(found.attractors).top_weight >= MEMORY_WEIGHT
    return float(held.double().mean())


def _crossing(counts: Sequence[int], shares: Float[np.ndarray, " n"]) -> float | None:
    """K at which a straight line through the shares over log K is 1/2; None if it does not fall."""
    logs = np.log(np.array(counts, dtype=float))
    slope, intercept = np.polyfit(logs, shares, 1) if len(counts) > 1 else (0.0, float(shares[0]))
    return math.exp((0.5 - intercept) / slope) if slope < 0 else None

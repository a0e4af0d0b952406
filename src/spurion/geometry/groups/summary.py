"""From one value a point to medians with intervals, and to the order of the classes."""

__all__ = ["left_out", "middle", "orders", "rank_medians", "reading"]

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.geometry.groups.results import GroupReading, MeasureResult, OrderResult, Reading
from spurion.geometry.measured import STATUSES, Measured
from spurion.phases.classification import CLASSES
from spurion.statistics.ranks import compare, median

PAIRS = ((0, 1), (1, 2), (0, 2))
"""The pairs of classes that are compared: each with the next one, and the two ends."""


def reading(measured: Measured) -> GroupReading:
    """Median of a group with its interval; null if fewer than `NEEDED` points have a place in the order."""
    known = _known(measured)
    found = median(known)
    counts = torch.bincount(measured.status, minlength=len(STATUSES)).tolist()
    statuses = {name: count for name, count in zip(STATUSES, counts, strict=True) if count}
    value, low, high = (None, None, None) if found is None else map(_reading, found)
    return GroupReading(value=value, low=low, high=high, n=len(known), statuses=statuses)


def orders(groups: dict[str, Measured], descending: bool | None) -> tuple[OrderResult, ...]:
    """Compare the classes pairwise, in the direction in which the paper expects them.

    "Never" lies below every number and "always" above; `left_out` says how many points have no place.

    Arguments:
        groups: The values of each group; classes without points are left out.
        descending: Whether memorized > spurious > generalized is expected, or the reverse; None for neither,
            so that nothing is compared.
    """
    found: list[OrderResult] = []
    if descending is None:
        return ()
    for first, last in PAIRS:
        higher, lower = (CLASSES[first], CLASSES[last]) if descending else (CLASSES[last], CLASSES[first])
        if higher not in groups or lower not in groups:
            continue
        above, below = _known(groups[higher]), _known(groups[lower])
        if len(above) and len(below):
            result = compare(above, below)
            found.append(
                OrderResult(
                    auc=result.auc,
                    p_value=result.p_value,
                    higher=higher,
                    lower=lower,
                    n=(len(above), len(below)),
                )
            )
    return tuple(found)


def left_out(measures: Sequence[MeasureResult]) -> str:
    """One sentence on the points that have no place in the order; empty if all have one.

    Arguments:
        measures: All measures of one model; those that miss the same points are named together.
    """
    missing: dict[str, list[str]] = {}
    for measure in measures:
        parts = [
            f"{sum(one.statuses.values()) - one.n} of {sum(one.statuses.values())} {group} points"
            for group, one in measure.groups.items()
            if one.n < sum(one.statuses.values())
        ]
        if parts:
            missing.setdefault(", ".join(parts), []).append(measure.name)
    if not missing:
        return ""
    found = "; ".join(f"{', '.join(names)}: {points}" for points, names in missing.items())
    return f"Undecided or failed, and so left out of medians and comparisons: {found}."


def rank_medians(ranks: Float[Tensor, "n R"]) -> tuple[tuple[float, ...], ...]:
    """Medians of a group's stiffness at each rank, and the two ends of their 95 % intervals.

    Failed points are left out. Without six others there are no intervals, and without any no medians: then
    the tuples are empty.
    """
    known = ranks[~ranks.isnan().any(dim=1)]
    if not len(known):
        return (), (), ()
    found = [one for one in (median(column) for column in known.T) if one is not None]
    if not found:
        return tuple(known.median(dim=0).values.tolist()), (), ()
    medians, low, high = zip(*found, strict=True)
    return medians, low, high


def middle(values: Float[Tensor, " n"] | None) -> float | None:
    """Median of the numbers among the values; None where there are none."""
    if values is None or bool(values.isnan().all()):
        return None
    return float(values.nanmedian())


def _known(measured: Measured) -> Float[Tensor, " m"]:
    ranked = measured.ranked()
    return ranked[~ranked.isnan()]


def _reading(value: float) -> Reading:
    if math.isinf(value):
        return "always" if value == math.inf else "never"
    return value

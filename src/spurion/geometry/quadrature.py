r"""Many integrals at once, of functions that may jump.

Each integral is a sum over intervals. An interval of width h with values at its five quarter points has the
two Simpson sums

.. math::
    S_1 = \tfrac h6 (f_0 + 4 f_2 + f_4), \qquad
    S_2 = \tfrac h{12} (f_0 + 4 f_1 + 2 f_2 + 4 f_3 + f_4),

contributes :math:`S_2`, and is charged the error :math:`2 |S_2 - S_1|`. Where f is smooth, that is some
thirty times too much; where f jumps once between two constants, it is a bound (the factor 2 is what the outer
quarters need). The two sums may agree by chance, most of all when a node falls into a steep rise; so an
interval is also charged at least half of what the interval was charged that it is a half of.

Intervals are halved, two new values each, until the errors of an integral sum to no more than it may have. A
jump costs eight values for each halving of its error, so that steps are no obstacle; what lies between the
first nodes and is narrower than their spacing can still be missed, as by every quadrature.
"""

__all__ = ["Integrals", "Integrand", "integrate"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

Integrand = Callable[[Int64[Tensor, " q"], Float64[Tensor, " q"]], Float64[Tensor, " q"]]
"""Values of the functions of given indices at given places."""

_NARROWEST = 2.0**-44
_INHERITED = 0.5
_COARSE = torch.tensor([1.0, 0.0, 4.0, 0.0, 1.0], dtype=torch.float64) / 6
_FINE = torch.tensor([1.0, 4.0, 2.0, 4.0, 1.0], dtype=torch.float64) / 12


@dataclass(frozen=True)
class Integrals:
    """Integrals with their errors.

    Attributes:
        value: The integrals; NaN where a value of the function was not finite, with shape (n,).
        error: Their stated errors, with shape (n,).
        converged: Whether the error is as small as was asked, with shape (n,).
        evaluations: How often each function was evaluated, with shape (n,).
    """

    value: Float64[Tensor, " n"]
    error: Float64[Tensor, " n"]
    converged: Bool[Tensor, " n"]
    evaluations: Int64[Tensor, " n"]


class _Intervals(NamedTuple):
    """Intervals: whose, from where, how wide, the error inherited, and the five values."""

    owner: Tensor
    left: Tensor
    width: Tensor
    inherited: Tensor
    values: Tensor

    def integral(self) -> Tensor:
        return self.width * (self.values @ _FINE)

    def magnitude(self) -> Tensor:
        """Integral of the absolute value."""
        return self.width * (self.values.abs() @ _FINE)

    def own_error(self) -> Tensor:
        return 2 * self.width * (self.values @ (_FINE - _COARSE)).abs()

    def error(self) -> Tensor:
        return self.own_error().maximum(self.inherited)


def integrate(
    integrand: Integrand,
    count: int,
    low: float,
    high: float,
    *,
    tolerance: float,
    noise: Float64[Tensor, " n"] | None = None,
    panels: int = 16,
    limit: int = 10_000,
) -> Integrals:
    """Integrate n functions from `low` to `high`.

    Arguments:
        integrand: The functions, called with (index, place).
        count: The number n of functions.
        low: The lower end.
        high: The upper end.
        tolerance: The largest error, as a share of the integral of the absolute value of the function.
        noise: The error of each integral that rounding of the function makes; it is added to the stated
            error, and no effort is made to get below it. By default there is none.
        panels: The number of intervals to begin with.
        limit: Evaluations of one function after which no more are made.

    Raises:
        ValueError: If `tolerance` is not positive, or `panels` or `limit` is below 1.
    """
    if not tolerance > 0:
        raise ValueError(f"`tolerance` must be positive, got {tolerance}.")
    if min(panels, limit) < 1:
        raise ValueError(f"`panels` and `limit` must be at least 1, got {panels} and {limit}.")
    noise = torch.zeros(count, dtype=torch.float64) if noise is None else noise
    intervals = _first(integrand, count, low, (high - low) / panels, panels)
    evaluations = torch.full((count,), 4 * panels + 1)
    while True:
        owner, error = intervals.owner, intervals.error()
        total, missing = _sums(owner, intervals.integral(), count), _sums(owner, error, count)
        allowed = (tolerance * _sums(owner, intervals.magnitude(), count)).maximum(noise)
        working = (missing > allowed) & (evaluations < limit)  # not of NaN
        share = (allowed / (2 * owner.bincount(minlength=count)))[owner]
        split = working[owner] & (error > share) & (intervals.width > _NARROWEST * (high - low))
        if not bool(split.any()):
            return Integrals(total, missing + noise, missing <= allowed, evaluations)
        halves = _halves(integrand, _Intervals(*(each[split] for each in intervals)))
        evaluations += 2 * halves.owner.bincount(minlength=count)
        intervals = _Intervals(*(torch.cat([a[~split], b]) for a, b in zip(intervals, halves, strict=True)))


def _sums(owner: Tensor, values: Tensor, count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.float64).index_add_(0, owner, values)


def _first(integrand: Integrand, count: int, low: float, width: float, panels: int) -> _Intervals:
    """Equal intervals, the values at whose ends are shared."""
    nodes = 4 * panels + 1
    place = low + width / 4 * torch.arange(nodes, dtype=torch.float64)
    owner = torch.arange(count).repeat_interleave(nodes)
    values = integrand(owner, place.repeat(count)).view(count, nodes)
    return _Intervals(
        torch.arange(count).repeat_interleave(panels),
        place[:-1:4].repeat(count),
        torch.full((count * panels,), width, dtype=torch.float64),
        torch.zeros(count * panels, dtype=torch.float64),
        values.unfold(1, 5, 4).reshape(-1, 5),
    )


def _halves(integrand: Integrand, whole: _Intervals) -> _Intervals:
    """Both halves of each interval, with two new values each."""
    owner, left, width, _, values = whole
    eighths = torch.tensor([1.0, 3.0, 5.0, 7.0], dtype=torch.float64) / 8
    place = left.unsqueeze(1) + eighths * width.unsqueeze(1)
    new = integrand(owner.repeat_interleave(4), place.flatten()).view(-1, 4)
    old = values.unbind(1)
    first = torch.stack([old[0], new[:, 0], old[1], new[:, 1], old[2]], dim=1)
    second = torch.stack([old[2], new[:, 2], old[3], new[:, 3], old[4]], dim=1)
    return _Intervals(
        owner.repeat(2),
        torch.cat([left, left + width / 2]),
        width.repeat(2) / 2,
        whole.own_error().repeat(2) * _INHERITED,
        torch.cat([first, second]),
    )

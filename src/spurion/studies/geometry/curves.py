r"""The geometry of audits, by measure and by training size.

Where a figure shows a class relative to the training images, it shows the difference of two medians,
:math:`d = a - b`. With the intervals :math:`(a_l, a_u), (b_l, b_u)` of the medians, that of d is Zou and
Donner's,

.. math:: d - \sqrt{(a - a_l)^2 + (b_u - b)^2}, \quad d + \sqrt{(a_u - a)^2 + (b - b_l)^2} ,

which needs nothing but the stored intervals and no symmetry.

References:
    | Construction of confidence limits about effect measures: a general approach (Zou & Donner, 2008)
"""

__all__ = [
    "Curve",
    "curve",
    "difference",
    "is_number",
    "left_out",
    "measured",
    "title",
    "trivial_noise",
]

from collections.abc import Iterable
from dataclasses import dataclass
from math import hypot, sqrt
from typing import TypeGuard

from spurion.audits.results import AuditResult
from spurion.geometry.groups.results import GeometryResult, GroupReading, MeasureResult, Reading
from spurion.statistics.intervals import Interval


@dataclass(frozen=True)
class Curve:
    """One measure over the training sizes.

    Attributes:
        name: Its name.
        unit: Its unit.
        source: The equation or algorithm behind it.
        points: Training sizes with the result of each, ascending.
    """

    name: str
    unit: str
    source: str
    points: tuple[tuple[int, MeasureResult], ...]

    def group(self, name: str) -> list[tuple[int, GroupReading]]:
        """The readings of one group where it has a median, by training size."""
        found = [(k, result.groups.get(name)) for k, result in self.points]
        return [(k, reading) for k, reading in found if reading is not None and reading.value is not None]


def measured(audits: Iterable[AuditResult]) -> list[tuple[int, GeometryResult]]:
    """Training sizes whose geometry was measured, with what was found."""
    pairs = [(audit.train_size, audit.geometry) for audit in audits]
    return [(k, geometry) for k, geometry in pairs if geometry is not None]


def curve(audits: Iterable[AuditResult], name: str) -> Curve | None:
    """One measure over all training sizes that have it, or None if none has."""
    found = [
        (k, result) for k, geometry in measured(audits) for result in geometry.measures if result.name == name
    ]
    if not found:
        return None
    first = found[0][1]
    return Curve(name, first.unit, first.source, tuple(found))


def left_out(result: MeasureResult, names: Iterable[str]) -> int:
    """How many points of some groups have no place in the order of a measure: undecided or failed."""
    found = [result.groups[name] for name in names if name in result.groups]
    return sum(sum(one.statuses.values()) - one.n for one in found)


def title(name: str) -> str:
    """A measure's name in words.

    Example:
        >>> title("critical-noise"), title("log-volume")
        ('critical noise', 'log-volume')
    """
    return name if name.startswith("log-") else name.replace("-", " ")


def is_number(reading: Reading) -> TypeGuard[float]:
    """Whether a reading is a number, and not "never", "always" or nothing."""
    return isinstance(reading, int | float)


def difference(group: GroupReading, reference: GroupReading) -> Interval | None:
    """How far one median lies above another, with a 95 % interval; None where one of six ends is no number.

    Arguments:
        group: The first median.
        reference: The one that is subtracted.
    """
    ends = (group.value, group.low, group.high, reference.value, reference.low, reference.high)
    numbers = [end for end in ends if is_number(end)]
    if len(numbers) < len(ends):
        return None
    a, a_low, a_high, b, b_low, b_high = numbers
    return Interval(
        value=a - b, low=a - b - hypot(a - a_low, b_high - b), high=a - b + hypot(a_high - a, b - b_low)
    )


def trivial_noise(geometry: GeometryResult) -> float | None:
    r"""The noise :math:`\sigma_t` below which a noisy point lies within an l2 tolerance undenoised.

    Noise moves a point by :math:`(\sigma_t / \alpha_t) \sqrt D` in the units of the clean data; with
    :math:`\alpha_t^2 + \sigma_t^2 = 1` that is the tolerance :math:`\tau` at
    :math:`\sigma_t = s / \sqrt{1 + s^2}, s = \tau / \sqrt D`.
    """
    if geometry.tolerance is None:
        return None
    noise = geometry.tolerance / sqrt(geometry.dim)
    return noise / sqrt(1 + noise**2)

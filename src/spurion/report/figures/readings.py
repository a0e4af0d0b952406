"""Medians against training-set size, with a strip of their own for what is no number.

A point that is never recovered lies below every number and one that is always recovered above, so both have
a place in the order but none on the axis: they are drawn in marked strips under and above it.
"""

__all__ = ["DODGE", "Strips", "mark_level", "over_sizes", "plot_medians"]

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from spurion.geometry.groups.results import GroupReading, Reading
from spurion.report.figures.canvas import (
    CLASS_COLORS,
    CLASS_MARKERS,
    INK,
    MUTED,
    Width,
    label_k_axis,
    legend_above,
    literal,
    new_figure,
    plain_log_axis,
    width_of,
)
from spurion.statistics.numbers import value
from spurion.studies.geometry.curves import Curve, is_number, title

REFERENCES = {"training": (INK, "-"), "held-out": (MUTED, (0, (4, 2)))}
"""Color and line of the images beside which the classes are seen."""

PAPER = "#efe9da"
PLAIN: dict[str, Any] = {"zorder": 0, "linewidth": 0}
"""Color of a strip, and the rest of its looks."""

STRIP, MARGIN = 0.13, 0.05
"""Height of a strip, and room above and below the numbers, as shares of the range of the numbers."""

DODGE = 1.035
"""Factor between the places of two classes at one training size."""


@dataclass(frozen=True)
class Strips:
    """The y axis of a panel: numbers in the middle, "never" below, "always" above.

    Attributes:
        low: The least number shown.
        high: The greatest number shown.
        log: Whether the axis is logarithmic.
        never: Whether there is a strip below.
        always: Whether there is a strip above.
    """

    low: float
    high: float
    log: bool = False
    never: bool = False
    always: bool = False

    @classmethod
    def around(cls, readings: Iterable[Reading], *, log: bool = False) -> "Strips":
        """The axis that holds all readings."""
        known = list(readings)
        numbers = [r for r in known if is_number(r) and (r > 0 or not log)] or [1.0]
        low, high = min(numbers), max(numbers)
        if low == high:
            low, high = (low / 2, high * 2) if log else (low - 1, high + 1)
        return cls(low, high, log, "never" in known, "always" in known)

    def place(self, reading: Reading) -> float:
        """Where a reading stands; NaN for none."""
        if reading == "never":
            return self._at(-MARGIN - STRIP / 2)
        if reading == "always":
            return self._at(1 + MARGIN + STRIP / 2)
        return float(reading) if is_number(reading) else math.nan

    def apply(self, ax: Axes) -> None:
        """Set the limits, the scale, and the ticks of a panel; mark its strips, whose ticks are words."""
        if self.log:
            ax.set_yscale("log")
        ax.set_ylim(self._at(-MARGIN - STRIP * self.never), self._at(1 + MARGIN + STRIP * self.always))
        words: list[Reading] = []
        if self.never:
            words.append("never")
            ax.axhspan(self._at(-MARGIN - STRIP), self._at(-MARGIN), color=PAPER, label="_never", **PLAIN)
        if self.always:
            words.append("always")
            ax.axhspan(
                self._at(1 + MARGIN), self._at(1 + MARGIN + STRIP), color=PAPER, label="_always", **PLAIN
            )
        self._set_ticks(ax, words)

    def _set_ticks(self, ax: Axes, words: list[Reading]) -> None:
        """Ticks at numbers outside of the strips, and a word at each strip."""
        if self.log:
            plain_log_axis(ax.yaxis)
        ends = self._at(-MARGIN), self._at(1 + MARGIN)
        places = [
            float(y) for y in ax.yaxis.get_major_locator().tick_values(*ends) if ends[0] <= y <= ends[1]
        ]
        ax.set_yticks([*places, *map(self.place, words)], [*(value(y) for y in places), *map(str, words)])
        ax.yaxis.set_minor_locator(NullLocator())

    def _at(self, share: float) -> float:
        """The place at a share of the way from the least to the greatest number."""
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return self.low + (self.high - self.low) * share


def over_sizes(
    curves: Sequence[Curve], width: Width, plot: Callable[[Axes, Curve], None], *, wide: float, narrow: float
) -> Figure:
    """One panel over K for each measure, with the legend of the fullest above all.

    Arguments:
        curves: The measures, at least one.
        width: "wide", panels beside each other, or "narrow", below each other.
        plot: Draws one measure.
        wide: Height of the wide form in inches.
        narrow: Height of each panel of the narrow form.
    """
    beside = len(curves) if width == "wide" else 1
    figure = new_figure(width, wide if width == "wide" else narrow * len(curves) + 0.4)
    grid = figure.subplots(len(curves) // beside, beside, squeeze=False).ravel()
    sizes = sorted({k for found in curves for k, _ in found.points})
    for ax, found in zip(grid, curves, strict=True):
        plot(ax, found)
        label_k_axis(ax, sizes, width_of(width) / beside - 0.6)
    fullest = max(grid, key=lambda ax: len(ax.get_legend_handles_labels()[1]))
    legend_above(figure, fullest, 6 if width == "wide" else 3)
    return figure


def plot_medians(ax: Axes, found: Curve, strips: Strips) -> None:
    """One measure in one panel: training and held-out images, the classes, strips, unit and title."""
    _plot_references(ax, {name: found.group(name) for name in REFERENCES}, strips)
    _plot_classes(ax, found, strips)
    strips.apply(ax)
    ax.set_ylabel(literal(found.unit).replace("sigma_t", r"$\sigma_t$"))
    ax.set_title(title(found.name))


def _plot_classes(ax: Axes, curve: Curve, strips: Strips) -> None:
    """Medians of the classes with their intervals; a line joins neighbors that are numbers."""
    for number, (name, color) in enumerate(CLASS_COLORS.items()):
        pairs = curve.group(name)
        if not pairs:
            continue
        sizes = [k * DODGE ** (number - 1) for k, _ in pairs]
        values = [strips.place(reading.value) for _, reading in pairs]
        ends = [
            [v - strips.place(r.low) for v, (_, r) in zip(values, pairs, strict=True)],
            [strips.place(r.high) - v for v, (_, r) in zip(values, pairs, strict=True)],
        ]
        ax.errorbar(
            sizes,
            values,
            yerr=ends,
            fmt=CLASS_MARKERS[name],
            color=color,
            elinewidth=1,
            capsize=1.5,
            label=name,
            zorder=3,
        )
        joined = [v if is_number(r.value) else math.nan for v, (_, r) in zip(values, pairs, strict=True)]
        ax.plot(sizes, joined, color=color, linewidth=1.2, label=f"_{name} line", zorder=3)


def _plot_references(ax: Axes, groups: dict[str, Sequence[tuple[int, GroupReading]]], strips: Strips) -> None:
    """Training and held-out images as thin lines with faint bands, ticks where they are no number."""
    for name, (color, line) in REFERENCES.items():
        pairs = groups.get(name, [])
        if not pairs:
            continue
        sizes = [k for k, _ in pairs]
        values = [strips.place(reading.value) for _, reading in pairs]
        numbers = [v if is_number(r.value) else math.nan for v, (_, r) in zip(values, pairs, strict=True)]
        ax.plot(sizes, numbers, color=color, linestyle=line, linewidth=0.9, label=f"{name} images", zorder=2)
        ax.fill_between(
            sizes,
            [strips.place(r.low) for _, r in pairs],
            [strips.place(r.high) for _, r in pairs],
            where=[is_number(r.low) and is_number(r.high) for _, r in pairs],
            color=color,
            alpha=0.12,
            linewidth=0,
            label=f"_{name} interval",
            zorder=1,
        )
        away = [(k, v) for v, (k, r) in zip(values, pairs, strict=True) if not is_number(r.value)]
        if away:
            ax.plot(
                *zip(*away, strict=True), "_", color=color, markersize=6, label=f"_{name} strip", zorder=2
            )


def mark_level(ax: Axes, level: float, text: str) -> None:
    """A dotted line across a panel, named in the legend: beside the line, data would cross its name."""
    ax.axhline(level, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)), label=text)

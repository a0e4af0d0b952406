"""How deep the states of each class lie, relative to the training images (Pham et al., Fig. 6)."""

__all__ = ["draw_energies"]

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spurion.report.figures.canvas import (
    CLASS_COLORS,
    CLASS_MARKERS,
    INK,
    MUTED,
    Width,
    interval_bars,
    literal,
)
from spurion.report.figures.readings import DODGE, over_sizes
from spurion.report.run import Run
from spurion.statistics.intervals import Interval
from spurion.studies.geometry.curves import Curve, curve, difference, title

ENERGIES = ("relative-energy", "log-density")


def draw_energies(run: Run, width: Width) -> Figure | None:
    """Medians of the classes less that of the training images, with intervals; 0 is a training image."""
    curves = [found for found in (curve(run.compared, name) for name in ENERGIES) if found and _gaps(found)]
    if not curves:
        return None
    return over_sizes(curves, width, _plot, wide=3.0, narrow=2.5)


def _plot(ax: Axes, found: Curve) -> None:
    ax.axhline(0, color=INK, linewidth=0.9, label="training images", zorder=2)
    gaps = _gaps(found)
    for number, (name, color) in enumerate(CLASS_COLORS.items()):
        pairs = gaps.get(name, [])
        if pairs:
            interval_bars(
                ax,
                [k * DODGE ** (number - 1) for k, _ in pairs],
                [gap for _, gap in pairs],
                fmt=CLASS_MARKERS[name] + "-",
                color=color,
                label=name,
                zorder=3,
            )
    ends = [end for name in CLASS_COLORS for _, gap in gaps.get(name, []) for end in (gap.low, gap.high)]
    low, high = min(0.0, *ends, 0.0), max(0.0, *ends, 0.0)
    room = 0.08 * (high - low) or 1.0
    ax.set_ylim(low - room, high + room)
    held_out = gaps.get("held-out", [])
    if held_out:
        ax.plot(
            [k for k, _ in held_out],
            [gap.value for _, gap in held_out],
            color=MUTED,
            linestyle=(0, (4, 2)),
            linewidth=0.9,
            label="held-out images",
            zorder=2,
        )
    ax.set_ylabel("potential u" if found.unit.startswith("potential") else literal(found.unit))
    ax.set_title(f"{title(found.name)}, less that of training images", fontsize=8)


def _gaps(found: Curve) -> dict[str, list[tuple[int, Interval]]]:
    """By group: training sizes with the difference from the training images, where both are numbers."""
    references = dict(found.group("training"))
    gaps: dict[str, list[tuple[int, Interval]]] = {}
    for name in (*CLASS_COLORS, "held-out"):
        for k, reading in found.group(name):
            gap = difference(reading, references[k]) if k in references else None
            if gap is not None:
                gaps.setdefault(name, []).append((k, gap))
    return gaps

"""How the fractions move with the thresholds."""

__all__ = ["draw_sensitivity"]

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from spurion.report.figures.canvas import (
    CLASS_COLORS,
    INK,
    Width,
    legend_above,
    no_minor_ticks,
    panels,
)
from spurion.report.run import Run
from spurion.statistics.numbers import size


def draw_sensitivity(run: Run, width: Width) -> Figure | None:
    """Stacked fractions against the common factor of both thresholds, one panel for each K; 1 is marked."""
    points = [(p.audit, p.audit.sensitivity) for p in run.done if p.audit.sensitivity]
    if not points:
        return None
    figure, axes = panels(len(points), width, across=4, height=1.2)
    for ax, (point, curve) in zip(axes, points, strict=True):
        ax.stackplot(
            curve.factors,
            curve.memorized,
            curve.spurious,
            curve.generalized,
            labels=list(CLASS_COLORS),
            colors=list(CLASS_COLORS.values()),
            alpha=0.8,
            linewidth=0,
        )
        ax.axvline(1, color=INK, linewidth=1.1)
        ax.set_xscale("log")
        ax.set_xlim(curve.factors[0], curve.factors[-1])
        ax.set_ylim(0, 1)
        ax.set_yticks([0, 0.5, 1], ["0", "", "1"])
        ticks = [f for f in (0.5, 1, 2) if curve.factors[0] <= f <= curve.factors[-1]]
        ax.xaxis.set_major_locator(FixedLocator(ticks))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda f, _: f"{f:g}×"))
        no_minor_ticks(ax)
        ax.set_title(f"K = {size(point.train_size)}", fontsize=8)
    figure.supxlabel("both thresholds multiplied by", fontsize=8, color=INK)
    figure.supylabel("share of samples", fontsize=8, color=INK)
    legend_above(figure, axes[0], 3)
    return figure

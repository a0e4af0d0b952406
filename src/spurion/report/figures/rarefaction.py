"""The spurious share against the number of samples drawn."""

__all__ = ["draw_rarefaction"]

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spurion.audits.results import AuditResult
from spurion.phases.rarefied import Rarefaction
from spurion.report.figures.canvas import (
    CLASS_COLORS,
    CLASS_MARKERS,
    INK,
    MUTED,
    Width,
    label_k_axis,
    new_figure,
    plain_log_axis,
    size_colors,
    width_of,
)
from spurion.report.run import Run
from spurion.statistics.numbers import size


def draw_rarefaction(run: Run, width: Width) -> Figure | None:
    """One rarefaction curve for each K, with the common sample size marked.

    Where sample sizes differ over K, a second panel shows the spurious share at each point's own size and
    at the common one.
    """
    points = [p.audit for p in run.done if p.audit.rarefaction]
    if not points:
        return None
    differ = len({point.sample_size for point in points}) > 1
    rows = 1 + differ
    figure = new_figure(width, (2.9 if width == "wide" else 3.6) + 2.3 * differ)
    axes = figure.subplots(rows, 1, squeeze=False).ravel()
    curves = [(p.audit.train_size, p.audit.rarefaction) for p in run.done if p.audit.rarefaction]
    _plot_curves(axes[0], curves, run.common_size)
    axes[0].legend(
        *axes[0].get_legend_handles_labels(),
        title="training-set size K",
        loc="upper left",
        ncols=2 if len(points) > 6 else 1,
        fontsize=7,
        title_fontsize=7,
        labelspacing=0.25,
        columnspacing=1,
    )
    if differ:
        known = [(p.train_size, p.spurious_at_common_size) for p in run.study.points] if run.study else []
        common = sorted((k, share) for k, share in known if share is not None)
        _plot_common(axes[1], points, common, run.common_size, width)
    return figure


def _plot_curves(ax: Axes, curves: list[tuple[int, Rarefaction]], common: int | None) -> None:
    for (train_size, curve), color in zip(curves, size_colors(len(curves)), strict=True):
        ax.plot(curve.sample_sizes, curve.spurious, color=color, label=size(train_size))
        ax.plot(curve.sample_sizes[-1:], curve.spurious[-1:], "o", color=color, markersize=3)
    if common is not None:
        ax.axvline(common, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), label="_common size")
        ax.annotate(
            rf"$m_0$ = {size(common)}",
            (common, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-4, -2),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=7.5,
            color=MUTED,
        )
    ax.set_xscale("log")
    plain_log_axis(ax.xaxis)
    ax.set_ylim(bottom=-0.01)
    ax.set_xlabel("number of samples drawn, |S′|")
    ax.set_ylabel("spurious share")


def _plot_common(
    ax: Axes,
    points: list[AuditResult],
    common: list[tuple[int, float]],
    common_size: int | None,
    width: Width,
) -> None:
    sizes = [point.train_size for point in points]
    color, marker = CLASS_COLORS["spurious"], CLASS_MARKERS["spurious"]
    own = [(p.train_size, p.fractions.spurious.value) for p in points if p.fractions]
    ax.plot(*zip(*own, strict=True), marker + "-", color=color, label="at each K’s own sample size")
    if common:
        ax.plot(
            *zip(*common, strict=True),
            marker + "--",
            color=color,
            markerfacecolor="white",
            label=rf"among $m_0$ = {size(common_size)}",
        )
    label_k_axis(ax, sizes, width_of(width) - 0.6)
    ax.set_ylim(bottom=-0.01)
    ax.set_ylabel("spurious share")
    ax.legend(loc="upper left", fontsize=7)

"""The transition: class fractions against training-set size, with the capacities (Pham et al., Fig. 4A)."""

__all__ = ["draw_rules", "draw_transition", "plot_fractions"]

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spurion.audits.results import NO_CLOSER
from spurion.phases.passage import Capacity
from spurion.phases.transitions import Capacities
from spurion.report.figures.canvas import (
    CLASS_COLORS,
    CLASS_MARKERS,
    INK,
    MUTED,
    Width,
    interval_bands,
    label_k_axis,
    legend_above,
    new_figure,
    panels,
    share_axis,
    width_of,
)
from spurion.report.figures.capacities import KINDS, plot_reach
from spurion.report.run import Run
from spurion.statistics.intervals import ClassFractions
from spurion.statistics.numbers import size


def draw_transition(run: Run, width: Width) -> Figure | None:
    """Fractions of memorized, spurious, and generalized samples against K; capacities above.

    Lines join the fractions; bands are their 95 % intervals. Above, each capacity is a dot with its
    interval (thick) and the bracket of studied sizes around it (thin). Failed points are crosses.
    """
    points = [p.audit for p in run.done if p.audit.fractions]
    if not points:
        return None
    sizes = [point.train_size for point in points]
    everything = sorted([*sizes, *(point.train_size for point, _ in run.failed)])
    capacities = run.capacities
    figure = new_figure(width, 4.0 if capacities else 3.2)
    if capacities:
        top, main = figure.subplots(2, 1, sharex=True, height_ratios=[1, 4.2])
        _plot_capacities(top, main, capacities, everything)
    else:
        main = figure.subplots()
    plot_fractions(
        main, sizes, [p.fractions for p in points if p.fractions], [p.still_leaking for p in points]
    )
    for point, _ in run.failed:
        main.plot([point.train_size], [0], "x", color=INK, markersize=7, clip_on=False, zorder=5)
        main.annotate(
            "failed", (point.train_size, 0.03), rotation=90, color=MUTED, fontsize=7, ha="center", va="bottom"
        )
    met = {point.thresholds.sample_size for point in points if point.thresholds}
    size_met = met.pop() if len(met) == 1 else None
    met_again = "" if size_met is None else f"\n(met again among $m_0$ = {size(size_met)} samples)"
    share_axis(main, f"share of samples{met_again}")
    label_k_axis(main, everything, width_of(width) - 0.6)
    legend_above(figure, main, 4 if width == "wide" else 2)
    return figure


def plot_fractions(
    ax: Axes, sizes: Sequence[int], fractions: Sequence[ClassFractions], leaking: Sequence[bool]
) -> None:
    """Draw the three fractions with their intervals as bands.

    Arguments:
        ax: The axes.
        sizes: The training sizes.
        fractions: The fractions at each.
        leaking: Where samples still leak: there the share that would be generalized has open markers.
    """
    for name, color in CLASS_COLORS.items():
        intervals = [getattr(fraction, name) for fraction in fractions]
        look = CLASS_MARKERS[name] + "-"
        interval_bands(ax, sizes, intervals, name, look=look, color=color, alpha=0.22)
    _open_leaking(ax, sizes, [fraction.generalized.value for fraction in fractions], leaking)


def _open_leaking(ax: Axes, sizes: Sequence[int], shares: Sequence[float], leaking: Sequence[bool]) -> None:
    """Open markers where samples still leak; the legend does not say generalized if that is everywhere."""
    places = [(k, share) for k, share, leaks in zip(sizes, shares, leaking, strict=True) if leaks]
    if not places:
        return
    if len(places) == len(sizes):
        line = next(line for line in ax.lines if line.get_label() == "generalized")
        line.set_label("_generalized")
    ax.plot(
        *zip(*places, strict=True),
        CLASS_MARKERS["generalized"] + ("-" if len(places) == len(sizes) else ""),
        color=CLASS_COLORS["generalized"],
        markerfacecolor="white",
        label=f"{NO_CLOSER} (still leaking)",
        clip_on=False,
        zorder=4,
    )


def draw_rules(run: Run, width: Width) -> Figure | None:
    """The fractions under the main rule, the ratio rule, and the held-out rule, side by side."""
    rules = {"main rule": "fractions", "ratio rule": "ratio_fractions", "held-out rule": "holdout_fractions"}
    shown = {
        title: [(p.audit, getattr(p.audit, field)) for p in run.done if getattr(p.audit, field)]
        for title, field in rules.items()
    }
    shown = {title: pairs for title, pairs in shown.items() if pairs}
    if len(shown) < 2:
        return None
    if width == "wide":
        figure = new_figure(width, 2.5)
        axes = figure.subplots(1, len(shown), sharey=True)
        inches = width_of(width) / len(shown) - 0.3
    else:
        figure, axes = panels(len(shown), width, across=1, height=1.8)
        inches = width_of(width) - 0.6
    everything = sorted({audit.train_size for pairs in shown.values() for audit, _ in pairs})
    for ax, (title, pairs) in zip(axes, shown.items(), strict=True):
        audits, fractions = zip(*pairs, strict=True)
        sizes, leaking = [a.train_size for a in audits], [a.still_leaking for a in audits]
        plot_fractions(ax, sizes, fractions, leaking)
        share_axis(ax, "share of samples" if ax is axes[0] or width == "narrow" else "")
        label_k_axis(ax, everything, inches)
        ax.set_title(title)
    legend_above(figure, axes[0], 3 if width == "wide" else 2)
    return figure


def _plot_capacities(top: Axes, main: Axes, capacities: Capacities, sizes: Sequence[int]) -> None:
    middle = (sizes[0] * sizes[-1]) ** 0.5
    for row, (name, kind) in enumerate(KINDS.items()):
        capacity: Capacity = getattr(capacities, name)
        color, height = CLASS_COLORS[kind], 2 - row
        low, high = capacity.bracket
        if low is not None and high is not None:
            top.plot([low, high], [height] * 2, "|-", color=color, linewidth=0.9, markersize=6, alpha=0.75)
        if capacity.value is None:
            note = f"{name} capacity: not found"
            top.annotate(
                note,
                (0.01, height),
                xycoords=("axes fraction", "data"),
                color=MUTED,
                fontsize=7.5,
                va="center",
            )
            continue
        plot_reach(top, capacity, height, sizes, color=color, label=name)
        top.plot([capacity.value], [height], CLASS_MARKERS[kind], color=color, markersize=5, label=name)
        main.axvline(
            capacity.value, color=color, linewidth=0.9, linestyle=(0, (1, 2)), label=f"_{name} capacity"
        )
        ends = [end for end in (low, high, capacity.low, capacity.high, capacity.value) if end is not None]
        right = capacity.value < middle
        top.annotate(
            f"{name} capacity: {size(capacity.value)}",
            (max(ends) if right else min(ends), height),
            xytext=(7 if right else -7, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            fontsize=7.5,
        )
    top.set_ylim(-0.6, 2.6)
    top.set_axis_off()

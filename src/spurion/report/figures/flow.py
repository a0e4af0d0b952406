"""Recall of training images and the flow of samples, against the training size."""

__all__ = ["draw_flow"]

from matplotlib.figure import Figure

from spurion.report.figures.canvas import (
    CLASS_COLORS,
    INK,
    MUTED,
    Width,
    interval_bands,
    label_k_axis,
    legend_above,
    new_figure,
    share_axis,
    width_of,
)
from spurion.report.run import Run
from spurion.statistics.intervals import Interval, proportion

RECALL = "training images recalled"
INTO = "samples into a training image"
SHARED = "samples into another shared state"

LOOKS = {
    RECALL: ("^-", INK),
    INTO: ("o-", CLASS_COLORS["memorized"]),
    SHARED: ("s-", CLASS_COLORS["spurious"]),
}


def draw_flow(run: Run, width: Width) -> Figure | None:
    """Shares against K: training images recalled, samples that flow into one, and into shared states."""
    flows = run.flows
    curves: dict[str, dict[int, Interval | None]] = {
        RECALL: {k: flow.recall for k, flow in flows.items()},
        INTO: {k: flow.into_training for k, flow in flows.items()},
        SHARED: {
            k: proportion(flow.total.shared_state, flow.total.followed)
            for k, flow in flows.items()
            if flow.total.followed
        },
    }
    known = {name: {k: share for k, share in curve.items() if share} for name, curve in curves.items()}
    if len(flows) < 2 or not any(known.values()):
        return None
    figure = new_figure(width, 3.2)
    ax = figure.subplots()
    for name, curve in known.items():
        look, color = LOOKS[name]
        if curve:
            shares = [share for share in curve.values() if share]
            interval_bands(ax, list(curve), shares, name, look=look, color=color, alpha=0.22)
    capacity = run.study.recall_capacity if run.study else None
    if capacity is not None and capacity.value is not None:
        ax.axvline(
            capacity.value, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)), label="_recall capacity"
        )
    share_axis(ax, "share")
    label_k_axis(ax, list(flows), width_of(width) - 0.6)
    legend_above(figure, ax, 3 if width == "wide" else 1)
    return figure

"""Histograms of the two distances that decide a sample's class, with the thresholds (Pham et al., Fig. 3)."""

__all__ = ["draw_histograms", "histogram_edges"]

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spurion.phases.rules import ThresholdInfo
from spurion.report.evidence import Samples
from spurion.report.figures.canvas import (
    GRAY,
    INK,
    OLIVE,
    Width,
    draw_thresholds,
    legend_above,
    literal,
    panels,
    plain_log_axis,
)
from spurion.report.run import Run, Shown
from spurion.statistics.numbers import size

BINS = 56


def draw_histograms(run: Run, width: Width) -> Figure | None:
    """Olive (to the training set) and gray (to other samples) log distances, one panel for each K.

    With more than one K, the first panel pools all samples. Heights are shares per bin, each panel to its
    own scale. Distances of exactly 0 stand in the leftmost bin.
    """
    shown = [(p, p.samples) for p in run.done if p.samples]
    if not shown:
        return None
    edges = histogram_edges([samples for _, samples in shown])
    several = len(shown) > 1
    figure, axes = panels(len(shown) + several, width, across=4, height=1.2)
    if several:
        _plot_pair(
            axes[0],
            np.concatenate([samples.distance_train for _, samples in shown]),
            np.concatenate([samples.distance_sample for _, samples in shown]),
            edges,
        )
        _finish(axes[0], "all K together", _common_thresholds([p for p, _ in shown]))
    for ax, (point, samples) in zip(axes[several:], shown, strict=True):
        _plot_pair(ax, samples.distance_train, samples.distance_sample, edges)
        _finish(ax, f"K = {size(point.audit.train_size)}", point.audit.thresholds)
    unit = shown[0][0].audit.distance
    figure.supxlabel(literal(f"{unit.name} distance ({unit.unit}), log scale"), fontsize=8, color=INK)
    figure.supylabel("share of samples per bin", fontsize=8, color=INK)
    legend_above(figure, axes[-1], 4 if width == "wide" else 2)
    return figure


def histogram_edges(groups: Sequence[Samples]) -> Float[np.ndarray, " edges"]:
    """Bin edges common to all panels, equally wide in log distance, covering every positive distance."""
    pooled = np.concatenate([np.concatenate([g.distance_train, g.distance_sample]) for g in groups])
    positive = pooled[pooled > 0]
    if not len(positive):
        return np.geomspace(0.1, 1, BINS + 1)
    low, high = float(positive.min()), float(positive.max())
    return np.geomspace(low / 1.001, max(high, low * 1.01) * 1.001, BINS + 1)


def _shares(
    distances: Float[np.ndarray, " n"], edges: Float[np.ndarray, " edges"]
) -> Float[np.ndarray, " bins"]:
    known = distances[~np.isnan(distances)]
    counts, _ = np.histogram(np.maximum(known, edges[0]), edges)
    return counts / max(len(known), 1)


def _plot_pair(
    ax: Axes,
    olive: Float[np.ndarray, " n"],
    gray: Float[np.ndarray, " n"],
    edges: Float[np.ndarray, " edges"],
) -> None:
    ax.stairs(
        _shares(olive, edges), edges, fill=True, color=OLIVE, alpha=0.75, label="to the training set (olive)"
    )
    ax.stairs(_shares(gray, edges), edges, color=GRAY, linewidth=1.1, label="to other samples (gray)")


def _finish(ax: Axes, title: str, thresholds: ThresholdInfo | None) -> None:
    draw_thresholds(ax, thresholds)
    ax.set_xscale("log")
    plain_log_axis(ax.xaxis)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_title(title, fontsize=8)


def _common_thresholds(points: Sequence[Shown]) -> ThresholdInfo | None:
    known = [point.audit.thresholds for point in points]
    first = known[0]
    if first and all(t and (t.memorized, t.spurious) == (first.memorized, first.spurious) for t in known):
        return first
    return None

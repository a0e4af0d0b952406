"""The distances of a single audit, with the thresholds drawn in."""

__all__ = ["draw_distances"]

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spurion.audits.results import AuditResult
from spurion.report.figures.canvas import (
    GRAY,
    INK,
    OLIVE,
    Width,
    draw_thresholds,
    legend_above,
    literal,
    new_figure,
    plain_log_axis,
    share_axis,
)
from spurion.report.run import Run


def draw_distances(run: Run, width: Width) -> Figure | None:
    """Histograms of log distance, and the share of images that are at most so far."""
    if run.single is None:
        return None
    audit = run.single.audit
    stored = audit.histograms
    edges = np.array(stored.edges)
    wide = width == "wide"
    figure = new_figure(width, 2.9 if wide else 5)
    left, right = figure.subplots(1, 2) if wide else figure.subplots(2, 1)
    olive, gray = _shares(stored.train), _shares(stored.samples)
    left.stairs(olive, edges, fill=True, color=OLIVE, alpha=0.75, label="samples to training set (olive)")
    left.stairs(gray, edges, color=GRAY, linewidth=1.1, label="samples to other samples (gray)")
    right.stairs(np.cumsum(olive), edges, color=OLIVE, linewidth=1.6, baseline=None)
    if stored.holdout is not None:
        held_out = _shares(stored.holdout)
        look = {"color": INK, "linewidth": 1.1, "linestyle": (0, (1, 1))}
        left.stairs(held_out, edges, label="held-out images to training set", **look)
        right.stairs(np.cumsum(held_out), edges, baseline=None, **look)
    for ax in (left, right):
        _draw_thresholds(ax, audit)
        ax.set_xscale("log")
        ax.set_xlim(edges[0], edges[-1])
        plain_log_axis(ax.xaxis)
    left.set_yticks([])
    left.set_ylabel("share of images per bin")
    share_axis(right, "share at most this far")
    unit = audit.distance
    figure.supxlabel(literal(f"{unit.name} distance ({unit.unit}), log scale"), fontsize=8)
    legend_above(figure, left, 3 if wide else 1)
    return figure


def _shares(counts: tuple[int, ...]) -> Float[np.ndarray, " bins"]:
    return np.array(counts) / max(sum(counts), 1)


def _draw_thresholds(ax: Axes, audit: AuditResult) -> None:
    thresholds, quantile = audit.thresholds, audit.holdout_thresholds
    draw_thresholds(ax, thresholds)
    if quantile is not None and quantile.memorized is not None and quantile != thresholds:
        ax.axvline(
            quantile.memorized, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), label="held-out quantile"
        )

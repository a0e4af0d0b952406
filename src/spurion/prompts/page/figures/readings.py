"""Readings of detectors: ROC curves, strips by label, and curves over the number of copies."""

__all__ = ["COLORS", "draw_copies", "draw_readings", "draw_roc"]

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from jaxtyping import Float64
from matplotlib.figure import Figure
from scipy.stats import rankdata

from spurion.prompts.page.stored import PromptsRun
from spurion.prompts.table import LABELS
from spurion.report.figures.canvas import (
    CLASS_COLORS,
    GRAY,
    INK,
    Width,
    literal,
    new_figure,
    panels,
)

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#22211f", "#8a8a1f")
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
"""Lines are told apart by color, then by dash."""

LEAST = 1e-3
"""Where the logarithmic axis of false alarms begins."""


def draw_roc(run: PromptsRun, width: Width) -> Figure | None:
    """Share of memorized prompts found against the share of generalized ones, on two scales."""
    names = [one.name for one in run.result.detectors if one.name in run.judged]
    if not names:
        return None
    wide = width == "wide"
    figure = new_figure(width, 3.3 if wide else 6.4)
    axes = figure.subplots(1 if wide else 2, 2 if wide else 1, squeeze=False).ravel()
    for name, (color, dash) in zip(names, _looks(len(names)), strict=True):
        positives, negatives = (run.oriented(name, label) for label in ("memorized", "generalized"))
        false, found = _curve(np.array(positives), np.array(negatives))
        for ax in axes:
            ax.plot(np.maximum(false, LEAST), found, color=color, linestyle=dash, label=literal(name))
    axes[0].set_xscale("log")
    axes[0].set_xlim(LEAST, 1)
    axes[0].axvline(0.01, color=GRAY, linewidth=0.8, linestyle=(0, (1, 2)), label="_1 %")
    axes[1].plot([0, 1], [0, 1], color=GRAY, linewidth=0.8, linestyle=(0, (1, 2)), label="_chance")
    axes[1].set_xlim(-0.02, 1.02)
    for ax in axes:
        ax.set_ylim(-0.02, 1.02)
        ax.set_xlabel("share of generalized prompts called memorized")
        ax.set_ylabel("share of memorized prompts found")
    handles, labels = axes[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=4 if wide else 2, fontsize=7)
    return figure


def draw_readings(run: PromptsRun, width: Width) -> Figure | None:
    """Strips of ranks by label, a panel for each detector."""
    result = run.result
    labels = [label for label in LABELS if any(one.label == label for one in result.prompts)]
    if not labels:
        return None
    figure, axes = panels(len(result.detectors), width, across=3, height=1.7, share=False)
    for ax, detector in zip(axes, result.detectors, strict=True):
        ranks = _shares(run, detector.name)
        rng = np.random.default_rng(0)
        for row, label in enumerate(labels):
            chosen = np.array([one.label == label for one in result.prompts]) & ~np.isnan(ranks)
            values = ranks[chosen]
            color = CLASS_COLORS.get(label, GRAY)
            ax.plot(values, row + rng.uniform(-0.28, 0.28, len(values)), ".", color=color, markersize=2.5)
            if len(values):
                ax.plot([np.median(values)] * 2, [row - 0.38, row + 0.38], color=INK, linewidth=1.4)
        ax.set_title(literal(detector.name))
        ax.set_xlim(-0.02, 1.02)
        ax.set_yticks(range(len(labels)), labels)
        ax.set_ylim(len(labels) - 0.5, -0.5)
        ax.grid(axis="y", visible=False)
    return figure


def draw_copies(run: PromptsRun, width: Width) -> Figure | None:
    """Median rank against the number of copies, a curve for each detector."""
    result = run.result
    levels = sorted({level for one in result.rises for level in one.medians})
    if len(levels) < 2:
        return None
    figure = new_figure(width, 3.2)
    ax = figure.subplots()
    names = [one.detector for one in result.rises]
    copies = np.array([-1 if one.copies is None else one.copies for one in result.prompts])
    for name, (color, dash) in zip(names, _looks(len(names)), strict=True):
        ranks = _shares(run, name)
        medians = [float(np.nanmedian(ranks[copies == level])) for level in levels]
        ax.plot(range(len(levels)), medians, "o", color=color, linestyle=dash, label=literal(name))
    ax.set_xticks(range(len(levels)), [f"{level:,}" for level in levels])
    ax.set_xlabel("copies in the training set")
    ax.set_ylabel("median share of prompts below")
    ax.set_ylim(-0.03, 1.03)
    handles, labels = ax.get_legend_handles_labels()
    columns = 4 if width == "wide" else 2
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, fontsize=7)
    return figure


def _shares(run: PromptsRun, detector: str) -> Float64[np.ndarray, " n"]:
    """Readings as ranks from 0 to 1, oriented; NaN where there is none."""
    result = run.result
    sign = next(1 if one.higher else -1 for one in result.detectors if one.name == detector)
    values = np.array(
        [np.nan if (value := one.values.get(detector)) is None else sign * value for one in result.prompts]
    )
    found, known = np.full(len(values), np.nan), ~np.isnan(values)
    if known.any():
        found[known] = (rankdata(values[known]) - 1) / max(int(known.sum()) - 1, 1)
    return found


def _curve(
    positives: Float64[np.ndarray, " m"], negatives: Float64[np.ndarray, " n"]
) -> tuple[np.ndarray, np.ndarray]:
    """The steps of a ROC curve, from no prompt called to all of them."""
    cuts = np.unique(np.concatenate([positives, negatives]))[::-1]
    found = [0.0, *(float((positives >= cut).mean()) for cut in cuts)]
    false = [0.0, *(float((negatives >= cut).mean()) for cut in cuts)]
    return np.array(false), np.array(found)


def _looks(count: int) -> Sequence[tuple[str, object]]:
    colors = cycle(COLORS)
    return [(next(colors), DASHES[min(i // len(COLORS), len(DASHES) - 1)]) for i in range(count)]

"""The held-out null: are samples closer to the training set than to unseen images?"""

__all__ = ["draw_controls", "draw_null"]

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spurion.report.figures.canvas import (
    CLASS_COLORS,
    INK,
    MUTED,
    Width,
    interval_bars,
    label_k_axis,
    new_figure,
    share_axis,
    width_of,
)
from spurion.report.run import Run
from spurion.statistics.intervals import Interval

PURPLE = "#6a3d7c"

Panel = tuple[str, Callable[[Axes], None]]


def draw_null(run: Run, width: Width) -> Figure | None:
    """Share closer to the training set (0.5 marked), C_T (0 marked), AuthPct (beside held-out images)."""
    tests = [(p.audit.train_size, p.audit.null) for p in run.done if p.audit.null]
    drawn: list[Panel] = []
    shares = [(k, test.share_closer_to_train) for k, test in tests if test.share_closer_to_train]
    if shares:
        drawn.append(("closer to the training set", lambda ax: _plot_share(ax, shares)))
    held_out = [(k, test.authpct_holdout) for k, test in tests if test.authpct_holdout is not None]
    for title, field, mark in ((r"$\mathbf{C_T}$", "ct", 0.0), ("AuthPct", "authpct", None)):
        pairs = [(k, getattr(test, field)) for k, test in tests if getattr(test, field) is not None]
        if pairs:
            drawn.append((title, _value_panel(pairs, field, mark, held_out if field == "authpct" else [])))
    return _row(drawn, [k for k, _ in tests], width)


def draw_controls(run: Run, width: Width) -> Figure | None:
    """Shares of noisy copies and of held-out images that are called memorized, against K."""
    checks = [(p.audit.train_size, p.audit.controls) for p in run.done if p.audit.controls]
    copies = [(k, c.noisy_copies) for k, c in checks if c.noisy_copies]
    held_out = [(k, c.held_out) for k, c in checks if c.held_out]
    drawn: list[Panel] = []
    if copies:
        drawn.append(("copies with a whisper of noise", _control_panel(copies, 1)))
    if held_out:
        drawn.append(("held-out images", _control_panel(held_out, 0)))
    return _row(drawn, [k for k, _ in checks], width)


def _row(drawn: list[Panel], sizes: list[int], width: Width) -> Figure | None:
    if not drawn:
        return None
    wide = width == "wide"
    figure = new_figure(width, 2.4 if wide else 2.1 * len(drawn))
    grid = figure.subplots(1 if wide else len(drawn), len(drawn) if wide else 1, squeeze=False)
    inches = width_of(width) / (len(drawn) if wide else 1) - 0.6
    for ax, (title, plot) in zip(grid.ravel(), drawn, strict=True):
        plot(ax)
        ax.set_title(title)
        label_k_axis(ax, sizes, inches)
    return figure


def _plot_share(ax: Axes, pairs: list[tuple[int, Interval]]) -> None:
    ax.axhline(0.5, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), label="nothing leaks")
    ax.annotate(
        "0.5: nothing leaks",
        (0.02, 0.5),
        xycoords=("axes fraction", "data"),
        xytext=(0, -3),
        textcoords="offset points",
        va="top",
        fontsize=7,
        color=MUTED,
    )
    interval_bars(
        ax, [k for k, _ in pairs], [share for _, share in pairs], fmt="o-", color=PURPLE, label="share"
    )
    share_axis(ax)


def _value_panel(
    pairs: list[tuple[int, float]], field: str, mark: float | None, beside: list[tuple[int, float]]
) -> Callable[[Axes], None]:
    def plot(ax: Axes) -> None:
        if mark is not None:
            ax.axhline(mark, color=INK, linewidth=0.9, linestyle=(0, (4, 2)))
        if beside:
            ax.plot(
                *zip(*beside, strict=True), color=INK, linewidth=0.9, linestyle=(0, (4, 2)), label="held-out"
            )
        ax.plot(*zip(*pairs, strict=True), "o-", color=PURPLE, linewidth=1.2, label=field, clip_on=False)
        ax.set_ylabel("standard deviations" if field == "ct" else "authentic samples (%)")

    return plot


def _control_panel(pairs: list[tuple[int, Interval]], must: int) -> Callable[[Axes], None]:
    look: dict[str, Any] = {"fmt": "o-", "color": CLASS_COLORS["memorized"], "label": "share"}

    def plot(ax: Axes) -> None:
        ax.axhline(must, color=INK, linewidth=0.9, linestyle=(0, (4, 2)))
        interval_bars(ax, [k for k, _ in pairs], [share for _, share in pairs], **look)
        share_axis(ax, "called memorized")

    return plot

"""Training loss against the iteration, one curve for each K."""

__all__ = ["draw_training"]

from matplotlib.figure import Figure

from spurion.report.figures.canvas import Width, new_figure, plain_log_axis, size_colors
from spurion.report.run import Run
from spurion.statistics.numbers import size


def draw_training(run: Run, width: Width) -> Figure | None:
    """The logged training loss, also of points that failed (dashed)."""
    everything = [
        *((shown.train_size, shown.loss, False) for shown in run.done),
        *((point.train_size, loss, True) for point, loss in run.failed),
    ]
    known = [(k, loss, failed) for k, loss, failed in everything if loss and len(loss.step)]
    shown = sorted(known, key=lambda one: one[0])
    if not shown:
        return None
    figure = new_figure(width, 2.9 if width == "wide" else 3.6)
    ax = figure.subplots()
    for (k, curve, failed), color in zip(shown, size_colors(len(shown)), strict=True):
        ax.plot(
            curve.step,
            curve.loss,
            color=color,
            linewidth=1.1,
            linestyle=(0, (3, 2)) if failed else "-",
            label=size(k) + (" (failed)" if failed else ""),
        )
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("iteration")
    ax.set_ylabel("training loss (mean squared error)")
    plain_log_axis(ax.xaxis)
    plain_log_axis(ax.yaxis)
    wide = width == "wide"
    figure.legend(
        title="K",
        loc="outside right upper" if wide else "outside lower left",
        ncols=1 if wide and len(shown) < 20 else 4,
        fontsize=7,
        title_fontsize=7.5,
    )
    return figure

"""Samples of each class over the images that decide it, across the transition."""

__all__ = ["draw_examples", "typical_of_class"]

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from spurion.report.evidence import Gallery, Samples
from spurion.report.figures.canvas import CLASS_COLORS, INK, MUTED, Width, width_of
from spurion.report.run import Run
from spurion.statistics.numbers import size

ROW_LABELS = ("sample", "nearest\ntraining image", "nearest\nother sample")
COLUMNS = {"wide": 12, "narrow": 6}
MARGIN = {"wide": 0.95, "narrow": 0.05}
HEAD, GAP, LARGEST_CELL = 0.3, 0.3, 0.62
PIXELS = 96
"""Images are enlarged to at least this many pixels, so that every viewer draws them crisp."""


def draw_examples(run: Run, width: Width) -> Figure | None:
    """For each K a column, for each class a sample over its nearest training image and other sample."""
    shown = [
        (p.audit.train_size, p.gallery, p.samples)
        for p in run.done
        if p.gallery and p.samples and (p.gallery.label >= 0).any()
    ]
    if not shown:
        return None
    keep = np.unique(np.linspace(0, len(shown) - 1, COLUMNS[width]).round().astype(int))
    shown = [shown[i] for i in keep]
    margin = MARGIN[width]
    cell = min((width_of(width) - margin) / len(shown), LARGEST_CELL)
    block_height = GAP + 3 * cell
    ax = _sheet(width, HEAD + 3 * block_height)
    for column, (train_size, gallery, samples) in enumerate(shown):
        left = margin + column * cell
        text = f"K = {size(train_size)}" if column == 0 else size(train_size)
        ax.text(left + cell / 2, HEAD / 2, text, ha="center", va="center", fontsize=7.5, color=INK)
        for block, name in enumerate(CLASS_COLORS):
            place = left, HEAD + block * block_height + GAP
            _plot_column(
                ax, gallery, typical_of_class(gallery, samples, block), CLASS_COLORS[name], place, cell
            )
    for block, (name, color) in enumerate(CLASS_COLORS.items()):
        top = HEAD + block * block_height
        ax.text(margin, top + GAP / 2, name, color=color, weight="bold", fontsize=8.5, va="center")
        for row, label in enumerate(ROW_LABELS if width == "wide" else ()):
            middle = top + GAP + (row + 0.5) * cell
            ax.text(margin - 0.08, middle, label, ha="right", va="center", fontsize=6.5, color=MUTED)
    return ax.figure if isinstance(ax.figure, Figure) else None


def typical_of_class(gallery: Gallery, samples: Samples, label: int) -> int | None:
    """Position of the stored sample of a class that has the median distance to the training set.

    The class is an index into `CLASSES`. Of an even number, the lower median; None if none is stored.
    """
    positions = np.flatnonzero(gallery.label == label)
    if not len(positions):
        return None
    ranks = np.argsort(samples.distance_train[gallery.index[positions]], kind="stable")
    return int(positions[ranks[(len(positions) - 1) // 2]])


def _sheet(width: Width, height: float) -> Axes:
    """Axes over the whole figure in inches, y down."""
    ax = Figure(figsize=(width_of(width), height)).add_axes((0, 0, 1, 1))
    ax.set_xlim(0, width_of(width))
    ax.set_ylim(height, 0)
    ax.set_axis_off()
    return ax


def _plot_column(
    ax: Axes, gallery: Gallery, position: int | None, color: str, place: tuple[float, float], cell: float
) -> None:
    left, top = place
    if position is None:
        ax.text(
            left + cell / 2, top + 1.5 * cell, "none", ha="center", va="center", fontsize=6.5, color=MUTED
        )
        return
    pad = 0.03
    for row, images in enumerate((gallery.sample, gallery.train, gallery.other)):
        y = top + row * cell
        ax.imshow(
            _enlarged(images[position]),
            extent=(left + pad, left + cell - pad, y + cell - pad, y + pad),
            interpolation="none",
            aspect="auto",
        )
    frame = Rectangle((left + pad, top + pad), cell - 2 * pad, cell - 2 * pad, fill=False, edgecolor=color)
    ax.add_patch(frame)


def _enlarged(image: UInt8[np.ndarray, "c h w"]) -> UInt8[np.ndarray, "H W 3"]:
    factor = max(1, -(-PIXELS // max(image.shape[1:])))
    rgb = np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0)
    return rgb.repeat(factor, axis=0).repeat(factor, axis=1)

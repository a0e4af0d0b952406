"""Galleries for the page: one PNG sprite for each training size, and the numbers beside the images."""

__all__ = ["gallery_data", "sprite"]

import base64
import io
import math
from typing import Any

import numpy as np
from jaxtyping import Int
from PIL import Image

from spurion.phases.classification import CLASSES
from spurion.report.evidence import Gallery, Samples
from spurion.report.run import Run, Shown

BUDGET = 12_000_000
"""Bytes of raw pixels that all sprites together may hold."""

LEAST = 4
"""Samples of each class that every training size may show, whatever the budget."""


def gallery_data(run: Run) -> dict[str, Any]:
    """Everything the gallery of the page needs, as plain values.

    Returns:
        `classes`; `start`, the position to open with; `stored` and `shown`, numbers of samples; and `sizes`,
        a list by training size of dictionaries with `k`, the thresholds `delta_m` and `delta_s` (or None),
        `width` and `height` of an image, `columns` (samples in a row of the sprite), `sprite` (a PNG as a
        data URI), and `items`: for each sample its index, class (-1 for none), distance to and index of the
        nearest training image, distance to and index of the nearest other sample.
    """
    pairs = [(p, p.gallery, p.samples) for p in run.done if p.gallery and p.samples and len(p.gallery)]
    room = _room([gallery for _, gallery, _ in pairs])
    sizes = [_entry(point, gallery, samples, room) for point, gallery, samples in pairs]
    return {
        "classes": list(CLASSES),
        "start": _start(pairs),
        "stored": sum(len(gallery) for _, gallery, _ in pairs),
        "shown": sum(len(size["items"]) for size in sizes),
        "sizes": sizes,
    }


def sprite(gallery: Gallery, kept: Int[np.ndarray, " k"], columns: int) -> bytes:
    """One PNG of all images: rows of `columns` samples, each three images wide (sample, training, other).

    Arguments:
        gallery: The stored images.
        kept: Positions in the gallery to show, in order.
        columns: Samples in a row.
    """
    trios = np.concatenate([a[kept] for a in (gallery.sample, gallery.train, gallery.other)], axis=3)
    count, channels, height, width = trios.shape
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, channels, height, width), dtype=np.uint8)
    sheet[:count] = trios
    sheet = sheet.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    pixels = sheet.reshape(rows * height, columns * width, channels)
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _start(pairs: list[tuple[Shown, Gallery, Samples]]) -> int:
    """Which training size to open with: the one with most spurious samples."""
    spurious = CLASSES.index("spurious")
    shares = [float((samples.label == spurious).mean()) for _, _, samples in pairs]
    return shares.index(max(shares)) if shares else 0


def _room(galleries: list[Gallery]) -> int:
    """Samples of each class and training size that fit the budget."""
    trio = sum(3 * gallery.sample[0].nbytes * len(CLASSES) for gallery in galleries)
    answer: int = max(LEAST, BUDGET // max(trio, 1))
    return answer


def _spread(labels: Int[np.ndarray, " g"], room: int) -> Int[np.ndarray, " k"]:
    """Positions of at most `room` samples of each class (and without one), evenly spaced in stored order."""
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return np.sort(np.concatenate([_evenly(group, min(room, len(group))) for group in groups]))


def _evenly(group: Int[np.ndarray, " g"], count: int) -> Int[np.ndarray, " k"]:
    answer: Int[np.ndarray, " k"] = group[np.linspace(0, len(group) - 1, count).round().astype(int)]
    return answer


def _entry(point: Shown, gallery: Gallery, samples: Samples, room: int) -> dict[str, Any]:
    kept = _spread(gallery.label, room)
    thresholds = point.audit.thresholds
    columns = max(1, math.isqrt(len(kept) // 3))
    uri = "data:image/png;base64," + base64.b64encode(sprite(gallery, kept, columns)).decode()
    return {
        "k": point.audit.train_size,
        "delta_m": thresholds.memorized if thresholds else None,
        "delta_s": thresholds.spurious if thresholds else None,
        "width": gallery.sample.shape[3],
        "height": gallery.sample.shape[2],
        "columns": columns,
        "sprite": uri,
        "items": [_item(gallery, samples, int(position)) for position in kept],
    }


def _item(gallery: Gallery, samples: Samples, position: int) -> list[Any]:
    i = int(gallery.index[position])
    gray = float(samples.distance_sample[i])
    return [
        i,
        int(gallery.label[position]),
        float(f"{samples.distance_train[i]:.6g}"),
        int(samples.nearest_train[i]),
        None if math.isnan(gray) else float(f"{gray:.6g}"),
        int(samples.nearest_sample[i]),
    ]

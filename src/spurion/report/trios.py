"""The gallery of an audit: samples beside their nearest training image, nearest first, with lines between."""

__all__ = ["copied", "ranked"]

import base64
import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from spurion.audits.gallery import COPIED
from spurion.phases.classification import CLASSES
from spurion.report.evidence import Gallery, Samples
from spurion.report.gallery import sprite
from spurion.report.run import Shown
from spurion.statistics.numbers import p_words, percent, value

WIDEST = 96
"""Pixels of one image on the page; larger ones are shrunk."""


@dataclass(frozen=True)
class Trio:
    """A sample, its nearest training image and its nearest other sample, in one picture."""

    kind: str
    title: str
    notes: tuple[str, ...]
    alternative: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Line:
    """A distance drawn in between."""

    text: str
    distance: float


def ranked(run: Shown) -> list[Trio | Line]:
    """The stored samples by distance to the training set, with thresholds and the held-out quantile."""
    if run.gallery is None or run.samples is None:
        return []
    distances = run.samples.distance_train[run.gallery.index]
    items: list[tuple[float, int, Trio | Line]] = [
        (float(distances[place]), 0, _trio(run, run.gallery, run.samples, place))
        for place in range(len(run.gallery))
    ]
    items += [(line.distance, 1, line) for line in _lines(run)]
    return [item for _, _, item in sorted(items, key=lambda item: item[:2])]


def copied(run: Shown) -> list[Trio]:
    """The most copied training images, each beside the nearest of its copies."""
    if run.gallery is None or run.samples is None:
        return []
    first = {index: group[0] for group in run.audit.train_duplicates for index in group}
    places: dict[int, int] = {}
    for place in run.samples.distance_train[run.gallery.index].argsort(kind="stable").tolist():
        image = int(run.samples.nearest_train[run.gallery.index[place]])
        places.setdefault(first.get(image, image), place)
    shown = [image for image in run.audit.exposure[:COPIED] if image.train_index in places]
    return [
        _trio(run, run.gallery, run.samples, places[image.train_index], f"{image.count:,} copies")
        for image in shown
    ]


def _lines(run: Shown) -> list[Line]:
    found, limits, quantile = [], run.audit.thresholds, run.audit.holdout_thresholds
    if limits is not None and limits.memorized is not None:
        text = f"δm = {value(limits.memorized)}: up to here samples are called memorized ({limits.rule})"
        found.append(Line(text, limits.memorized))
    if quantile is not None and quantile.memorized is not None:
        alpha = float(quantile.rule.partition(":")[2])
        text = f"{value(quantile.memorized)}: only {percent(alpha)} of held-out images come this near"
        found.append(Line(text, quantile.memorized))
    return found


def _trio(run: Shown, gallery: Gallery, samples: Samples, place: int, title: str = "") -> Trio:
    index, label = int(gallery.index[place]), int(gallery.label[place])
    kind = CLASSES[label] if label >= 0 else ""
    image = int(samples.nearest_train[index])
    names = {exposed.train_index: exposed.name for exposed in run.audit.exposure}
    called = f"training image {image} {names.get(image) or ''}".strip()
    picture = _shrunk(sprite(gallery, np.array([place]), 1))
    width, height = picture.size
    return Trio(
        kind=kind,
        title=title or run.audit.class_names.get(kind) or "not classified",
        notes=(
            f"sample {index}",
            f"{called}, distance {value(float(samples.distance_train[index]))}{_p(samples, index)}",
            f"sample {int(samples.nearest_sample[index])}, distance "
            f"{value(float(samples.distance_sample[index]))}",
        ),
        alternative=f"Sample {index}, its nearest {called}, and its nearest other sample.",
        uri=_uri(picture),
        width=width,
        height=height,
    )


def _p(samples: Samples, index: int) -> str:
    p = float(samples.p_value[index])
    return "" if math.isnan(p) else f", {p_words(p)}"


def _shrunk(png: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(png))
    ratio = min(1.0, 3 * WIDEST / picture.width)
    return picture.resize(
        (max(1, round(picture.width * ratio)), max(1, round(picture.height * ratio))), Image.Resampling.BOX
    )


def _uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

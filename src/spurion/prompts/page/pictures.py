"""Prompts with their images: samples of several seeds beside the training image, tokens by their weight."""

__all__ = ["prompt_cards"]

import base64
import io
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from spurion.core.text import printable
from spurion.prompts.page.stored import PromptsRun, Shown
from spurion.prompts.results import PromptReading
from spurion.statistics.numbers import decimals, percent

HEIGHT = 96
"""Pixels of the page that an image is high, at least."""

GAP = 2
"""Pixels of white between the samples of one prompt, once enlarged."""

SHADES = 5
"""Shades of tokens, from hardly any weight to the most."""


def prompt_cards(run: PromptsRun) -> list[dict[str, Any]]:
    """What the template of prompts is given: one entry for each that has images, in order of rank."""
    place = {id(one): i for i, one in enumerate(run.result.ranked, start=1)}
    shown = sorted(run.shown, key=lambda one: place[id(one.reading)])
    return [_card(one, place[id(one.reading)]) for one in shown]


def _card(shown: Shown, place: int) -> dict[str, Any]:
    reading = shown.reading
    known = reading.answered
    kind = known.outcome if known is not None else reading.label or ""
    caption = "image not trained on" if reading.copies == 0 else "training image"
    pictures = [] if shown.image is None else [_picture(shown.image[None], caption)]
    count = len(shown.samples)
    seeds = "a sample" if count == 1 else f"samples of {count} seeds"
    return {
        "place": place,
        "prompt": printable(reading.prompt),
        "kind": "" if kind == "other" else kind,
        "about": _about(reading),
        "pictures": [*pictures, _picture(shown.samples, seeds)],
        "tokens": _shades(reading),
    }


def _about(reading: PromptReading) -> str:
    words = [f"mean rank {decimals(1)(reading.rank)}"]
    words += [f"labeled {reading.label}"] if reading.label else []
    words += [reading.part] if reading.part else []
    if reading.copies is not None:
        often = {0: "not in the training set", 1: "once in the training set"}
        words.append(often.get(reading.copies, f"{reading.copies} times in the training set"))
    if (known := reading.answered) is not None:
        words.append(f"samples: {known.outcome}, {percent(known.training)} copies")
        words += [] if known.repeated is None else [f"{percent(known.repeated)} come again"]
    return "; ".join(words)


def _shades(reading: PromptReading) -> list[tuple[str, int]]:
    most = max((abs(weight) for _, weight in reading.tokens), default=0.0)
    return [
        (printable(token), round(SHADES * abs(weight) / most) if most else 0)
        for token, weight in reading.tokens
    ]


def _picture(images: UInt8[np.ndarray, "m C h w"], caption: str) -> dict[str, Any]:
    """Images side by side as a PNG; small ones are enlarged by a whole factor when they are shown."""
    count, channels, height, width = images.shape
    scale = max(1, -(-HEIGHT // height))
    row = np.full((height * scale, count * (width * scale + GAP) - GAP, channels), 255, dtype=np.uint8)
    for k, image in enumerate(images):
        large = image.transpose(1, 2, 0).repeat(scale, axis=0).repeat(scale, axis=1)
        left = k * (width * scale + GAP)
        row[:, left : left + width * scale] = large
    buffer = io.BytesIO()
    Image.fromarray(row[..., 0] if channels == 1 else row).save(buffer, "PNG", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return {"uri": uri, "width": row.shape[1], "height": row.shape[0], "caption": caption}

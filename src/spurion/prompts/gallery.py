"""Images of an examination for its page: samples of several seeds beside the training image."""

__all__ = ["GALLERY_FILE", "chosen", "write_gallery"]

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from spurion.core.tensors import save_arrays
from spurion.prompts.results import PromptReading

GALLERY_FILE = "gallery.npz"

FIRST = 12
"""Prompts shown that rank first."""

OTHERS = 3
"""Prompts shown of every label and part beside them."""

LARGEST = 128
"""Pixels of the longer side of an image that is shown; larger ones are averaged."""


def chosen(prompts: Sequence[PromptReading]) -> list[int]:
    """Which prompts are shown: those that rank first, and some of every label and part, evenly spaced."""
    order = sorted(range(len(prompts)), key=lambda i: prompts[i].rank)
    found = dict.fromkeys(order[:FIRST])
    kinds = sorted({(one.label or "", one.part) for one in prompts})
    for kind in kinds if len(kinds) > 1 else ():
        members = [i for i in order if (prompts[i].label or "", prompts[i].part) == kind]
        places = np.linspace(0, len(members) - 1, min(OTHERS, len(members))).round().astype(int)
        found |= dict.fromkeys(members[place] for place in places)
    return list(found)


def write_gallery(
    path: Path,
    index: Sequence[int],
    samples: Sequence[Float[Tensor, "m C H W"]],
    images: Sequence[Float[Tensor, "C H W"] | None],
) -> None:
    """Write them as 8-bit images.

    Arguments:
        path: The `.npz` to write: `index`, `samples` with shape (g, m, C, h, w), `image` with shape
            (g, C, h, w), black where none is known, and `known`.
        index: The prompts, in the order of the table.
        samples: The samples of each, in [-1, 1].
        images: A training image of each, or None.
    """
    black = -torch.ones_like(samples[0][0])
    shown = torch.stack([black if image is None else image for image in images])
    arrays = {
        "index": np.array(index),
        "samples": np.stack([_to_8_bit(one) for one in samples]),
        "image": _to_8_bit(shown),
        "known": np.array([image is not None for image in images], dtype=np.uint8),
    }
    save_arrays(path, arrays)


def _to_8_bit(images: Float[Tensor, "n C H W"]) -> np.ndarray:
    height, width = images.shape[-2:]
    if max(height, width) > LARGEST:
        ratio = LARGEST / max(height, width)
        images = adaptive_avg_pool2d(images, (max(1, round(height * ratio)), max(1, round(width * ratio))))
    return (images.clamp(-1, 1) + 1).mul(127.5).round().to(torch.uint8).numpy()

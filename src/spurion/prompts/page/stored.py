"""The folder of an examination or of a study of prompts, read back whole."""

__all__ = ["PromptsRun", "Shown", "read_prompts"]

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from spurion.core.store import Store
from spurion.prompts.gallery import GALLERY_FILE
from spurion.prompts.results import Comparison, PromptReading, PromptsResult
from spurion.report.run import REMEDY
from spurion.report.stored import read_arrays, read_stored

FILES = ("study.json", "prompts.json")


@dataclass(frozen=True)
class Shown:
    """Images of one prompt.

    Attributes:
        reading: The prompt.
        samples: Samples of its seeds, with shape (m, C, h, w).
        image: Its training image, with shape (C, h, w); None where none is known.
    """

    reading: PromptReading
    samples: UInt8[np.ndarray, "m C h w"]
    image: UInt8[np.ndarray, "C h w"] | None


@dataclass(frozen=True)
class PromptsRun:
    """What a page shows.

    Attributes:
        result: The result.
        shown: Prompts with images, in the order in which they are shown.
    """

    result: PromptsResult
    shown: tuple[Shown, ...]

    @cached_property
    def judged(self) -> dict[str, Comparison]:
        """How each detector tells memorized from generalized prompts."""
        found = self.result.comparisons
        return {one.detector: one for one in found if (one.higher, one.lower) == ("memorized", "generalized")}

    def oriented(self, detector: str, label: str) -> list[float]:
        """The values of a detector at prompts of a label, higher for what it takes for memorized."""
        sign = next(1 if one.higher else -1 for one in self.result.detectors if one.name == detector)
        values = [one.values.get(detector) for one in self.result.prompts if one.label == label]
        return [sign * value for value in values if value is not None]


def read_prompts(folder: Path) -> PromptsRun:
    """Read a folder.

    Raises:
        ValueError: If a file is missing or damaged; the sentence names it.
    """
    path = next((folder / name for name in FILES if (folder / name).is_file()), folder / FILES[-1])
    result = read_stored(PromptsResult, path, "an examination of prompts")
    Store(folder, path.stem).check(REMEDY)
    return PromptsRun(result, tuple(_shown(folder / GALLERY_FILE, result)))


def _shown(path: Path, result: PromptsResult) -> list[Shown]:
    if not path.is_file():
        return []
    arrays = read_arrays(path, ("index", "samples", "image", "known"))
    index, samples, images, known = (arrays[name] for name in ("index", "samples", "image", "known"))
    count = len(index)
    whole = (
        index.shape == known.shape == (count,)
        and samples.ndim == 5
        and samples.dtype == images.dtype == np.uint8
        and images.shape == (count, *samples.shape[2:])
        and samples.shape[0] == count
        and samples.shape[2] in (1, 3)
        and min(samples.shape) > 0
        and index.dtype.kind == "i"
        and all(0 <= i < len(result.prompts) for i in index.tolist())
    )
    if not whole:
        raise ValueError(f"{path} is damaged (its arrays do not fit the result).")
    return [
        Shown(result.prompts[i], samples[k], images[k] if known[k] else None)
        for k, i in enumerate(index.tolist())
    ]

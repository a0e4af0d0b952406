"""The distances of all samples to training images: prompts together, for a search is fast for many at once.

What was found is kept for each prompt and all images together in a file of its own.
"""

__all__ = ["Known", "distances_of", "known_images"]

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float32
from torch import Tensor

from spurion.core.progress import Progress, silent
from spurion.core.store import KeyedFile
from spurion.core.tensors import Damaged, tell
from spurion.data import ImageSet
from spurion.neighbors import Distance
from spurion.prompts.nearness import Distances, measure_distances
from spurion.prompts.pipeline import TextPipeline
from spurion.prompts.readings import Examiner
from spurion.prompts.table import Entry, read_images

OF_PROMPTS = "training images of the prompts"

AT_ONCE = 64
"""Prompts whose samples are decoded and looked up together."""


@dataclass(frozen=True)
class Known:
    """The training images that are known.

    Attributes:
        images: All of them.
        own: Of each prompt the places of its own, in `own_images`.
        trained: Whether they are training images: not those of a prompt with no copies.
        own_images: The images of all prompts; None where no prompt has one.
        sha256: Hash of both.
    """

    images: ImageSet
    own: tuple[tuple[int, ...], ...]
    trained: tuple[bool, ...]
    own_images: Float32[Tensor, "o C H W"] | None
    sha256: str

    def of(self, index: int) -> Float32[Tensor, "o C H W"] | None:
        """The training images of a prompt; None where none is known."""
        places = self.own[index]
        return None if self.own_images is None or not places else self.own_images[list(places)]


def known_images(entries: Sequence[Entry], train: ImageSet | None, shape: tuple[int, ...]) -> Known | None:
    """The training images that are known: those given, or those of the prompts; None without any.

    Arguments:
        entries: The prompts.
        train: The training images, if they were given.
        shape: The shape (C, H, W) of the model's images.

    Raises:
        ValueError: If images are not of this shape, or one of a prompt cannot be read.
    """
    if train is not None and tuple(train.shape) != tuple(shape):
        raise ValueError(
            f"`train` must hold images of the model's shape {tuple(shape)}, got {tuple(train.shape)}; "
            "`--resize` brings them to its size."
        )
    paths = list(dict.fromkeys(path for entry in entries for path in entry.images))
    place = {path: i for i, path in enumerate(paths)}
    own = tuple(tuple(place[path] for path in entry.images) for entry in entries)
    trained = tuple(entry.copies != 0 for entry in entries)
    mine = ImageSet(read_images(paths, shape).contiguous(), name=OF_PROMPTS) if paths else None
    if train is None and mine is not None:
        kept = sorted({i for places, held in zip(own, trained, strict=True) if held for i in places})
        train = ImageSet(mine.images[kept].contiguous(), name=OF_PROMPTS) if kept else None
    if train is None:
        return None
    digest = train.sha256 + ("" if mine is None else mine.sha256)
    return Known(train, own, trained, None if mine is None else mine.images, digest)


def distances_of(
    pipeline: TextPipeline,
    examiner: Examiner,
    entries: Sequence[Entry],
    known: Known,
    distance: Distance,
    *,
    folder: Path,
    progress: Progress = silent,
) -> list[Distances]:
    """The distances of the samples of every prompt.

    Arguments:
        pipeline: The model.
        examiner: What has their samples.
        entries: The prompts.
        known: The training images.
        distance: The distance.
        folder: Where they are kept.
        progress: Called with the number of prompts done, and of all.

    Raises:
        ValueError: If a file of the folder is of another examination.
        OSError: If the folder cannot be written or the disk is full.
    """
    found: list[Distances] = []
    for first in range(0, len(entries), AT_ONCE):
        places = range(first, min(first + AT_ONCE, len(entries)))
        found += _of_some(pipeline, examiner, entries, places, known, distance, folder)
        progress(len(found), len(entries))
    return found


def _of_some(
    pipeline: TextPipeline,
    examiner: Examiner,
    entries: Sequence[Entry],
    places: range,
    known: Known,
    distance: Distance,
    folder: Path,
) -> Iterator[Distances]:
    keys = [_key(examiner, entries[i].prompt, known, i, distance) for i in places]
    files = [_file(folder, key) for key in keys]
    stored = [_stored(file, key) for file, key in zip(files, keys, strict=True)]
    missing = [k for k, one in enumerate(stored) if one is None]
    if missing:
        samples = [pipeline.decode(examiner.read(entries[places[k]].prompt).samples) for k in missing]
        own = [known.of(places[k]) for k in missing]
        held = [known.trained[places[k]] for k in missing]
        new = measure_distances(samples, own, held, known.images.images, distance)
        for k, one in zip(missing, new, strict=True):
            files[k].save(one._asdict(), keys[k])
            stored[k] = one
    return (one for one in stored if one is not None)


def _file(folder: Path, key: dict[str, Any]) -> KeyedFile:
    """A file named by all that decides it, for a table may come again with other images."""
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
    another = "holds distances to other training images or of another model"
    return KeyedFile(folder / f"{name}.safetensors", "distances", another, "choose another `--out`")


def _key(examiner: Examiner, prompt: str, known: Known, index: int, distance: Distance) -> dict[str, Any]:
    return {
        **examiner.key(prompt),
        "images": known.sha256,
        "own": [*known.own[index], known.trained[index]],
        "distance": distance.info.model_dump(mode="json"),
    }


def _stored(file: KeyedFile, key: dict[str, Any]) -> Distances | None:
    try:
        return file.load(key, lambda tensors, _: Distances(**tensors))
    except Damaged as error:
        tell(error, "its distances are computed again")
        return None

"""The door of examinations from Python: arguments checked, model and prompts opened, the folder held."""

__all__ = ["PROMPT_KINDS", "examine"]

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, cast, get_args

import torch

from spurion.core.arguments import FLAG, Kind, check_arguments, check_choice, optional
from spurion.core.config import Config, build_config
from spurion.core.progress import Progress, silent
from spurion.data import open_images
from spurion.diffusion.device import DeviceName, choose_device
from spurion.neighbors import Distance, as_distance
from spurion.prompts.config import PromptsConfig
from spurion.prompts.detectors import DETECTORS
from spurion.prompts.examination import Examination, write_result
from spurion.prompts.pipeline import TextPipeline, load_pipeline
from spurion.prompts.results import PromptsResult
from spurion.prompts.table import PromptTable, as_table
from spurion.studies.folder import RunFolder

PROMPT_KINDS: dict[str, Kind] = {
    "model": (str | os.PathLike | TextPipeline, "the path of a folder or a TextPipeline"),
    "prompts": (str | os.PathLike | PromptTable | list | tuple, "a file or a list of texts"),
    "out": (str | os.PathLike | None, "the path of a folder"),
    "detectors": (list | tuple | None, "a list of names of detectors"),
    "seeds": (Integral, "a whole number"),
    "seed": (Integral, "a whole number"),
    "steps": (Integral, "a whole number"),
    "guidance": (Real, "a number"),
    "negative": (str, "a text"),
    "geometry": (Integral, "a whole number"),
    "distance": (str | Distance, "a distance or the name of one"),
    "resize": optional((Integral, "a whole number")),
    "device": (str, 'a text such as "cpu"'),
    "half": FLAG,
    "allow_download": FLAG,
    "progress": (Callable, "a function"),
}
"""What the arguments of an examination must be."""


class _Claimed(Config):
    """What a folder is for; the table and its labels may change."""

    kind: Literal["examination"] = "examination"
    model_sha256: str
    half: bool
    examination: PromptsConfig


def examine(
    model: str | os.PathLike[str] | TextPipeline,
    prompts: str | os.PathLike[str] | PromptTable | Sequence[str],
    train: Any = None,
    *,
    out: Path | str | None = None,
    detectors: Sequence[str] | None = None,
    seeds: int = 4,
    seed: int = 0,
    steps: int = 50,
    guidance: float = 7.5,
    negative: str = "",
    geometry: int = 0,
    distance: str | Distance = "l2",
    resize: int | None = None,
    device: str = "auto",
    half: bool = False,
    allow_download: bool = False,
    progress: Progress = silent,
) -> PromptsResult:
    """Examine which prompts a text-to-image model knows by heart.

    Arguments:
        model: A pipeline, or its folder as `load_pipeline` opens it.
        prompts: A list of texts, or a CSV file; see `spurion.prompts.table`.
        train: The training images, as any source of `spurion.data`; those of the table if not given.
        out: The folder for `prompts.json`, `prompts.csv`, `gallery.npz` and the readings, from which a
            stopped examination goes on; None to keep nothing.
        detectors: Names in `DETECTORS`; all of them if not given.
        seeds: Initial noises of each prompt.
        seed: The seed of all of them.
        steps: Denoiser calls of a sample.
        guidance: The guidance of samples.
        negative: The negative prompt of samples.
        geometry: Prompts of each class at which the curvature is read.
        distance: The distance of copies and repetitions.
        resize: Crop and resize training images to this height and width.
        device: Where to compute ("auto", "cpu", "cuda", "mps"); for a folder only.
        half: Whether the network computes in half precision; for a folder only.
        allow_download: Whether a source of training images may be downloaded.
        progress: Called with the stage and how far it is.

    Returns:
        What `prompts.json` holds.

    Raises:
        ValueError: If an argument is wrong, the model or the prompts cannot be read, `transformers` is
            missing, or `out` holds something else.
        OSError: If the folder cannot be written or the disk is full.
    """
    check_arguments(locals(), PROMPT_KINDS)
    metric = as_distance(distance)
    values = {
        "detectors": tuple(DETECTORS if detectors is None else detectors),
        "seeds": seeds,
        "seed": seed,
        "steps": steps,
        "guidance": guidance,
        "negative": negative,
        "geometry": geometry,
        "distance": metric.info.name,
    }
    config = build_config(PromptsConfig, values, "prompts")
    table = as_table(prompts)
    images = None if train is None else open_images(train, allow_download=allow_download, resize=resize)
    if not isinstance(model, TextPipeline):
        model = load_pipeline(Path(model), device=_device(device), half=half)
    parts = Examination(model, table, images, config, metric, Path(), progress)
    if out is None:
        with TemporaryDirectory() as temporary:
            return replace(parts, folder=Path(temporary)).result()
    folder = RunFolder(out)
    claimed = _Claimed(
        model_sha256=model.folder_hash,
        half=model.question.network.dtype != torch.float32,
        examination=config.model_copy(update={"geometry": 0}),
    )
    with folder.opened(claimed):
        result = replace(parts, folder=folder.root).result()
        write_result(folder.root, result)
    return result


def _device(name: str) -> torch.device:
    check_choice("device", name, get_args(DeviceName))
    return choose_device(cast(DeviceName, name))

"""The two studies of prompts: a model trained here whose truth is known, and the paper's case study.

::

    RUN/planted/                 the model, its training list and its prompts (the first study)
    RUN/readings/  gallery.npz   see `spurion.prompts.examination`
    RUN/prompts.csv  study.json
"""

__all__ = ["prompts_study", "stable_diffusion_study"]

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from spurion.core.config import build_config
from spurion.core.engine import available_cores
from spurion.core.progress import Progress, silent
from spurion.data import DATASETS, ImageSet
from spurion.diffusion.device import DeviceName, choose_device
from spurion.diffusion.steps import LOG
from spurion.neighbors import as_distance
from spurion.phases.rules import ThresholdInfo
from spurion.prompts.config import PromptsConfig
from spurion.prompts.examination import Examination, write_result
from spurion.prompts.pipeline import TextPipeline, load_pipeline
from spurion.prompts.results import PromptsResult, Training
from spurion.prompts.study.config import PromptsStudyConfig, prompts_config
from spurion.prompts.study.mitigated import mitigated
from spurion.prompts.study.stable_diffusion import StableDiffusionStudyConfig, stable_diffusion_config
from spurion.prompts.study.training import Planted, train_planted
from spurion.prompts.table import read_table
from spurion.report.stored import read_loss
from spurion.studies.folder import RunFolder

PLANTED = "planted"
RESULT_FILE = "study.json"


def prompts_study(
    what: str | Path | PromptsStudyConfig = "prompts",
    *,
    out: Path | str,
    overrides: Sequence[str] = (),
    device: str | None = None,
    workers: int | None = None,
    report: Progress = silent,
) -> PromptsResult:
    """Train a small model that knows some prompts by heart, and examine it; or go on with that.

    Arguments:
        what: "prompts", a YAML file, or a configuration.
        out: The run folder.
        overrides: Fields to set, as ``a.b=value``.
        device: Where to compute ("auto", "cpu", "cuda", "mps").
        workers: Processes that read prompts; by default one for each core of a CPU, else one. Changes no
            result.
        report: Called with the progress of each part.

    Returns:
        What `study.json` holds.

    Raises:
        ValueError: If the configuration is wrong, `out` holds another study, or `transformers` is missing.
        TrainingDiverged: If the loss becomes NaN or infinite.
        OSError: If the folder cannot be written or the disk is full.
    """
    config = prompts_config(what, overrides)
    folder, progress = RunFolder(out), partial(report, "")
    with folder.opened(config), _one_thread():
        planted = train_planted(config, folder.root / PLANTED, partial(progress, "train"), device=device)
        pipeline = load_pipeline(planted.model, device=_device(device or config.training.device))
        examination = Examination(
            pipeline=pipeline,
            table=read_table(planted.table),
            train=ImageSet(planted.planting.trained, config.data, rights=DATASETS[config.data].rights),
            config=_examined(config),
            distance=as_distance("l2"),
            folder=folder.root,
            progress=progress,
        )
        examination.read_apart(_workers(workers, pipeline), report)
        result = examination.result(partial(_truth, config, planted, examination))
        write_result(folder.root, result, RESULT_FILE)
    return result


def stable_diffusion_study(
    what: str | Path | StableDiffusionStudyConfig = "stable-diffusion",
    *,
    out: Path | str,
    overrides: Sequence[str] = (),
    device: str | None = None,
    report: Progress = silent,
) -> PromptsResult:
    """Examine a Stable Diffusion at the prompts of the paper; arguments as for `prompts_study`.

    Raises:
        ValueError: If the configuration is wrong, the model cannot be opened, `out` holds another study, or
            `transformers` is missing.
        OSError: If the folder cannot be written or the disk is full.
    """
    config = stable_diffusion_config(what, overrides)
    folder = RunFolder(out)
    with folder.opened(config):
        pipeline = load_pipeline(config.model, device=_device(device or "auto"), half=config.half)
        examination = Examination(
            pipeline=pipeline,
            table=read_table(config.table),
            train=None,
            config=_examined(config),
            distance=as_distance("l2"),
            folder=folder.root,
            progress=partial(report, ""),
        )
        result = examination.result(lambda _: {"name": config.name, "kind": "study"})
        write_result(folder.root, result, RESULT_FILE)
    return result


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread of torch, the same on every machine, for their number can change the last digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _workers(asked: int | None, pipeline: TextPipeline) -> int:
    if asked is not None and asked < 1:
        raise ValueError(f"`workers` must be at least 1, got {asked}.")
    return asked or (available_cores() if pipeline.device.type == "cpu" else 1)


def _device(name: str) -> torch.device:
    return choose_device(cast(DeviceName, name))


def _examined(config: PromptsStudyConfig | StableDiffusionStudyConfig) -> PromptsConfig:
    values = {name: getattr(config, name) for name in ("seeds", "seed", "steps", "guidance", "geometry")}
    return build_config(PromptsConfig, values)


def _truth(
    config: PromptsStudyConfig, planted: Planted, examination: Examination, thresholds: ThresholdInfo | None
) -> dict[str, Any]:
    """What a study has beside an examination: its training, and what mitigation does."""
    training = _training(config, planted, examination.pipeline)
    known: dict[str, Any] = {"name": config.name, "kind": "study", "training": training}
    planting = planted.planting
    most = planting.prompts_of(f"planted-{max(config.counts.planted, default=0)}")
    if not most or thresholds is None or thresholds.memorized is None:
        return known
    found, accuracy = mitigated(
        examination.pipeline, planting, most, examination.config, thresholds.memorized, examination.distance,
        progress=partial(examination.progress, "mitigate"),
    )  # fmt: skip
    classifier = training.model_copy(update={"classifier": accuracy})
    return {**known, "training": classifier, "mitigation": found}


def _training(config: PromptsStudyConfig, planted: Planted, pipeline: TextPipeline) -> Training:
    parts = {"U-Net": pipeline.question.network, "autoencoder": pipeline.autoencoder.network}
    parts["text encoder"] = pipeline.encoders.networks[0]
    losses = read_loss(planted.model.parent / LOG)
    return Training(
        parameters={name: sum(p.numel() for p in network.parameters()) for name, network in parts.items()},
        steps=config.training.steps,
        images=len(planted.planting.pairs),
        loss=losses[-1][1] if losses else None,
    )

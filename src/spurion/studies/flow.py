"""Where the samples of one training size flow; stored in the point's folder, and not computed twice."""

__all__ = ["flow_point"]

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from spurion.audits.classes import labels_of
from spurion.audits.measurement import load_measurement
from spurion.core.failures import FAILURES, one_sentence, raise_if_refused
from spurion.core.progress import Progress
from spurion.core.random import derive_seed
from spurion.core.store import Store
from spurion.core.tensors import load_arrays, save_arrays
from spurion.diffusion.device import choose_device
from spurion.diffusion.finite import check_answers
from spurion.diffusion.folder import folder_hash, load_denoiser
from spurion.geometry.groups.flow import NO_THRESHOLD, FlowConfig, SampleFlow, not_followed, sample_flow
from spurion.studies.folder import timed, vectors_of
from spurion.studies.point import PointTask, concluded_from, load_samples, point_data

Found = tuple[SampleFlow | None, Int64[Tensor, " n"] | None, tuple[str, ...]]


def flow_point(task: PointTask, report: Progress) -> Found:
    """Follow the samples and training images of one training size; write `flow.json` and `flow.npz`.

    Returns:
        The result, where each sample ends, and notes: neither of the first two without a threshold of copies,
        or where the model or the distance fails, with a note that says why; nothing where it was not asked.

    Raises:
        OSError: If the disk is full or cannot be written.
    """
    config, thresholds, folder = task.config.flow, task.thresholds, task.folder
    if config is None:
        return None, None, ()
    if thresholds is None or thresholds.memorized is None:
        return None, None, (NO_THRESHOLD,)
    stored, ends, store = folder / "flow.json", folder / "flow.npz", Store(folder, "flow")
    labels = labels_of(load_measurement(task.measurement_file), thresholds)
    asked = {
        "config": config.model_dump(mode="json"),
        "delta": thresholds.memorized,
        "classes": None if labels is None else hashlib.sha256(labels.numpy().tobytes()).hexdigest(),
        "model": folder_hash(folder / "model"),
    }
    key = concluded_from(folder)
    known = store.recall(stored, _parsed, ends, key=key)
    if known is not None and known[0] == asked:
        return known[1], _read(ends), ()
    store.remove(stored)
    try:
        with timed(folder, "flow"):
            result, where = _followed(task, config, thresholds.memorized, labels, report)
    except FAILURES as error:
        raise_if_refused(error, folder)
        return None, None, (not_followed(one_sentence(error)),)
    save_arrays(ends, {"destination": where.numpy().astype(np.int8)})
    store.keep(stored, {"key": asked, "result": result.model_dump(mode="json")}, ends, key=key)
    return result, where, ()


def _followed(
    task: PointTask, config: FlowConfig, delta: float, labels: Tensor | None, report: Progress
) -> tuple[SampleFlow, Int64[Tensor, " n"]]:
    pool, _ = point_data(task.config, task.allow_download)
    denoiser = load_denoiser(task.folder / "model", device=choose_device(task.config.training.device))
    check_answers(denoiser)
    return sample_flow(
        denoiser,
        load_samples(task.folder / "samples.npz"),
        labels,
        pool.images[: task.train_size],
        delta,
        config,
        distance=task.config.load_distance(task.allow_download).kept(vectors_of(task.folder)),
        seed=derive_seed(task.seed, "flow"),
        progress=lambda *told: report(task.name, *told),
    )


def _parsed(values: Any) -> tuple[Any, SampleFlow]:
    """What a stored flow was asked for, and the result."""
    return values["key"], SampleFlow.model_validate(values["result"])


def _read(path: Path) -> Int64[Tensor, " n"]:
    return torch.from_numpy(load_arrays(path, "destination")["destination"].astype(np.int64))

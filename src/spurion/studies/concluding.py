"""The end of a training size: the audit of its samples, when the thresholds of the study are known."""

__all__ = ["conclude_point"]

import json
from pathlib import Path

from spurion.audits.beyond import p_values
from spurion.audits.checks import checked
from spurion.audits.classes import AuditRules, labels_of
from spurion.audits.conclusion import conclude
from spurion.audits.ground import all_shares
from spurion.audits.measurement import load_measurement
from spurion.audits.request import Request
from spurion.audits.results import ModelInfo
from spurion.audits.written import (
    evidence_columns,
    flow_column,
    gallery_indices,
    write_gallery,
    write_samples_csv,
)
from spurion.core.progress import Progress, silent
from spurion.core.random import derive_seed
from spurion.core.store import Store
from spurion.core.tensors import save_arrays
from spurion.diffusion.folder import folder_hash
from spurion.studies.flow import flow_point
from spurion.studies.folder import stage_seconds, timed, vectors_of
from spurion.studies.point import PointTask, concluded_from, load_samples, parameter_count, point_images
from spurion.studies.results import Point, TrainingSummary


def conclude_point(task: PointTask, report: Progress) -> Point:
    """Classify the samples of one training size and write `samples.csv`, `gallery.npz` and `point.json`."""
    config, ground = task.config, task.ground
    if ground is None:
        raise ValueError("`ground` must be known before a point is concluded.")
    thresholds = ground.thresholds
    store, stored = Store(task.folder, "conclude"), task.folder / "point.json"
    key = concluded_from(task.folder)
    beside = (task.folder / "samples.csv", task.folder / "gallery.npz", task.folder / "replicates.npz")
    flow, ends, notes = flow_point(task, report)
    known = store.recall(stored, Point.model_validate, *beside, key=key)
    done = None if known is None else known.audit
    if known is not None and done is not None and (done.thresholds, done.flow) == (thresholds, flow):
        return known.model_copy(update={"audit": checked(done)})
    store.remove(stored)
    measurement = load_measurement(task.measurement_file)
    images = point_images(task, load_samples(task.folder / "samples.npz"))
    with timed(task.folder, "conclude"):
        request = _request(task)
        shares = all_shares(measurement, ground, seed=derive_seed(request.seed, "shares"))
        model = _model(task)
        audit = conclude(request, images, measurement, ground, shares, model=model, flow=flow, notes=notes)
        labels = labels_of(measurement, thresholds)
        p = p_values(measurement, ground, request.distance)
        more = evidence_columns(measurement, thresholds, p, audit.listed)
        write_samples_csv(beside[0], measurement, labels, {**more, **flow_column(ends)})
        shown = gallery_indices(measurement.distance_train, labels, config.gallery)
        write_gallery(beside[1], measurement, labels, images.samples.images, images.train.images, shown)
        save_arrays(beside[2], shares.arrays())
    result = Point(
        train_size=task.train_size,
        sample_size=task.sample_size,
        training=_training_summary(task.folder),
        audit=audit,
        seconds=stage_seconds(task.folder),
    )
    store.keep(stored, result.model_dump(mode="json", by_alias=True), *beside, key=key)
    report(task.name, "conclude", 1, 1)
    return result


def _request(task: PointTask) -> Request:
    """What a study asks of the audit of a point."""
    config, seed = task.config, derive_seed(task.seed, "conclude")
    return Request(
        rule=config.thresholds,
        condition=None,
        distance=config.load_distance(task.allow_download).kept(vectors_of(task.folder)),
        transforms=(),
        seed=seed,
        resize=config.data.resize,
        value_range=config.data.value_range,
        clip=config.data.clip,
        points=0,
        redact=False,
        progress=silent,
        rules=AuditRules(
            holdout_alpha=config.holdout_alpha,
            ratio_memorized=config.ratio.memorized,
            ratio_spurious=config.ratio.spurious,
        ),
    )


def _model(task: PointTask) -> ModelInfo:
    return ModelInfo(
        name=task.name,
        sha256=folder_hash(task.folder / "model"),
        sampler=task.config.sampler.model_dump(mode="json"),
        seed=derive_seed(task.seed, "sample"),
    )


def _training_summary(folder: Path) -> TrainingSummary | None:
    log = folder / "training.jsonl"
    if not log.exists():
        return None
    last = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    return TrainingSummary(
        iterations=last["step"], final_loss=last["loss"], parameters=parameter_count(folder / "model")
    )

"""From distances to everything that is said of a set of samples; made here alone, for audits and studies.

`measure` finds distances; it is the long half, and knows no threshold. `conclude` takes thresholds and turns
distances into classes and all that follows from them, and last into claims. A study pools the distances of
all its training sizes between the halves; `spurion.audit` does both for one set.
"""

__all__ = ["conclude"]

import re
from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from spurion.audits.beyond import beyond_honest
from spurion.audits.checks import checked
from spurion.audits.classes import classified, labels_of
from spurion.audits.copies import copies, transformed_copies
from spurion.audits.findings import Findings, SourceInfo
from spurion.audits.ground import AllShares, Ground
from spurion.audits.histograms import histograms
from spurion.audits.measurement import Measurement
from spurion.audits.metrics import metrics, missed
from spurion.audits.mistakes import mistakes
from spurion.audits.readings import readings
from spurion.audits.request import Request
from spurion.audits.results import AuditResult, Inputs, ModelInfo
from spurion.audits.signs import signs_and_separation
from spurion.audits.sources import Images
from spurion.audits.verdict import verdict
from spurion.neighbors import DistanceInfo
from spurion.phases.contrast import contrast


def conclude(
    request: Request,
    images: Images,
    found: Measurement,
    ground: Ground,
    shares: AllShares,
    *,
    model: ModelInfo | None = None,
    environment: dict[str, Any] | None = None,
    by: Sequence[str] | None = None,
    **more: Any,
) -> AuditResult:
    """Everything that follows from distances and thresholds.

    Arguments:
        request: What was asked.
        images: The sets.
        found: Their distances.
        ground: The thresholds of the main rule, and what they hang on.
        shares: The class shares of the samples.
        model: The model that drew the samples, or was measured.
        environment: Versions and hardware; None within a study.
        by: The transform that brings each sample nearest; None if none were looked at.
        more: Fields of an `AuditResult` that were found elsewhere: its geometry, notes to be added.

    Raises:
        ValueError: If another distance was measured.
    """
    distance, search, seed = request.distance, request.search, request.seed
    thresholds = ground.thresholds
    labels, radius = labels_of(found, thresholds), thresholds.memorized
    findings = classified(
        found, ground, images.samples.images, request.rules, shares=shares, distance=distance, seed=seed
    )
    controls = _controls(findings, request, images.train.images)
    signs, separation, gaps = signs_and_separation(images, found, radius, distance, search, seed=seed)
    result = AuditResult(
        **dict(findings)
        | {"notes": (*findings.notes, *more.pop("notes", ()), *readings(images)), "controls": controls},
        redacted=request.redact,
        inputs=inputs(images, request),
        model=model,
        train_duplicates=found.groups,
        transforms=request.transforms,
        power=missed(len(images.samples), thresholds, len(found.holdout_train)),
        **beyond_honest(found, ground, distance),
        metrics=metrics(images, found, distance, gaps, seed=seed),
        signs=signs,
        contrast=contrast(images.train.images, images.samples.images, found.nearest_train),
        separation=separation,
        histograms=histograms(found),
        seed=seed,
        environment=environment or {},
        claims=mistakes(images, found, distance, seed=seed, by_holdout=thresholds.held_out, search=search),
        **copies(images, found, labels, radius, distance, by),
        **more,
    )
    result = checked(result)
    if request.condition is not None:
        result = result.model_copy(update={"verdict": verdict(request.condition, result)})
    return _redacted(result) if request.redact else result


def inputs(images: Images, request: Request) -> Inputs:
    """What there is to say of the sets, and of how they were read."""
    return Inputs(
        train=SourceInfo.of(images.train),
        samples=SourceInfo.of(images.samples),
        holdout=None if images.holdout is None else SourceInfo.of(images.holdout),
        resize=request.resize,
        value_range=request.value_range,
        clip=request.clip,
    )


def _controls(findings: Findings, request: Request, train: Float[Tensor, "k *shape"]) -> Any:
    """With the control of transformed copies, where there is a threshold."""
    controls = findings.controls
    if controls is None or findings.thresholds is None or (radius := findings.thresholds.memorized) is None:
        return controls
    shares = transformed_copies(train, radius, request.search, request.distance, seed=request.seed)
    return controls.model_copy(update={"transformed": shares})


def _redacted(result: AuditResult) -> AuditResult:
    """Without the names of weights' files; the hashes stay. Sets and images lost their names before."""
    distance = result.distance
    if distance.weights is None:
        return result
    hashes = re.findall(r"sha256 [0-9a-f]+", distance.weights)
    plain = DistanceInfo(
        name=distance.name, unit=distance.unit, weights=", ".join(hashes) or "not named here"
    )
    return result.model_copy(update={"distance": plain})

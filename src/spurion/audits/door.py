"""The audit of one model: its samples against the images it was trained on.

`measure` finds distances, a rule makes thresholds, `conclude` makes classes; around them stands what is
needed to defend the answer: warnings about the sets, power, exposure, the metrics of others, and what cannot
be concluded.
"""

__all__ = ["audit"]

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from jaxtyping import Int64
from torch import Tensor

from spurion.audits.beyond import p_values
from spurion.audits.classes import labels_of
from spurion.audits.conclusion import conclude, inputs
from spurion.audits.copies import changes
from spurion.audits.flow import model_flow
from spurion.audits.folder import AuditFolder
from spurion.audits.ground import Ground, all_shares, ground_for, real_images
from spurion.audits.landscape import model_geometry
from spurion.audits.measurement import Measurement, measure
from spurion.audits.request import (
    AUDIT_KINDS,
    Request,
    check_sources,
    condition_of,
    rule_for,
)
from spurion.audits.results import AuditResult
from spurion.audits.sources import Images, Model, open_sets
from spurion.core.arguments import check_arguments, check_choice
from spurion.core.environment import Crew, environment
from spurion.core.failures import FAILURES, one_sentence
from spurion.core.progress import Progress, silent
from spurion.core.random import derive_seed
from spurion.data import Declared, ranges_for
from spurion.data.open import Source
from spurion.data.transforms import parse_transforms
from spurion.diffusion.device import DeviceName
from spurion.diffusion.samplers import SamplerConfig
from spurion.geometry.groups.results import NOT_MEASURED
from spurion.neighbors import Distance, as_distance
from spurion.phases.rules import NullRule, ThresholdInfo, ValleyRule, parse_rule


def audit(
    train: Source,
    samples: Source | None = None,
    holdout: Source | None = None,
    *,
    model: Path | str | None = None,
    generate: int | None = None,
    sampler: SamplerConfig | None = None,
    thresholds: str | None = None,
    distance: str | Distance = "l2",
    transforms: str | Sequence[str] | None = None,
    fail_if: str | None = None,
    geometry: int = 0,
    resize: int | None = None,
    value_range: Declared | None = None,
    clip: bool = False,
    redact: bool = False,
    out: Path | str | None = None,
    seed: int = 0,
    device: DeviceName = "auto",
    allow_download: bool = False,
    cache: Path | str | None = None,
    progress: Progress | None = None,
) -> AuditResult:
    """Measure samples of a model against the images it was trained on.

    Arguments:
        train: The training images: an image set, a tensor in [-1, 1] with shape (n, C, H, W), or a path; see
            `open_images`.
        samples: The samples, at least 2, of the same shape; None if the audit shall draw them.
        holdout: Images of the same kind that the model never saw.
        model: A model folder, of Spurion or diffusers, to draw samples from or to measure the geometry of.
        generate: How many samples to draw from the model, instead of `samples`.
        sampler: How to draw them; by default ancestral sampling with 1,000 steps.
        thresholds: "null:ALPHA" (by default "null:0.01"), "holdout:ALPHA", "fixed:DM,DS", or "valley", which
            decides nothing; see `spurion.phases.thresholds`.
        distance: A distance, or the name of one that needs no `weights`; see `load_distance`.
        transforms: Look for transformed copies too: "all", or names in `spurion.data.transforms.TRANSFORMS`
            with commas between. The search then takes as many times as long as there are versions.
        fail_if: A condition such as "memorized > 0.01", decided on the interval; see `spurion.phases.gate`.
        geometry: Measure basins, curvature and energies of the model at so many points of each class
            (at least 6), and follow samples and training images under its iterated denoiser; 0 measures none.
        resize: Crop the central square of every image and resize it to this height and width.
        value_range: What stands for black and for white in arrays of floats; those in memory or called
            ``samples`` are else in [-1, 1]. Or ranges by set, such as ``{"samples": (0, 1)}``.
        clip: Whether values of arrays outside their range are clipped, instead of refused.
        redact: Leave names, and everything that shows images, out of the result and of all files.
        out: A folder for `audit.json`, `samples.csv` and `gallery.npz`, and `samples.npz` if they are drawn.
        seed: Seed of samples, controls, bootstrap and the null test's subsets.
        device: Where the model computes.
        allow_download: Whether a data set may be fetched.
        cache: A folder that keeps the vectors of `(st-)lpips-*` and of functions for later audits.
        progress: Called with the stage and how far it is.

    Returns:
        Everything `audit.json` holds. What could not be computed is None, with the reason among the notes.

    Raises:
        ValueError: If images or model cannot be read or do not fit together, the rule lacks what it needs,
            the condition cannot be read, or `out` holds something else.
        OSError: If `out` cannot be written or the disk is full.
    """
    check_arguments(locals(), AUDIT_KINDS)
    check_sources(samples, model, generate, geometry)
    check_choice("device", device, get_args(DeviceName))
    request = Request(
        rule=rule_for(thresholds, gate=fail_if is not None),
        condition=None if fail_if is None else condition_of(fail_if),
        distance=as_distance(distance).kept(cache),
        transforms=() if transforms is None else parse_transforms(transforms),
        seed=seed,
        resize=resize,
        value_range=value_range,
        clip=clip,
        points=geometry,
        redact=redact,
        progress=progress or silent,
    )
    folder = None if out is None else AuditFolder.at(out, redact)
    drawing = sampler or SamplerConfig()
    source = None if model is None else Model.load(model, generate, drawing, seed=seed, device=device)
    if folder is not None:
        folder.check_drawing(generate is not None)
    images = _open(request, source, (train, samples, holdout), folder, allow_download)
    if folder is not None:
        folder.check_inputs(inputs(images, request))
    return _measure(request, images, source, folder)


def _open(
    request: Request,
    model: Model | None,
    sets: tuple[Source, Source | None, Source | None],
    folder: AuditFolder | None,
    allow_download: bool,
) -> Images:
    """The training, sample and held-out images; samples that are not given are drawn."""
    train, samples, holdout = sets
    ranges_for(request.value_range, {"train": train, "samples": samples, "holdout": holdout})
    if model is not None and model.generate is not None:
        samples = model.draw(folder.path if folder and not request.redact else None, request.progress)
    request.progress("read images", 0, 0)
    images = open_sets(
        train,
        samples,  # type: ignore[arg-type]
        holdout,
        resize=request.resize,
        value_range=request.value_range,
        clip=request.clip,
        allow_download=allow_download,
    )
    return images.nameless() if request.redact else images


def _measure(
    request: Request, images: Images, model: Model | None, folder: AuditFolder | None
) -> AuditResult:
    """Distances, thresholds and all that follows from them, written to the folder if there is one."""
    found = measure(
        *images.tensors,
        distance=request.distance,
        seed=request.seed,
        progress=request.progress,
        search=request.search,
    )
    ground = _ground(request, images, found)
    labels = labels_of(found, ground.thresholds)
    shares = all_shares(found, ground, seed=derive_seed(request.seed, "shares"))
    by = changes(images, found, request.transforms, request.distance)
    flow, ends, notes = model_flow(request, images, ground.thresholds, labels, model)
    measured = _geometry(request, images, ground.thresholds, labels, model)
    request.progress("conclude", 0, 1)
    device = "cpu" if model is None else str(model.denoiser.device)
    result = conclude(
        request,
        images,
        found,
        ground,
        shares,
        model=None if model is None else model.info(request.redact),
        environment=environment(Crew(1, torch.get_num_threads(), device)),
        by=by,
        flow=flow,
        notes=(*notes, *measured.pop("notes", ())),
        **measured,
    )
    request.progress("conclude", 1, 1)
    if folder is not None:
        folder.write(result, images, found, labels, by, ends, p_values(found, ground, request.distance))
    return result


def _ground(request: Request, images: Images, found: Measurement) -> Ground:
    """The thresholds, and the real images that they hang on."""
    rule, anchor = parse_rule(request.rule), None
    if isinstance(rule, NullRule | ValleyRule):
        request.progress("real images", 0, 1)
        near = found.holdout_to_train
        anchor = real_images(
            images.train.images,
            images.holdout.images if images.holdout and isinstance(rule, NullRule) else None,
            None if near is None else near.distances[:, 0],
            request.distance,
            seed=derive_seed(request.seed, "anchor"),
            search=request.search,
        )
        request.progress("real images", 1, 1)
    seed = derive_seed(request.seed, "ground")
    return ground_for(request.rule, found, anchor=anchor, distance=request.distance, seed=seed)


def _geometry(
    request: Request,
    images: Images,
    thresholds: ThresholdInfo,
    labels: Int64[Tensor, " n"] | None,
    model: Model | None,
) -> dict[str, Any]:
    """The geometry where it was asked for, or a note on why there is none."""
    if model is None or not request.points:
        return {}
    try:
        measured, scanned = model_geometry(
            model,
            images,
            labels,
            thresholds,
            request.distance,
            points=request.points,
            seed=derive_seed(request.seed, "geometry"),
            progress=request.progress,
        )
    except FAILURES as error:
        return {"notes": (NOT_MEASURED + one_sentence(error),)}
    return {"geometry": measured, "curvature": scanned}

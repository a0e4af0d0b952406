"""The geometry of the model of an audit, at some samples of each class."""

__all__ = ["model_geometry"]

from functools import partial
from math import prod

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spurion.audits.sources import Images, Model
from spurion.core.progress import Progress
from spurion.core.random import derive_seed, generator
from spurion.geometry.groups.choice import choose_groups
from spurion.geometry.groups.config import GeometryConfig
from spurion.geometry.groups.found import geometry_result
from spurion.geometry.groups.measuring import measure, usual_measures
from spurion.geometry.groups.results import GeometryResult, ScanResult
from spurion.geometry.groups.scan import scan
from spurion.neighbors import Distance
from spurion.phases.rules import ThresholdInfo


def model_geometry(
    model: Model,
    images: Images,
    labels: Int64[Tensor, " n"] | None,
    thresholds: ThresholdInfo,
    distance: Distance,
    *,
    points: int,
    seed: int,
    progress: Progress,
) -> tuple[GeometryResult, ScanResult]:
    """Basins, curvature and energies of the model at some samples of each class.

    Arguments:
        model: The model.
        images: The sets.
        labels: The classes of the samples, or None.
        thresholds: The spurious one is the distance up to which a point counts as recovered.
        distance: The distance of that threshold.
        points: How many points of each group.
        seed: The seed of every choice and of all noise.
        progress: Called with the stage and how far it is.

    Raises:
        ValueError: If the model cannot be measured.
    """
    train = images.train.images
    config = GeometryConfig(points=points)
    progress("scan", 0, 1)
    scan_points = _some(train, config.scan_points, seed, "scan")
    scanned = scan(model.denoiser, scan_points, config, train_size=len(train), seed=seed)
    groups = choose_groups(
        images.samples.images,
        labels,
        train,
        None if images.holdout is None else images.holdout.images,
        most=points,
        least=min(config.least, points),
        seed=seed,
    )
    setting = config.setting(
        model.denoiser,
        scanned.chosen_time,
        tolerance=thresholds.spurious,
        distance=distance,
        references=_some(train, config.references, seed, "references"),
        seed=derive_seed(seed, "geometry"),
    )
    names = usual_measures(prod(model.denoiser.shape), basins=thresholds.spurious is not None)
    found = measure(model.denoiser, groups, names, setting, progress=partial(progress, "geometry"))
    result = geometry_result(
        model.denoiser,
        groups,
        found,
        time=scanned.chosen_time,
        tolerance=thresholds.spurious,
        basins=config.basins,
    )
    return result, scanned


def _some(images: Float[Tensor, "n *shape"], most: int, seed: int, name: str) -> Float[Tensor, "some *shape"]:
    order = torch.randperm(len(images), generator=generator(seed, "geometry", name))
    return images[order[:most]]

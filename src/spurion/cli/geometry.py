"""The verb `geometry`: how wide, how sharp and how deep a model is at given images."""

__all__ = ["geometry"]

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spurion.cli.models import model_folder
from spurion.cli.options import (
    AllowDownload,
    AsJson,
    Clip,
    ComputeDevice,
    Device,
    Distance,
    ModelFolder,
    Resize,
    ValueRange,
    Weights,
    value_range_of,
)
from spurion.cli.paths import check_paths, check_sources
from spurion.cli.readings import Readings, readings_as_json, show_readings, write_values
from spurion.cli.show import progress_shown, say, show_clipped, show_json

if TYPE_CHECKING:
    from torch import Tensor

    from spurion.core.progress import Progress
    from spurion.data import ImageSet
    from spurion.diffusion.denoiser import Denoiser
    from spurion.geometry import Measured, Setting
    from spurion.geometry.groups.results import ScanResult
    from spurion.neighbors import Distance as LoadedDistance

DEFAULT_NOISE = 0.1
BATCH = 32
"""Images measured together."""

REFERENCES = 2
"""Training images to which relative energies refer."""


Source = Annotated[str, typer.Argument(metavar="SRC", help="The images at which to measure.")]
Measures = Annotated[
    str | None, typer.Option("--measures", metavar="A,B,...", help="Which measures; all if not given.")
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tolerance", help="Distance up to which an image counts as recovered; for l2 0.1 sqrt(D)."
    ),
]
ScannedAt = Annotated[
    str | None,
    typer.Option("--train", metavar="SRC", help="Training images: choose the noise by a scan at them."),
]
Noise = Annotated[
    float | None,
    typer.Option("--noise", help="Noise sigma/alpha at which curvature and log-density are read; 0.1."),
]
Limit = Annotated[
    int | None, typer.Option("--limit", metavar="N", min=1, help="Measure the first N images only.")
]
NoiseSeed = Annotated[int, typer.Option("--seed", min=0, help="Seed of all noise.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="FILE.csv", help="Write every value of every image.")
]


def geometry(
    model: ModelFolder,
    source: Source,
    measures: Measures = None,
    tolerance: Tolerance = None,
    distance: Distance = "l2",
    weights: Weights = None,
    train: ScannedAt = None,
    noise: Noise = None,
    limit: Limit = None,
    resize: Resize = None,
    value_range: ValueRange = None,
    clip: Clip = False,
    seed: NoiseSeed = 0,
    device: ComputeDevice = Device.auto,
    allow_download: AllowDownload = False,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Measure basins, curvature and energy of a model at images.

    A measure that fails is named with its reason and costs no other; if all fail, so does the command.

    Example: spurion geometry runs/digits/points/000064 digits --limit 100 --out geometry.csv
    """
    check_paths(model)
    check_sources(source, train)
    from spurion.data import opener
    from spurion.diffusion.device import choose_device
    from spurion.diffusion.folder import load_denoiser
    from spurion.geometry import MEASURES
    from spurion.neighbors import load_distance

    names = [name.strip() for name in measures.split(",")] if measures is not None else list(MEASURES)
    _check(train, noise, out)
    chosen = load_distance(distance, weights, allow_download)
    ends = value_range_of(value_range)
    sources = {"source": source, "train": train}
    opened = opener(sources, allow_download=allow_download, resize=resize, value_range=ends, clip=clip)
    whole, known = opened("source"), None if train is None else opened("train")
    show_clipped(whole, known)
    images = whole.subset(range(min(limit or len(whole), len(whole))))
    denoiser = load_denoiser(model_folder(model), device=choose_device(device.value))
    with progress_shown() as shown:
        scan = None if known is None else _scan(denoiser, known, seed, shown)
        level = scan.chosen_noise if scan else DEFAULT_NOISE if noise is None else noise
        tolerance = _tolerance_of_the_run(model, chosen) if tolerance is None else tolerance
        setting = _setting(denoiser, known, chosen, tolerance, level, seed)
        found, failures = _measured(denoiser, images.images, names, setting, partial(shown, "", "measure"))
    notes = (*_scan_notes(scan), *_cautions(found, denoiser, setting))
    readings = Readings(found, images, known, setting, scan, failures, notes)
    if out is not None:
        write_values(out, readings)
    show_json(readings_as_json(readings)) if as_json else show_readings(readings, out)
    for failure in failures:
        say(f"Note: {failure}", err=True)


def _check(train: str | None, noise: float | None, out: Path | None) -> None:
    if train is not None and noise is not None:
        raise ValueError("`--train` chooses the noise and `--noise` gives it: use one of them.")
    if out is not None and out.is_dir():
        raise ValueError(f"`--out` must be a file to write, got the folder {out}.")


def _scan(denoiser: "Denoiser", train: "ImageSet", seed: int, shown: "Progress") -> "ScanResult":
    """The noise chosen at some training images, as a study does."""
    from spurion.geometry.groups.config import GeometryConfig
    from spurion.geometry.groups.scan import scan
    from spurion.geometry.measured import check_points

    check_points(denoiser, train.images, "--train")
    shown("", "scan the noise", 0, 0)
    config = GeometryConfig()
    points = train.images[_some(len(train), config.scan_points, seed, "scan")]
    return scan(denoiser, points, config, train_size=len(train), seed=seed)


def _scan_notes(scan: "ScanResult | None") -> list[str]:
    """What to know of the noise that was chosen."""
    if scan is None:
        return []
    if scan.note:
        return [scan.note]
    if scan.chosen_noise in (scan.noise[0], scan.noise[-1]):
        return [
            "The noise chosen is at the end of those scanned; are these the images the model was trained on?"
        ]
    return []


def _setting(
    denoiser: "Denoiser",
    train: "ImageSet | None",
    distance: "LoadedDistance",
    tolerance: float | None,
    noise: float,
    seed: int,
) -> "Setting":
    from spurion.geometry.groups.config import GeometryConfig

    if tolerance is None and distance.info.name != "l2":
        raise ValueError(f"`--tolerance` is needed with the distance {distance.info.name}.")
    if not (noise > 0 and math.isfinite(noise)):
        raise ValueError(f"`--noise` must be a positive number, got {noise:g}.")
    if tolerance is not None and not (tolerance > 0 and math.isfinite(tolerance)):
        raise ValueError(f"`--tolerance` must be a positive number, got {tolerance:g}.")
    setting = GeometryConfig().setting(
        denoiser,
        denoiser.schedule.nearest(noise),
        tolerance=0.1 * math.sqrt(math.prod(denoiser.shape)) if tolerance is None else tolerance,
        distance=distance,
        references=None if train is None else train.images[_some(len(train), REFERENCES, seed, "references")],
        seed=seed,
    )
    return replace(setting, few=None)


def _tolerance_of_the_run(model: Path, distance: "LoadedDistance") -> float | None:
    """The threshold of duplicates of the study that trained the model, where it measured in this distance."""
    from spurion.core.config import build_config
    from spurion.core.files import read_json
    from spurion.studies.results import Point

    stored = model_folder(model).parent / "point.json"
    if not stored.is_file():
        return None
    point = build_config(Point, read_json(stored), str(stored)).audit
    return (
        point.thresholds.spurious if point and point.thresholds and point.distance == distance.info else None
    )


def _measured(
    denoiser: "Denoiser", images: "Tensor", names: list[str], setting: "Setting", progress: "Progress"
) -> "tuple[dict[str, Measured], tuple[str, ...]]":
    """The values at the images, which are one group, by measure; and what failed."""
    import torch

    from spurion.diffusion.finite import check_answers
    from spurion.geometry import Group, measure
    from spurion.geometry.measured import check_points

    check_points(denoiser, images, "images")
    check_answers(denoiser)
    group = Group("", len(images), torch.arange(len(images)), images)
    found = measure(denoiser, [group], names, setting, batch=BATCH, progress=progress)
    return {name: groups[""] for name, groups in found.values.items()}, found.losses.sentences()


def _cautions(found: "dict[str, Measured]", denoiser: "Denoiser", setting: "Setting") -> list[str]:
    """What to know of values that are right and yet easy to misread."""
    from spurion.geometry import MEASURES

    dim = math.prod(denoiser.shape)
    notes = [MEASURES[name].under(setting).caution(values, dim) for name, values in found.items()]
    return [note for note in notes if note]


def _some(available: int, count: int, seed: int, name: str) -> list[int]:
    """Some of a set at random."""
    import torch

    from spurion.core.random import generator

    order: list[int] = torch.randperm(available, generator=generator(seed, "geometry", name)).tolist()
    return order[:count]

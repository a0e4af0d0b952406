"""The verb `geometry`: how wide, how sharp and how deep a model is at given images."""

__all__ = ["geometry"]

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spurion.cli.models import model_folder
from spurion.cli.options import AllowDownload, AsJson, Device, Distance, Resize, Weights
from spurion.cli.show import counter, progress_shown, show_json, show_table, source_values

if TYPE_CHECKING:
    from spurion.cli.show import Report
    from spurion.data import ImageSet
    from spurion.diffusion.denoiser import Denoiser
    from spurion.geometry.measure import Measured
    from spurion.neighbors import Distance as LoadedDistance
    from spurion.studies.geometry.images import ImageSetting
    from spurion.studies.geometry.results import GroupReading, Reading, ScanResult

DEFAULT_NOISE = 0.1
REFERENCES = 2
"""Training images to which relative energies refer."""

COLUMNS = ("measure", "median", "95 % interval", "unit", "measured")


def geometry(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL_DIR", help="A model folder, or one with a folder `model` in it.")
    ],
    source: Annotated[str, typer.Argument(metavar="SRC", help="The images at which to measure.")],
    measures: Annotated[
        str | None, typer.Option("--measures", metavar="A,B,...", help="Which measures; all if not given.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance", help="Distance up to which an image counts as recovered; for l2 0.1 sqrt(D)."
        ),
    ] = None,
    distance: Distance = "l2",
    weights: Weights = None,
    train: Annotated[
        str | None,
        typer.Option("--train", metavar="SRC", help="Training images: choose the noise by a scan at them."),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option("--noise", help="Noise sigma/alpha at which curvature and log-density are read; 0.1."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Measure the first N images only.")
    ] = None,
    resize: Resize = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of all noise.")] = 0,
    device: Annotated[Device, typer.Option("--device", help="Where to compute.")] = Device.auto,
    allow_download: AllowDownload = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.csv", help="Write every value of every image.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure basins, curvature and energy of a model at images.

    Example: spurion geometry runs/digits/points/000064 digits --limit 100 --out geometry.csv
    """
    from spurion.data import open_images
    from spurion.diffusion.device import choose_device
    from spurion.diffusion.folder import load_denoiser
    from spurion.geometry.measures import MEASURES
    from spurion.neighbors import load_distance
    from spurion.studies.geometry.images import measure_images

    names = [name.strip() for name in measures.split(",")] if measures is not None else list(MEASURES)
    if train is not None and noise is not None:
        raise ValueError("`--train` chooses the noise and `--noise` gives it: use one of them.")
    if out is not None and out.is_dir():
        raise ValueError(f"`--out` must be a file to write, got the folder {out}.")
    chosen = load_distance(distance, weights, allow_download)
    images = open_images(source, allow_download=allow_download, resize=resize)
    images = images.subset(range(min(limit or len(images), len(images))))
    known = None if train is None else open_images(train, allow_download=allow_download, resize=resize)
    denoiser = load_denoiser(model_folder(model), device=choose_device(device.value))
    with progress_shown() as shown:
        scan = None if known is None else _scan(denoiser, known, seed, shown)
        level = scan.chosen_noise if scan else DEFAULT_NOISE if noise is None else noise
        tolerance = _tolerance_of_the_run(model, chosen) if tolerance is None else tolerance
        setting = _setting(denoiser, known, chosen, tolerance, level, seed)
        found, notes = measure_images(
            denoiser, images.images, names, setting, progress=counter(shown, "measure")
        )
    notes = (*_scan_notes(scan), *notes, *_caveats(found, denoiser, known))
    if out is not None:
        _write_values(out, found, images)
    if as_json:
        show_json(_as_json(found, images, setting, chosen, scan, notes))
    else:
        _show(found, images, setting, chosen, notes, out)


def _scan(denoiser: "Denoiser", train: "ImageSet", seed: int, shown: "Report") -> "ScanResult":
    """The noise chosen at some training images, as a study does."""
    from spurion.geometry.measure import check_points
    from spurion.studies.geometry.config import GeometryConfig
    from spurion.studies.geometry.scan import scan

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
) -> "ImageSetting":
    from spurion.studies.geometry.images import ImageSetting

    if tolerance is None and distance.info.name != "l2":
        raise ValueError(f"`--tolerance` is needed with the distance {distance.info.name}.")
    if not (noise > 0 and math.isfinite(noise)):
        raise ValueError(f"`--noise` must be a positive number, got {noise:g}.")
    if tolerance is not None and not (tolerance > 0 and math.isfinite(tolerance)):
        raise ValueError(f"`--tolerance` must be a positive number, got {tolerance:g}.")
    return ImageSetting(
        tolerance=0.1 * math.sqrt(math.prod(denoiser.shape)) if tolerance is None else tolerance,
        noise=_nearest_noise(denoiser, noise),
        seed=seed,
        distance=distance,
        references=None if train is None else train.images[_some(len(train), REFERENCES, seed, "references")],
    )


def _tolerance_of_the_run(model: Path, distance: "LoadedDistance") -> float | None:
    """The threshold of duplicates of the study that trained the model, where it measured in this distance."""
    from spurion.core.files import read_json
    from spurion.studies.results import PointResult

    stored = model_folder(model).parent / "point.json"
    if not stored.is_file():
        return None
    point = PointResult.model_validate(read_json(stored))
    return point.thresholds.spurious if point.thresholds and point.distance == distance.info else None


def _nearest_noise(denoiser: "Denoiser", noise: float) -> float:
    """The noise that the schedule has nearest to the one asked for: at which the curvature is really read."""
    from spurion.geometry.jacobian import coefficients
    from spurion.geometry.noise_scan import nearest_time

    alpha, sigma = coefficients(denoiser.schedule, nearest_time(denoiser.schedule, noise))
    return sigma / alpha


def _caveats(found: "dict[str, Measured]", denoiser: "Denoiser", train: "ImageSet | None") -> list[str]:
    """What to know of values that are right and yet easy to misread."""
    notes = []
    if "relative-energy" in found and train is None:
        notes.append("Relative energies refer to the mid-gray image; with --train to training images.")
    dimensions = found["intrinsic-dimension"].values if "intrinsic-dimension" in found else None
    if dimensions is not None and bool((dimensions > math.prod(denoiser.shape)).any()):
        notes.append(
            f"Where the intrinsic dimension exceeds the {math.prod(denoiser.shape)} coordinates, the image "
            f"lies off the model's density: the estimate holds only on it."
        )
    return notes


def _some(available: int, count: int, seed: int, name: str) -> list[int]:
    """Some of a set at random."""
    import torch

    from spurion.core.random import generator

    order: list[int] = torch.randperm(available, generator=generator(seed, "geometry", name)).tolist()
    return order[:count]


def _write_values(path: Path, found: "dict[str, Measured]", images: "ImageSet") -> None:
    import csv

    from spurion.core.files import atomic_write

    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("index", "name", "measure", "value", "status"))
        for measure, measured in found.items():
            for index, (number, status) in enumerate(_points(measured)):
                name = images.item_names[index] if images.item_names else ""
                writer.writerow([index, name, measure, "" if number is None else repr(number), status])


def _points(measured: "Measured") -> list[tuple[float | None, str]]:
    """Value and status of each image; no value where the status says why."""
    from spurion.geometry.measure import STATUSES

    pairs = zip(measured.values.tolist(), measured.status.tolist(), strict=True)
    return [(value if math.isfinite(value) else None, STATUSES[status]) for value, status in pairs]


def _as_json(
    found: "dict[str, Measured]",
    images: "ImageSet",
    setting: "ImageSetting",
    distance: "LoadedDistance",
    scan: "ScanResult | None",
    notes: tuple[str, ...],
) -> dict[str, Any]:
    from spurion.geometry.measures import MEASURES
    from spurion.studies.geometry.summary import reading

    return {
        "images": source_values(images),
        "distance": distance.info.model_dump(),
        "tolerance": setting.tolerance,
        "noise": setting.noise,
        "scan": scan and scan.model_dump(mode="json"),
        "notes": list(notes),
        "measures": {
            name: {
                "unit": MEASURES[name].unit,
                "source": MEASURES[name].source,
                **reading(measured).model_dump(mode="json"),
                "points": [{"value": value, "status": status} for value, status in _points(measured)],
            }
            for name, measured in found.items()
        },
    }


def _show(
    found: "dict[str, Measured]",
    images: "ImageSet",
    setting: "ImageSetting",
    distance: "LoadedDistance",
    notes: tuple[str, ...],
    out: Path | None,
) -> None:
    from spurion.geometry.measures import MEASURES
    from spurion.studies.geometry.summary import reading

    typer.echo(f"{len(images)} images of {images.name}.")
    typer.echo(f"Recovered: within {setting.tolerance:.4g} ({distance.info.name}).")
    typer.echo(f"Curvature and log-density: read at a noise of {setting.noise:.4g}.")
    rows = []
    for name, measured in found.items():
        result = reading(measured)
        others = [f"{n} {status}" for status, n in result.statuses.items() if status != "measured"]
        counts = ", ".join([str(result.statuses.get("measured", 0)), *others])
        rows.append([name, *_median(result), MEASURES[name].unit.partition(",")[0], counts])
    show_table(COLUMNS, rows, numbers=COLUMNS[1:3])
    for note in notes:
        typer.echo(f"Note: {note}")
    if out is not None:
        typer.echo(f"Every value: {out}")


def _median(result: "GroupReading") -> tuple[str, str]:
    if result.value is None:
        return "–", "–"
    return _text(result.value), f"{_text(result.low)} to {_text(result.high)}"


def _text(reading: "Reading") -> str:
    return f"{reading:.3g}" if isinstance(reading, int | float) else str(reading)

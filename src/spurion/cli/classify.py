"""The verb `classify`: samples against the images their model was trained on; no model needed."""

__all__ = ["classify"]

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spurion.cli.options import (
    SAMPLES,
    AllowDownload,
    AsJson,
    Clip,
    Distance,
    Holdout,
    Resize,
    Thresholds,
    Train,
    ValueRange,
    Weights,
    value_range_of,
)
from spurion.cli.show import (
    percent,
    progress_shown,
    say,
    show_classes,
    show_clipped,
    show_json,
    show_notes,
    show_source,
    show_warnings,
    source_values,
)

if TYPE_CHECKING:
    from torch import Tensor

    from spurion.audits.findings import Findings
    from spurion.audits.measurement import Measurement
    from spurion.data import ImageSet
    from spurion.neighbors import Distance as LoadedDistance

    Sets = tuple[ImageSet, ImageSet, ImageSet | None]
    """Training images, samples, held-out images."""


Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Write samples.csv and classification.json.")
]


def classify(
    train: Train,
    samples: Annotated[str, SAMPLES],
    holdout: Holdout = None,
    thresholds: Thresholds = None,
    distance: Distance = "l2",
    weights: Weights = None,
    resize: Resize = None,
    value_range: ValueRange = None,
    clip: Clip = False,
    allow_download: AllowDownload = False,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Call every sample memorized, spurious or generalized.

    Example: spurion classify --train digits --samples samples.npz --holdout digits:holdout

    Example: spurion classify --train train.npz --samples samples.npz --thresholds fixed:0.36,0.36 --json
    """
    from spurion.audits.conclusion import AuditRules, conclude, labels_of, thresholds_for
    from spurion.data import opener
    from spurion.neighbors import load_distance

    ends = value_range_of(value_range)
    sources = {"train": train, "samples": samples, "holdout": holdout}
    opened = opener(sources, allow_download=allow_download, resize=resize, value_range=ends, clip=clip)
    chosen = load_distance(distance, weights, allow_download).kept()
    sets = opened("train"), opened("samples"), None if holdout is None else opened("holdout")
    show_clipped(*sets)
    measurement = _measured(sets, chosen)
    rule = thresholds or ("valley" if holdout is None else "holdout:0.01")
    limits = thresholds_for(rule, measurement)
    warnings = _warnings(sets, measurement)
    show_warnings(warnings)
    result = conclude(measurement, limits, sets[1].images, AuditRules(), distance=chosen)
    values = {**_values(sets, result, measurement), "warnings": warnings}
    if out is not None:
        _write_classes(out, measurement, labels_of(measurement, limits), values)
    show_json(values) if as_json else _show_classes(sets, result, out)


def _measured(sets: "Sets", distance: "LoadedDistance") -> "Measurement":
    from spurion.audits.measurement import measure

    train, samples, holdout = sets
    with progress_shown() as shown:
        found = measure(
            train.images,
            samples.images,
            None if holdout is None else holdout.images,
            distance=distance,
            progress=partial(shown, ""),
        )
    return found.measurement


def _warnings(sets: "Sets", measurement: "Measurement") -> list[str]:
    from spurion.audits.scales import other_ranges

    roles = ("training images", "samples", "held-out images")
    images = {role: found.images for role, found in zip(roles, sets, strict=True) if found is not None}
    return list(other_ranges(images, copying=roles[1], copied=roles[0], nearest=measurement.nearest_train))


def _values(sets: "Sets", result: "Findings", measurement: "Measurement") -> dict[str, Any]:
    train, samples, holdout = sets
    return {
        "train": source_values(train),
        "samples": source_values(samples),
        "holdout": None if holdout is None else source_values(holdout),
        **result.model_dump(mode="json"),
        "train_duplicates": measurement.duplicates,
    }


def _write_classes(
    folder: Path, measurement: "Measurement", labels: "Tensor | None", values: dict[str, Any]
) -> None:
    from spurion.audits.written import write_samples_csv
    from spurion.core.files import write_json

    write_samples_csv(folder / "samples.csv", measurement, labels)
    write_json(folder / "classification.json", values)


def _show_classes(sets: "Sets", result: "Findings", out: Path | None) -> None:
    for role, images in zip(("Training images", "Samples", "Held-out images"), sets, strict=True):
        show_source(role, images)
    show_classes(result)
    if result.null is not None and result.null.share_closer_to_train is not None:
        share = percent(result.null.share_closer_to_train)
        say(f"Closer to the training images than to as many held-out ones: {share} % of the samples.")
        say("It is 50 % where nothing leaks.")
    show_notes(result)
    if out is not None:
        say(f"Every sample: {out / 'samples.csv'}")

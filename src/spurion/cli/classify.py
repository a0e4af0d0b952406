"""The verb `classify`: samples against the images their model was trained on; no model needed."""

__all__ = ["classify"]

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spurion.cli.options import AllowDownload, AsJson, Distance, Resize, Thresholds, Weights
from spurion.cli.show import (
    CLASSES,
    percent,
    progress_shown,
    show_json,
    show_table,
    source_values,
    thresholds_line,
)

if TYPE_CHECKING:
    from torch import Tensor

    from spurion.data import ImageSet
    from spurion.studies.measurement import Measurement
    from spurion.studies.results import Findings

SHARE = "share in % (95 % interval)"


def classify(
    train: Annotated[str, typer.Option("--train", metavar="SRC", help="The images a model was trained on.")],
    samples: Annotated[str, typer.Option("--samples", metavar="SRC", help="Samples of the model.")],
    holdout: Annotated[
        str | None, typer.Option("--holdout", metavar="SRC", help="Images of the same kind it never saw.")
    ] = None,
    thresholds: Thresholds = None,
    distance: Distance = "l2",
    weights: Weights = None,
    resize: Resize = None,
    allow_download: AllowDownload = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write samples.csv and classification.json.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Call every sample memorized, spurious or generalized.

    Example: spurion classify --train digits --samples samples.npz --holdout digits:holdout

    Example: spurion classify --train train.npz --samples samples.npz --thresholds fixed:0.36,0.36 --json
    """
    from spurion.data import open_images
    from spurion.neighbors import load_distance
    from spurion.studies.audit import AuditRules, conclude, labels_of, thresholds_for
    from spurion.studies.measurement import measure

    def opened(source: str) -> "ImageSet":
        return open_images(source, allow_download=allow_download, resize=resize)

    chosen_distance = load_distance(distance, weights, allow_download)
    trained_on, drawn = opened(train), opened(samples)
    held_out = None if holdout is None else opened(holdout)
    with progress_shown() as shown:
        found = measure(
            trained_on.images,
            drawn.images,
            None if held_out is None else held_out.images,
            distance=chosen_distance,
            progress=partial(shown, ""),
        )
    measurement = found.measurement
    chosen = thresholds_for(thresholds or ("valley" if held_out is None else "holdout:0.01"), measurement)
    result = conclude(measurement, chosen, drawn.images, AuditRules(), distance=chosen_distance)
    values = {
        "train": source_values(trained_on),
        "samples": source_values(drawn),
        "holdout": held_out and source_values(held_out),
        **result.model_dump(mode="json"),
        "train_duplicates": measurement.duplicates,
    }
    if out is not None:
        _write_classes(out, measurement, labels_of(measurement, chosen), values)
    if as_json:
        show_json(values)
    else:
        _show_classes(result, out)


def _write_classes(
    folder: Path, measurement: "Measurement", labels: "Tensor | None", values: dict[str, Any]
) -> None:
    from spurion.core.files import write_json
    from spurion.studies.evidence import write_samples_csv

    write_samples_csv(folder / "samples.csv", measurement, labels)
    write_json(folder / "classification.json", values)


def _show_classes(result: "Findings", out: Path | None) -> None:
    notes = list(result.notes)
    if (found := result.thresholds) is not None:
        typer.echo(thresholds_line(found))
        notes = [*found.notes, *notes]
    if result.fractions is not None and result.counts is not None:
        shares = [percent(getattr(result.fractions, name)) for name in CLASSES]
        rows = [list(row) for row in zip(CLASSES, map(str, result.counts), shares, strict=True)]
        show_table(("class", "samples", SHARE), rows, numbers=("samples", SHARE))
    if result.null is not None and result.null.share_closer_to_train is not None:
        share = percent(result.null.share_closer_to_train)
        typer.echo(f"Closer to the training images than to as many held-out ones: {share} % of the samples.")
        typer.echo("It is 50 % where nothing leaks.")
    for note in notes:
        typer.echo(f"Note: {note}")
    if out is not None:
        typer.echo(f"Every sample: {out / 'samples.csv'}")

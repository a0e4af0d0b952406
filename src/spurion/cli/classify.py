"""The verb `classify`, a short form of `audit`: classes of samples, without a gate and a report."""

__all__ = ["classify"]

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from spurion.cli.paths import check_sources
from spurion.cli.show import progress_shown, say, show_claims, show_classes, show_inputs, show_json

if TYPE_CHECKING:
    from spurion.audits.results import AuditResult

Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write audit.json and the evidence.")]


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
    check_sources(train, samples, holdout)
    import spurion
    from spurion.neighbors import load_distance

    chosen = load_distance(distance, weights, allow_download)
    with progress_shown() as shown:
        result = spurion.audit(
            train, samples, holdout, thresholds=thresholds, distance=chosen, resize=resize,
            value_range=value_range_of(value_range), clip=clip, allow_download=allow_download, out=out,
            progress=partial(shown, ""),
        )  # fmt: skip
    show_json(result.to_json()) if as_json else _show(result, out)


def _show(result: "AuditResult", out: Path | None) -> None:
    show_inputs(result.inputs)
    show_classes(result)
    show_claims(result)
    if out is not None:
        say(f"Every sample: {out / 'samples.csv'}")

"""The verb `audit`: whether a model copies its training data, which images, and how sure that is."""

__all__ = ["audit"]

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spurion.cli.models import Sampler, Steps, steps_given
from spurion.cli.options import (
    SAMPLES,
    AllowDownload,
    AsJson,
    Cache,
    Clip,
    Device,
    Distance,
    Holdout,
    Resize,
    Thresholds,
    Train,
    ValueRange,
    Weights,
    value_range_of,
)
from spurion.cli.paths import check_paths, check_sources
from spurion.cli.show import (
    progress_shown,
    say,
    show_claims,
    show_classes,
    show_inputs,
    show_json,
    show_table,
)

if TYPE_CHECKING:
    from spurion.audits.results import AuditResult

SHOWN = 10
"""Copied training images that the terminal shows."""


Model = Annotated[
    Path | None, typer.Option("--model", metavar="DIR", help="The model: a folder of Spurion or diffusers.")
]
Generate = Annotated[
    int | None, typer.Option("--generate", metavar="N", min=2, help="Draw N samples of the model, instead.")
]
Drawing = Annotated[Sampler, typer.Option("--sampler", help="How to draw them.")]
Geometry = Annotated[
    int, typer.Option("--geometry", metavar="N", min=0, help="Geometry of the model at N points a class.")
]
FailIf = Annotated[
    str | None, typer.Option("--fail-if", metavar="EXPR", help='A gate, such as "memorized > 0.01".')
]
Transforms = Annotated[
    str | None,
    typer.Option("--transforms", metavar="NAMES", help="Look for transformed copies: all, or names."),
]
Redact = Annotated[bool, typer.Option("--redact", help="No pixels, file names or paths in any output.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Write audit.json, the evidence and a report.")
]
WholeSeed = Annotated[int, typer.Option("--seed", min=0, help="Seed of all random numbers.")]
ModelDevice = Annotated[Device, typer.Option("--device", help="Where the model computes.")]


def audit(
    train: Train,
    samples: Annotated[str | None, SAMPLES] = None,
    holdout: Holdout = None,
    model: Model = None,
    generate: Generate = None,
    sampler: Drawing = Sampler.ddpm,
    steps: Steps = None,
    geometry: Geometry = 0,
    thresholds: Thresholds = None,
    distance: Distance = "l2",
    transforms: Transforms = None,
    weights: Weights = None,
    resize: Resize = None,
    value_range: ValueRange = None,
    clip: Clip = False,
    fail_if: FailIf = None,
    redact: Redact = False,
    out: Out = None,
    seed: WholeSeed = 0,
    device: ModelDevice = Device.auto,
    allow_download: AllowDownload = False,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Tell whether a model copies its training data, which images, and how sure that is.

    Exit code with --fail-if: 0 pass, 1 fail, 3 inconclusive. It is decided on
    the 95 % interval: few samples never pass.

    Example: spurion audit --train digits --samples samples.npz --holdout digits:holdout --out audits/mine

    Example: spurion audit --train train/ --model model/ --generate 2000 --fail-if "memorized > 0.01"
    """
    check_sources(train, samples, holdout)
    check_paths(model)
    import spurion
    from spurion.core.config import build_config
    from spurion.diffusion.samplers import SamplerConfig
    from spurion.neighbors import load_distance
    from spurion.report import write_report

    drawing = build_config(SamplerConfig, {"kind": sampler.value} | steps_given(steps))
    chosen = load_distance(distance, weights, allow_download)
    with progress_shown() as shown:
        result = spurion.audit(
            train, samples, holdout, model=model, generate=generate, sampler=drawing, geometry=geometry,
            thresholds=thresholds, distance=chosen, transforms=transforms, fail_if=fail_if, resize=resize,
            value_range=value_range_of(value_range), clip=clip, redact=redact, out=out,
            seed=seed, device=device.value, allow_download=allow_download, cache=cache,
            progress=partial(shown, ""),
        )  # fmt: skip
        if out is not None:
            shown("", "report", 0, 0)
            write_report(out)
    show_json(result.to_json()) if as_json else _show(result, out)
    if result.verdict is not None and result.verdict.exit_code:
        raise typer.Exit(result.verdict.exit_code)


def _show(result: "AuditResult", out: Path | None) -> None:
    show_inputs(result.inputs)
    show_classes(result)
    _show_exposure(result)
    show_claims(result)
    if result.verdict is not None:
        say(f"{result.verdict.expression}: {result.verdict.outcome}. {result.verdict.reason}")
    if out is not None:
        say(
            "Report: report.html in the output folder"
            if result.redacted
            else f"Report: {out / 'report.html'}"
        )


def _show_exposure(result: "AuditResult") -> None:
    if not result.exposure:
        return
    called = "may be copied" if result.only_near else "are copied"
    say(f"Training images that {called}, most often first ({len(result.exposure)} in all):")
    rows = [
        [f"{image.train_index} {image.name or ''}".strip(), str(image.count), str(image.duplicates)]
        for image in result.exposure[:SHOWN]
    ]
    columns = ("training image", "copies", "duplicates of it")
    show_table(columns, rows, numbers=columns[1:])

"""The verb `prompts`: which prompts a text-to-image model knows by heart."""

__all__ = ["prompts"]

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spurion.cli.models import model_folder
from spurion.cli.options import AllowDownload, AsJson, ComputeDevice, Device, Distance, Resize, Weights
from spurion.cli.paths import check_paths, check_sources
from spurion.cli.show import (
    progress_shown,
    say,
    show_credits,
    show_json,
    show_table,
    show_warnings,
)

if TYPE_CHECKING:
    from spurion.prompts import PromptsResult

SHOWN = 10
"""Prompts that the terminal shows."""

LONGEST = 60
"""Characters of a prompt that it shows."""

Prompts = Annotated[
    Path, typer.Argument(metavar="PROMPTS.csv", help="Columns prompt, and image, label, group, copies, part.")
]
Model = Annotated[
    Path, typer.Argument(metavar="MODEL_DIR", help="The folder of a Stable Diffusion pipeline.")
]
Train = Annotated[
    str | None,
    typer.Option("--train", metavar="SRC", help="The images it was trained on; else those of the prompts."),
]
Detectors = Annotated[
    str | None, typer.Option("--detectors", metavar="A,B,...", help="Which detectors; all if not given.")
]
Seeds = Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="Initial noises of each prompt.")]
Steps = Annotated[int, typer.Option("--steps", min=1, help="Denoiser calls of a sample.")]
Guidance = Annotated[float, typer.Option("--guidance", min=0, max=100, help="Guidance of the samples.")]
Negative = Annotated[str, typer.Option("--negative", metavar="TEXT", help="Negative prompt of the samples.")]
Geometry = Annotated[
    int, typer.Option("--geometry", metavar="N", min=0, help="Curvature at N prompts of each label.")
]
Half = Annotated[bool, typer.Option("--half", help="Compute the network in half precision.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder of results and readings.")]
WholeSeed = Annotated[int, typer.Option("--seed", min=0, help="Seed of all random numbers.")]


def prompts(
    model: Model,
    source: Prompts,
    out: Out,
    train: Train = None,
    detectors: Detectors = None,
    seeds: Seeds = 4,
    steps: Steps = 50,
    guidance: Guidance = 7.5,
    negative: Negative = "",
    geometry: Geometry = 0,
    distance: Distance = "l2",
    weights: Weights = None,
    resize: Resize = None,
    half: Half = False,
    seed: WholeSeed = 0,
    device: ComputeDevice = Device.auto,
    allow_download: AllowDownload = False,
    as_json: AsJson = False,
) -> None:
    """Examine which prompts a text-to-image model knows by heart.

    Prompts are ranked by every detector. With labels, the detectors are judged; with training images, so are
    the samples. Given again on the same folder, it continues where it was stopped.

    Example: spurion prompts model/ prompts.csv --out runs/prompts

    Example: spurion prompts model/ prompts.csv --detectors noise-difference,sharpness --seeds 8 --out runs/p
    """
    check_paths(model, source)
    check_sources(train)
    from spurion.neighbors import load_distance
    from spurion.prompts import examine
    from spurion.report import write_report

    names = None if detectors is None else [name.strip() for name in detectors.split(",")]
    chosen = load_distance(distance, weights, allow_download)
    with progress_shown() as shown:
        result = examine(
            model_folder(model), source, train, out=out, detectors=names, seeds=seeds, seed=seed, steps=steps,
            guidance=guidance, negative=negative, geometry=geometry, distance=chosen, resize=resize,
            device=device.value, half=half, allow_download=allow_download, progress=partial(shown, ""),
        )  # fmt: skip
        shown("", "report", 0, 0)
        page = write_report(out)
    show_json(result.to_json()) if as_json else show_prompts(result, page)


def show_prompts(result: "PromptsResult", page: Path) -> None:
    """Print what an examination found: the prompts that rank first, the detectors, and the claims."""
    from spurion.audits.claims import sentences

    rows = [
        [
            str(place),
            one.prompt if len(one.prompt) <= LONGEST else f"{one.prompt[:LONGEST]}…",
            one.label or "",
            one.answered.outcome if one.answered else "",
            f"{one.rank:.1f}",
        ]
        for place, one in enumerate(result.ranked[:SHOWN], start=1)
    ]
    over = "all detectors" if len(result.detectors) > 1 else result.detectors[0].name
    say(f"Prompts by their mean rank over {over} ({len(result.prompts)} in all):")
    show_table(("", "prompt", "label", "samples", "mean rank"), rows, numbers=("", "mean rank"))
    _show_detectors(result)
    for sentence in sentences(result.claims, "answer"):
        say(sentence)
    for sentence in sentences(result.claims, "doubt"):
        say(f"Doubt: {sentence}")
    show_warnings(sentences(result.claims, "warning"))
    for note in result.notes:
        say(f"Note: {note}", err=True)
    show_credits(result.claims)
    say(f"Report: {page}")


def _show_detectors(result: "PromptsResult") -> None:
    """What each detector took, and how it tells memorized from generalized prompts."""
    from spurion.statistics.numbers import decimals

    two = decimals(2)
    pairs = [(c.higher, c.lower) for c in result.comparisons]
    pair = next(iter(pairs), ("memorized", "generalized"))  # that one comes first, where it is there
    found = {c.detector: c for c in result.comparisons if (c.higher, c.lower) == pair}
    rows = []
    for detector in result.detectors:
        one, cost = found.get(detector.name), detector.evaluations
        told = ["–", "–"]
        for place, interval in enumerate(() if one is None else (one.auc, one.sensitivity)):
            if interval is not None:
                told[place] = f"{two(interval.value)} ({two(interval.low)}–{two(interval.high)})"
        rows.append([detector.name, "–" if cost is None else f"{cost:.4g}", *told])
    columns = ("detector", "evaluations a seed", f"AUC, {pair[0]} over {pair[1]}", "found at 1% false")
    show_table(columns, rows, numbers=columns[1:])

"""The verbs `study` and `report`: a whole experiment, and its report rebuilt from stored results."""

__all__ = ["capacity_cell", "disk", "report", "study"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from spurion.cli.errors import BAD_INPUT
from spurion.cli.options import AllowDownload, AsJson, DeviceOption, Overrides, Seed, with_options
from spurion.cli.paths import check_paths, check_sources
from spurion.cli.show import (
    CLASSES,
    duration,
    percent,
    progress_shown,
    say,
    show_credits,
    show_json,
    show_source,
    show_table,
    thresholds_line,
)

LEAKS = "*"
"""Marks the training sizes at which samples still leak."""

if TYPE_CHECKING:
    from spurion.phases.passage import Capacity
    from spurion.studies.planning import Plan
    from spurion.studies.results import StudyResult


Recipe = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE|FILE.yaml",
        help="A recipe such as digits, or circle, prompts or stable-diffusion, or a configuration.",
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="The run folder; runs/NAME if not given.")
]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes at a time; if not given, one a core.")
]
Rule = Annotated[
    str | None,
    typer.Option(
        "--thresholds",
        metavar="RULE",
        help="null:ALPHA, holdout:ALPHA, fixed:DM,DS, or valley (describes only).",
    ),
]
StudiedModel = Annotated[
    str | None,
    typer.Option("--model", metavar="DIR", help="For stable-diffusion: the folder of the pipeline."),
]
Over = Annotated[
    list[str] | None,
    typer.Option(
        "--over",
        metavar="FIELD=VALUE,...",
        help="One study for each value of a field, such as denoiser.width=32,64; repeated, all combinations.",
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option("--seeds", metavar="N,...", help="One study for each seed, such as 0,1,2."),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print configuration, points, estimated time and disk; do nothing."),
]


def study(
    source: Recipe,
    out: Out = None,
    overrides: Overrides = None,
    device: DeviceOption = None,
    workers: Workers = None,
    thresholds: Rule = None,
    seed: Seed = None,
    over: Over = None,
    seeds: Seeds = None,
    model: StudiedModel = None,
    allow_download: AllowDownload = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Train, sample and measure a diffusion model at every training size, and write a report.

    Given again on the same folder, it continues where it was stopped.

    Example: spurion study digits --out runs/digits

    Example: spurion study digits --set "train_sizes=[2, 64, all]" --set sample_size=500 --dry-run

    Example: spurion study circle --out runs/circle

    Example: spurion study prompts --out runs/prompts

    Example: spurion study digits --over denoiser.width=32,64,128 --seeds 0,1,2
    """
    check_sources(source)
    import spurion.report
    import spurion.studies
    from spurion.studies.kinds import kind_asked_for, of_images
    from spurion.studies.over import parse_over, parse_seeds

    grid = parse_over(over or ()), parse_seeds(seeds)
    kind = kind_asked_for(source, several=any(grid))
    if model is not None and of_images(kind):
        raise ValueError("`--model` is for the study stable-diffusion, which trains no model; leave it out.")
    if thresholds is not None and not of_images(kind):
        raise ValueError("`--thresholds` does not apply to a study that has no thresholds; leave it out.")
    asked: dict[str, Any] = {
        "overrides": with_options(overrides, {"thresholds": thresholds, "seed": seed, "model": model}),
        "device": device.value if device else None,
        "workers": workers,
        "allow_download": allow_download,
        "over": grid[0],
        "seeds": grid[1],
    }
    if dry_run:
        plan = spurion.studies.plan(source, **asked)
        return kind.tell_plan(plan, as_json) if kind else _tell_plan(plan, as_json)
    folder = out or Path("runs") / Path(source).stem
    with progress_shown() as shown:
        result = spurion.studies.study(source, out=folder, report=shown, **asked)
        page = spurion.report.write_report(folder)
    if kind:
        return kind.tell_result(result, page, as_json)
    _tell_result(cast("StudyResult", result), page, as_json)


def _tell_plan(plan: "Plan", as_json: bool) -> None:
    show_json(_plan_values(plan)) if as_json else _show_plan(plan)


def _tell_result(result: "StudyResult", page: Path, as_json: bool) -> None:
    show_json(result.to_json()) if as_json else _show_result(result, page)
    _end(result)


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder, as `study` writes it.")],
) -> None:
    """Rebuild the figures and the page of a run folder from its stored results; no model is read.

    Example: spurion report runs/digits
    """
    check_paths(folder)
    import spurion.report

    say(f"Report: {spurion.report.write_report(folder)}")


def _plan_values(plan: "Plan") -> dict[str, Any]:
    return {
        "config": plan.config.model_dump(mode="json"),
        "points": [{"train_size": train, "sample_size": samples} for train, samples in plan.points],
        "seconds": plan.seconds,
        "bytes": plan.bytes,
        "notes": list(plan.notes),
    }


def _show_plan(plan: "Plan") -> None:
    import yaml

    values = plan.config.model_dump(mode="json")
    say(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None), nl=False)
    rows = [(str(train), str(samples)) for train, samples in plan.points]
    show_table(("training images", "samples"), rows, numbers=("training images", "samples"))
    say(f"About {duration(plan.seconds)} and {disk(plan.bytes)} of disk.")
    for note in plan.notes:
        say(note)


def _show_result(result: "StudyResult", page: Path) -> None:
    from spurion.audits.results import NO_CLOSER

    show_source("Training images", result.train)
    show_source("Held-out images", result.holdout)
    rows = []
    for point in result.points:
        shares = ["failed" if point.audit is None else "no threshold", "", ""]
        if point.audit is not None and point.audit.fractions is not None:
            shares = [percent(getattr(point.audit.fractions, name)) for name in CLASSES]
            shares[-1] += f" {LEAKS}" if point.audit.still_leaking else ""
        rows.append([str(point.train_size), str(point.sample_size), *shares])
    columns = ("K", "samples", *(f"{name} %" for name in CLASSES))
    show_table(columns, rows, numbers=columns)
    if any(audit.still_leaking for audit in result.audits.values()):
        say(f"{LEAKS} Still leaking: not generalized, only {NO_CLOSER}.")
    lines = {thresholds_line(a.thresholds) for a in result.audits.values() if a.thresholds is not None}
    if lines:
        say(lines.pop() if len(lines) == 1 else "The thresholds differ over K.")
    if result.capacities is not None:
        for name in ("memorization", "spurious", "generalization"):
            say(f"{name} capacity: {_capacity(getattr(result.capacities, name))}")
    _show_others(result)
    for sentence in result.said("answer"):
        say(sentence)
    for sentence in result.said("doubt"):
        say(f"Doubt: {sentence}")
    show_credits(result.claims)
    say(f"Report: {page}")


def _show_others(result: "StudyResult") -> None:
    """The capacities at other shares of false calls, and those of the leak."""
    from spurion.phases.rule_words import promised

    names = ("memorization", "spurious", "generalization")
    rows = [
        [promised(at.alpha), *(capacity_cell(getattr(at.capacities, name)) for name in names)]
        for at in result.capacities_by_alpha
    ]
    if rows:
        columns = ("capacity at false calls of", *names)
        show_table(columns, rows, numbers=columns)
    leak = result.leak_capacities
    if leak is not None:
        say(
            f"Leak excess 2A - 1 falls to 0.9 at K = {capacity_cell(leak.most)}, to 0.5 at "
            f"{capacity_cell(leak.half)}, to 0 at {capacity_cell(leak.none)}."
        )


def capacity_cell(capacity: "Capacity") -> str:
    """A capacity in a cell, with its interval; an end beyond the studied sizes is open."""
    value = "-" if capacity.value is None else f"{capacity.value:.0f}"
    return f"{value}{_between(capacity)}"


def _capacity(capacity: "Capacity") -> str:
    if capacity.value is None:
        return f"not found. {capacity.note}"
    return f"K = {capacity.value:.0f}{_between(capacity)}. {capacity.note}".strip()


def _between(capacity: "Capacity") -> str:
    if capacity.low is None and capacity.high is None:
        return ""
    low, high = ("open" if end is None else f"{end:.0f}" for end in (capacity.low, capacity.high))
    return f" ({low}–{high})"


def _end(result: "StudyResult") -> None:
    """Name the points and measures that failed; a study of which nothing is left has failed itself."""
    for sentence in (*result.said("warning"), *_failed_measures(result)):
        say(sentence, err=True)
    if not result.audits:
        raise typer.Exit(BAD_INPUT)


def _failed_measures(result: "StudyResult") -> list[str]:
    """What failed of the geometry, with the training sizes at which it did."""
    from spurion.geometry.groups.results import NOT_MEASURED

    where: dict[str, list[str]] = {}
    for k, audit in result.audits.items():
        lost = [note for note in audit.notes if note.startswith(NOT_MEASURED)]
        for sentence in (*lost, *(audit.geometry.failed if audit.geometry else ())):
            where.setdefault(sentence, []).append(str(k))
    return [f"K = {', '.join(sizes)}: {sentence}" for sentence, sizes in where.items()]


def disk(count: int) -> str:
    """A rough number of bytes in words."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"

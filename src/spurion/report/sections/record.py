"""How it was made, and what does not follow from it."""

__all__ = ["flat", "limits", "provenance", "training"]

from collections.abc import Iterator
from typing import Any

import yaml

from spurion.audits.findings import SourceInfo
from spurion.audits.results import AuditResult
from spurion.report.blocks import Cell, Drawing, Section, Table, number_cell
from spurion.report.run import Run
from spurion.statistics.numbers import absent, decimals, size
from spurion.studies.results import Point


def training(run: Run) -> Section | None:
    """Loss curves and the size of each model."""
    losses = (*(shown.loss for shown in run.done), *(loss for _, loss in run.failed))
    if not any(loss and len(loss.step) for loss in losses):
        return None
    trained = [shown.point for shown in run.done if shown.point]
    rows = tuple(
        (
            number_cell(p.train_size, size),
            number_cell(p.training.iterations, size),
            number_cell(p.training.parameters, size),
            number_cell(p.training.final_loss, decimals(4)),
            Cell(_duration(p)),
        )
        for p in trained
        if p.training
    )
    header = ("K", "iterations", "parameters", "final loss", "time, all stages")
    drawing = Drawing(
        "training",
        "Training loss as logged, both axes on a log scale; dashed where the point failed.",
        "Falling loss curves, one for each K.",
    )
    text = "The mean squared error of the predicted noise during training, one curve for each K."
    tables = (Table("Training of each model.", header, rows),) if rows else ()
    return Section("training", "Training", (text,), (drawing,), tables)


def limits(run: Run) -> Section | None:
    """What cannot be concluded, and why."""
    items = [claim for claim in run.claims if claim.severity in ("limit", "note")]
    if run.study is None or not items:
        return None
    return Section(
        "limits", "What cannot be concluded, and why", part="limits.html.j2", values={"items": items}
    )


def provenance(run: Run) -> Section | None:
    """Configuration, seeds, versions, and hashes of the inputs."""
    found = run.study or run.audits[0].inputs
    sets = [("training images", found.train), ("held-out images", found.holdout)]
    if run.single is not None:
        sets.insert(1, ("samples", run.single.audit.inputs.samples))
    rows = tuple(_source(role, source) for role, source in sets if source is not None)
    settings = run.study.environment if run.study else _settings(run.audits[0])
    entries = tuple((Cell(key), Cell(entry)) for key, entry in flat(settings))
    header = ("set", "name", "images", "shape", "hash")
    tables = (
        Table("Inputs. The hash is the SHA-256 of the images’ content.", header, rows),
        Table("Settings and environment.", ("item", "value"), entries),
    )
    text = (
        "The same inputs, settings and seed give the same numbers. This page was built from stored results "
        "only; no model was run for it."
    )
    redacted = (
        "Names and images were left out on request; the hashes tell whether two audits saw the same sets."
    )
    paragraphs = (text, redacted) if run.single and run.single.audit.redacted else (text,)
    if run.study is None:
        return Section("provenance", "Provenance", paragraphs, tables=tables)
    config = yaml.safe_dump(run.study.config, sort_keys=False, allow_unicode=True)
    values = {"config": config}
    return Section(
        "provenance", "Provenance", paragraphs, tables=tables, part="config.html.j2", values=values
    )


def _settings(audit: AuditResult) -> dict[str, Any]:
    model = audit.model.model_dump(mode="json") if audit.model else {}
    return {
        "seed of the audit": audit.seed,
        "distance": audit.distance.name,
        "weights": audit.distance.weights,
        **{f"model: {key}": entry for key, entry in flat(model)},
        **audit.environment,
    }


def _source(role: str, source: SourceInfo) -> tuple[Cell, ...]:
    shape = " × ".join(str(side) for side in source.shape)
    return Cell(role), Cell(source.name), number_cell(source.count, size), Cell(shape), Cell(source.sha256)


def flat(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The entries of nested mappings as rows; what is null is left out."""
    for key, entry in values.items():
        if isinstance(entry, dict):
            yield from flat(entry)
        elif entry is not None:
            yield str(key), str(entry)


def _duration(point: Point) -> str:
    total = sum(point.seconds.values())
    return f"{total:,.0f} s" if point.seconds else absent

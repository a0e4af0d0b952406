"""How it was made, and what does not follow from it."""

__all__ = ["flat", "limits", "provenance", "training"]

from collections.abc import Iterator
from typing import Any

import yaml

from spurion.audits.findings import SourceInfo
from spurion.report.blocks import Cell, Drawing, Section, Table, number_cell
from spurion.report.cautions import cautions
from spurion.report.numbers import absent, decimals, size
from spurion.report.run import Run
from spurion.studies.results import PointResult


def training(run: Run) -> Section | None:
    """Loss curves and the size of each model."""
    if not any(point.loss and len(point.loss.step) for point in run.points):
        return None
    trained = [p.result for p in run.done if p.result.training]
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
    items = cautions(run)
    if not items:
        return None
    return Section(
        "limits", "What cannot be concluded, and why", part="limits.html.j2", values={"items": items}
    )


def provenance(run: Run) -> Section | None:
    """Configuration, seeds, versions, and hashes of the inputs."""
    study = run.study
    sources = [("training images", study.train)]
    if study.holdout:
        sources.append(("held-out images", study.holdout))
    rows = tuple(_source(role, source) for role, source in sources)
    environment = tuple((Cell(key), Cell(entry)) for key, entry in flat(study.environment))
    tables = (
        Table(
            "Inputs. The hash is the SHA-256 of the images’ content.",
            ("set", "name", "images", "shape", "hash"),
            rows,
        ),
        Table("Environment.", ("item", "value"), environment),
    )
    text = (
        "The same configuration and seed give the same numbers. This page was built from stored results "
        "only; no model was run for it."
    )
    config = yaml.safe_dump(study.config, sort_keys=False, allow_unicode=True)
    return Section(
        "provenance", "Provenance", (text,), tables=tables, part="config.html.j2", values={"config": config}
    )


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


def _duration(point: PointResult) -> str:
    total = sum(point.seconds.values())
    return f"{total:,.0f} s" if point.seconds else absent

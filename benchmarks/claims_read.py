"""What finished studies hold of the paper's claims, read from run folders or from a summary of seeds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spurion.geometry.groups.results import GroupReading, OrderResult
from spurion.grid.results import GridResult
from spurion.phases.passage import Capacity
from spurion.statistics.intervals import Interval
from spurion.studies.results import StudyResult

CAPACITIES = {"MC": "memorization", "SC": "spurious", "GC": "generalization"}

KINDS = ("memorized", "spurious", "generalized")

FREE = ("name", "seed", "gallery", "geometry", "flow", "training.device", "training.stop_after")
"""Fields of a configuration in which studies of one setting may differ."""


@dataclass(frozen=True)
class Found:
    """One study: one training of a model for every training size.

    `setting`: the fields of its configuration by dotted name, without those of `FREE`; None if not known.
    `shares`: by training size and class. `orders`: comparisons of classes, by measure and training size.
    `training`: readings at training images, by measure and training size. `duplicated`: how many memorized
    samples have a duplicate among the samples, and how many memorized samples there are, by training size.
    """

    name: str
    seed: int
    setting: Mapping[str, object] | None
    shares: Mapping[int, Mapping[str, Interval]]
    capacities: Mapping[str, Capacity]
    orders: Mapping[str, Mapping[int, tuple[OrderResult, ...]]] = field(default_factory=dict)
    training: Mapping[str, Mapping[int, GroupReading]] = field(default_factory=dict)
    duplicated: Mapping[int, tuple[int, int]] = field(default_factory=dict)


def read(path):
    """The studies of a run folder, of a `study.json`, or of a summary by `benchmarks/seeds.py`.

    Of several studies in one folder (`--over`, `--seeds`) every cell is one.
    """
    path = Path(path)
    path = path / "study.json" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"There is no file {path}; give folders of finished studies.")
    values = json.loads(path.read_text())
    if "studies" in values:
        return [_of_summary(path.stem.removesuffix("-seeds"), one) for one in values["studies"]]
    if values.get("schema") == "spurion.grid/1":
        return list(of_grid(GridResult.model_validate(values)))
    return [of_study(StudyResult.model_validate(values))]


def _of_summary(name, values):
    shares = {
        int(size): {kind: Interval.model_validate(share) for kind, share in classes.items()}
        for size, classes in values["shares"].items()
    }
    known = {kind: Capacity.model_validate(values["capacities"][kind]) for kind in CAPACITIES}
    return Found(name, values["seed"], None, shares, known)


def of_grid(grid):
    """What the cells of a grid hold: shares and capacities."""
    study = dict(_flat(grid.config.study.model_dump(mode="json")))
    for cell in grid.cells:
        shares = {
            point.train_size: {kind: getattr(point.fractions, kind) for kind in KINDS}
            for point in cell.points
            if point.fractions is not None
        }
        capacities = {
            short: getattr(cell.capacities, name) for short, name in CAPACITIES.items() if cell.capacities
        }
        setting = {**study, **cell.values, "training.iterations": cell.steps}
        yield Found(grid.name, cell.seed, setting, shares, capacities)


def of_study(study):
    """What a study holds."""
    orders, training = {}, {}
    for size, geometry in study.geometries.items():
        for result in geometry.measures:
            orders.setdefault(result.name, {})[size] = result.orders
            if "training" in result.groups:
                training.setdefault(result.name, {})[size] = result.groups["training"]
    audits = {size: audit for size, audit in study.audits.items() if audit.fractions is not None}
    return Found(
        name=study.config["name"],
        seed=study.config["seed"],
        setting={**dict(_flat(study.config)), "training.iterations": steps_of(study.config["training"])},
        shares={
            size: {kind: getattr(audit.fractions, kind) for kind in KINDS} for size, audit in audits.items()
        },
        capacities={
            short: getattr(study.capacities, name) for short, name in CAPACITIES.items() if study.capacities
        },
        orders=orders,
        training=training,
        duplicated={
            size: (round(audit.duplicated_memorized * audit.counts[0]), audit.counts[0])
            for size, audit in audits.items()
            if audit.duplicated_memorized is not None and audit.counts and audit.counts[0]
        },
    )


def steps_of(training):
    """The step whose model was studied: that at which the training was stopped, or its last."""
    return training.get("stop_after") or training["iterations"]


def _flat(values, before=""):
    for key, value in values.items():
        name = f"{before}{key}"
        if name in FREE:
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value

"""The configuration of a grid: one study, the fields that vary over it, and the seeds.

A grid has a cell for every combination of values and every seed; each is a study as `StudyConfig` has it.
``training.iterations`` is read in a way of its own: all steps that are asked for are those of one training,
which goes to the largest. A cell at fewer steps is the study of that training with ``training.stop_after``.

Geometry and the flow of samples, which take longer than all else and are not part of the result of a grid,
are measured in the cells only if the configuration names them.
"""

__all__ = ["MOST_CELLS", "STEPS", "GridConfig", "grid_config", "label"]

import json
import re
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from spurion.core.config import Config, build_config
from spurion.core.text import printable
from spurion.studies.config import StudyConfig, apply_overrides, load_config, resolve_config
from spurion.studies.recipes import named_values

MOST_CELLS = 100
"""Cells of one grid."""

STEPS = "training.iterations"
"""The field whose values are read off one training."""

LEFT_OUT = ("geometry", "flow")
"""What is measured in the cells only if it is named."""

FIXED = {
    "name": "it is what the study is called",
    "seed": "name seeds with `--seeds`",
    "data": "the cells of a grid share their images",
    "train_sizes": "every cell is a study over all training sizes",
    "training.stop_after": f"name the steps as {STEPS}",
    "training.device": "choose it for all cells with `--device`",
    "training.checkpoint_every": "it changes no number",
}
"""Fields that do not vary, and why."""


class GridConfig(Config):
    """Everything that decides the numbers of a grid.

    `study`: the study, with some value of every field that varies. `over`: the values of these fields, in
    ascending order where they are numbers. `seeds`: the seeds, ascending.
    """

    kind: Literal["grid"] = "grid"
    study: StudyConfig
    over: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    seeds: tuple[int, ...] = Field(min_length=1)

    @property
    def name(self) -> str:
        """What the study is called."""
        return self.study.name

    @property
    def combinations(self) -> tuple[dict[str, Any], ...]:
        """Every combination of values, the last field varying first; one without any where no field does."""
        return tuple(dict(zip(self.over, values, strict=True)) for values in product(*self.over.values()))

    @property
    def longest(self) -> int | None:
        """The step to which trainings go that are read at several steps; None where they are not."""
        return max(self.over[STEPS]) if STEPS in self.over else None

    def cell(self, values: Mapping[str, Any], seed: int) -> StudyConfig:
        """The study of one combination of values and one seed.

        Raises:
            ValueError: If a field does not take its value.
        """
        given = {**values, "seed": seed}
        if self.longest is not None and given[STEPS] < self.longest:
            given["training.stop_after"] = given[STEPS]
            given[STEPS] = self.longest
        changes = [f"{field}={json.dumps(value)}" for field, value in given.items()]
        return resolve_config(self.study.model_dump(mode="json"), changes)

    @model_validator(mode="after")
    def _of_studies(self) -> "GridConfig":
        object.__setattr__(self, "over", {field: _ordered(values) for field, values in self.over.items()})
        object.__setattr__(self, "seeds", tuple(sorted(self.seeds)))
        for field, values in self.over.items():
            _check_field(field, values, self.over)
        for seed in self.seeds:
            if seed < 0:
                raise ValueError(f"`seeds` must be at least 0, got {seed}")
        if twice := next((seed for seed in self.seeds if self.seeds.count(seed) > 1), None):
            raise ValueError(f"`seeds` holds {twice} twice")
        cells = len(self.combinations) * len(self.seeds)
        if not 2 <= cells <= MOST_CELLS:
            raise ValueError(
                f"a grid must have 2 to {MOST_CELLS} cells, which are combinations of values and seeds, "
                f"got {cells}"
            )
        if self.longest is not None and self.study.training.stop_after is not None:
            raise ValueError(f"`training.stop_after` cannot be set where {STEPS} varies, got both")
        self._check_cells()
        return self

    def _check_cells(self) -> None:
        known: dict[str, str] = {}
        for values in self.combinations:
            study = self.cell(values, self.seeds[0]).model_dump_json()
            name = ", ".join(f"{field}={label(value)}" for field, value in values.items())
            if study in known:
                raise ValueError(f"{known[study]} and {name} are the same study")
            known[study] = name


def label(value: Any) -> str:
    """A value of a field as people write it, in one short line.

    Example:
        >>> label("4x"), label(0.1), label([1, 2]), label(None)
        ('4x', '0.1', '[1,2]', 'null')
    """
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return f"{printable(text):.60}"


def grid_config(
    what: str | Path | Config,
    overrides: Sequence[str] = (),
    device: str | None = None,
    over: Mapping[str, Sequence[Any]] | None = None,
    seeds: Sequence[int] = (),
) -> GridConfig:
    """Resolve a grid over a recipe, a YAML file or a configuration; or the configuration of a grid itself.

    Arguments:
        what: A recipe's name, a YAML file, or a configuration.
        overrides: Fields to set in every cell, as ``a.b=value``.
        device: Where to train and sample; overrides the configuration.
        over: The values of each field that varies.
        seeds: The seeds; that of the configuration if there are none.

    Raises:
        ValueError: If a field does not exist, may not vary, or does not take one of its values.
    """
    chosen = [*overrides, *([] if device is None else [f"training.device={device}"])]
    stored, where = _stored(what)
    if stored is not None:
        if over or seeds:
            raise ValueError("a grid has its fields and seeds; leave `over` and `seeds` out.")
        _check_named_once(chosen, {**stored.get("over", {}), "seed": ()})
        inside = [f"study.{change}" for change in chosen]
        return build_config(GridConfig, apply_overrides(stored, inside), where)
    if not isinstance(what, str | Path | StudyConfig):
        raise ValueError("`over` and `seeds` are for studies of images; leave them out.")
    values, where = named_values(what)
    changes = apply_overrides(values, chosen)
    named = changes.get("seed")
    if seeds and any(change.partition("=")[0].strip() == "seed" for change in chosen):
        raise ValueError("`seed` and `seeds` name the same thing; leave one of them out.")
    chosen_seeds = tuple(seeds) or (0 if named is None else named,)
    study = resolve_config({**dict.fromkeys(LEFT_OUT), **changes, "seed": 0}, (), where)
    return build_config(
        GridConfig,
        {"study": study, "over": {field: tuple(found) for field, found in (over or {}).items()},
         "seeds": chosen_seeds},
    )  # fmt: skip


def _stored(what: object) -> tuple[dict[str, Any] | None, str]:
    """The plain values of a grid that is one already, and where they are from; None if it is a study."""
    if isinstance(what, GridConfig):
        return what.model_dump(mode="json"), ""
    if isinstance(what, str | Path) and Path(what).suffix in {".yaml", ".yml"}:
        values = load_config(what)
        return (values, str(what)) if values.get("kind") == "grid" else (None, "")
    return None, ""


def _check_named_once(changes: Sequence[str], over: Mapping[str, Any]) -> None:
    """Refuse a change of a field that varies, which would have no effect."""
    for change in changes:
        field = change.partition("=")[0].strip()
        if field in over:
            raise ValueError(f"`{field}` varies in this grid; leave {change!r:.80} out.")


def _check_steps(values: Sequence[Any]) -> None:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"`{STEPS}` must be whole numbers of at least 1, got {label(value)!r}")


def _ordered(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Values in an order that does not hang on how they were given, where there is one."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return tuple(sorted(values))
    if all(isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}x", value) for value in values):
        return tuple(sorted(values, key=lambda value: int(value[:-1])))
    return values


def _check_field(field: str, values: Sequence[Any], over: Mapping[str, Sequence[Any]]) -> None:
    for fixed, reason in FIXED.items():
        if field == fixed or field.startswith(f"{fixed}."):
            raise ValueError(f"`{field}` does not vary in a grid: {reason}")
        if fixed.startswith(f"{field}."):
            raise ValueError(f"`{field}` does not vary as a whole; name one of its fields, such as {STEPS}")
    if wider := next((other for other in over if field.startswith(f"{other}.")), None):
        raise ValueError(f"`{field}` is part of `{wider}`, which varies too")
    if twice := next((v for i, v in enumerate(values) if v in values[:i]), None):
        raise ValueError(f"`{field}` is asked for {label(twice)!r} twice")
    if field == STEPS:
        _check_steps(values)

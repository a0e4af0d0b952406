"""What a grid found, as it is stored: the types behind its `study.json` and its JSON Schema.

Nothing here depends on the clock: the same grid gives the same bytes, however often it was interrupted. What
a study alone has beyond this stands in the `study.json` of its cell.
"""

__all__ = [
    "CAPACITIES",
    "CellPoint",
    "CellResult",
    "GridResult",
    "MeanPoint",
    "Onset",
    "Setting",
    "Spread",
    "grid_schema",
]

from typing import Any, Literal

from pydantic import Field, model_validator

from spurion.audits.claims import Claim, Severity, sentences
from spurion.audits.findings import SourceInfo
from spurion.core.config import Config, StoredResult
from spurion.core.quantities import Count, Distance, Label, Settings, Share, Size
from spurion.grid.config import MOST_CELLS, STEPS, GridConfig
from spurion.phases.transitions import Capacities
from spurion.statistics.intervals import ClassFractions, ShareInterval
from spurion.studies.results import MOST_SIZES

CAPACITIES = {"memorization": "memorized", "spurious": "spurious", "generalization": "generalized"}
"""The capacities, and the class that each speaks of."""


class CellPoint(Config):
    """One training size of one cell."""

    train_size: Size
    sample_size: Size
    message: str = Field("", description="Why it failed; empty if it did not.")
    fractions: ClassFractions | None = None
    near: ShareInterval | None = Field(
        None,
        description="Share of samples no farther from the training images than 95 % of the held-out images "
        "are; null without held-out images.",
    )


class CellResult(Config):
    """One cell: the study of one combination of values and one seed."""

    folder: Label = Field(description="Its run folder, inside that of the grid.")
    values: Settings
    seed: Count
    steps: Count = Field(description="Training steps of its models.")
    points: tuple[CellPoint, ...] = Field(max_length=MOST_SIZES)
    capacities: Capacities | None

    def point(self, train_size: int) -> CellPoint | None:
        """What was found at a training size; None if there is nothing."""
        return next((point for point in self.points if point.train_size == train_size), None)


class Spread(Config):
    """The mean of a capacity over seeds, by logarithms, and its interval; null unless all seeds have one."""

    value: Distance | None
    low: Distance | None = None
    high: Distance | None = None
    found: Count = Field(description="Seeds at which it lies within the training sizes studied.")


class MeanPoint(Config):
    """Mean shares over seeds at one training size, with intervals between seeds."""

    train_size: Size
    memorized: ShareInterval
    spurious: ShareInterval
    generalized: ShareInterval
    near: ShareInterval | None = None


class Setting(Config):
    """One combination of values over all seeds that have it."""

    values: Settings
    points: tuple[MeanPoint, ...] = Field(max_length=MOST_SIZES)
    capacities: dict[str, Spread]


class Onset(Config):
    """The first training step read at which a share of the samples has reached a level."""

    values: Settings = Field(description="The other fields.")
    train_size: Size
    what: Literal["memorized", "near"]
    level: Share
    seed: Count | None = Field(description="Null for the mean over seeds.")
    step: Count | None = Field(description="Null if it is not reached.")
    before: Count | None = Field(description="The step read before it; null if there is none.")


class GridResult(StoredResult):
    """A whole grid: its `study.json`."""

    schema_: Literal["spurion.grid/1"] = Field("spurion.grid/1", alias="schema")
    name: str
    config: GridConfig
    environment: Settings
    train: SourceInfo
    holdout: SourceInfo | None
    cells: tuple[CellResult, ...] = Field(max_length=MOST_CELLS)
    settings: tuple[Setting, ...] = Field((), max_length=MOST_CELLS, description="Empty with one seed.")
    onsets: tuple[Onset, ...] = Field((), max_length=10**5, description="Empty unless steps vary.")
    claims: tuple[Claim, ...] = Field((), max_length=10_000, description="Everything that is said of it.")

    @property
    def sizes(self) -> tuple[int, ...]:
        """All training sizes."""
        return tuple(sorted({point.train_size for cell in self.cells for point in cell.points}))

    @property
    def several(self) -> bool:
        """Whether more than one seed ran."""
        return len(self.config.seeds) > 1

    def at(self, values: dict[str, Any]) -> tuple[CellResult, ...]:
        """The cells of one combination of values, by seed."""
        return tuple(cell for cell in self.cells if cell.values == values)

    def setting(self, values: dict[str, Any]) -> Setting | None:
        """One combination over all seeds; None with one seed."""
        return next((setting for setting in self.settings if setting.values == values), None)

    def others(self, field: str) -> tuple[dict[str, Any], ...]:
        """Every combination of the values of all fields but one."""
        found: list[dict[str, Any]] = []
        for values in self.config.combinations:
            rest = {name: value for name, value in values.items() if name != field}
            found += [] if rest in found else [rest]
        return tuple(found)

    def said(self, *severities: Severity) -> list[str]:
        """What its claims of some severities say."""
        return sentences(self.claims, *severities)

    @model_validator(mode="after")
    def _every_cell_once(self) -> "GridResult":
        wanted = [(values, seed) for seed in self.config.seeds for values in self.config.combinations]
        if [(cell.values, cell.seed) for cell in self.cells] != wanted:
            raise ValueError("`cells` must hold every combination of values and seeds once, in their order")
        if self.onsets and STEPS not in self.config.over:
            raise ValueError(f"`onsets` must be empty unless {STEPS} varies")
        return self


def grid_schema() -> dict[str, Any]:
    """JSON Schema of the `study.json` of a grid."""
    return GridResult.model_json_schema(by_alias=True, mode="serialization")

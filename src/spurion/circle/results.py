"""What a study of the circle found, as it is stored: the types behind its `study.json` and its JSON Schema.

Energies are in squared radii of the circle, barriers in kT = 1/beta, angles follow from `x` and `y`. The
report reads these and the grids of `landscapes/*.npz` and `trained/*/grid.npz`, and nothing else. Intervals
over random sets are for the chance of drawing the sets. Nothing depends on the clock but `seconds`.
"""

__all__ = [
    "Branches",
    "CircleResult",
    "Cluster",
    "Comparison",
    "Law",
    "LearnedMinimum",
    "MergePoint",
    "Minimum",
    "PhasePoint",
    "State",
    "TrainedResult",
    "circle_schema",
]

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from spurion.circle.config import CircleConfig
from spurion.circle.fields import Beta, NetworkName, Time
from spurion.core.config import Config, StoredResult
from spurion.core.quantities import (
    ROUNDING,
    Count,
    Distance,
    Notes,
    Number,
    Seconds,
    Settings,
    Share,
    Size,
    check_lengths,
)
from spurion.statistics.intervals import Interval, ShareInterval

Kind = Literal["memory", "spurious", "continuum"]


class Minimum(Config):
    """One minimum of the exact energy."""

    x: Number
    y: Number
    energy: Number = Field(description="Above the lowest minimum of the same energy.")
    kind: Kind
    top_weight: Share = Field(description="Largest softmax weight of a pattern.")
    effective_number: Distance = Field(description="Effective number of patterns, 1 / sum w^2.")
    barrier: Number | None = Field(
        description="Lowest pass to another minimum in kT; null without another or where not asked for."
    )
    curvature: tuple[Number, Number] = Field(description="Eigenvalues of the Hessian, smaller first.")


class State(Config):
    """All minima of one set of patterns at one inverse temperature."""

    count: Size | None = Field(description="Number K of patterns; null for infinitely many.")
    beta: Beta
    minima: tuple[Minimum, ...] = Field(description="Lowest first; empty for infinitely many, see `ring`.")
    ring: Distance | None = Field(description="Radius of the ring of minima, for infinitely many patterns.")
    unseen: Share = Field(description="Estimated share of the density in basins of minima not found.")
    unconverged: Count = Field(description="Descents that did not come to rest.")


class MergePoint(Config):
    """Where two minima become one as the inverse temperature falls."""

    beta: Beta
    x: Number
    y: Number


class Branches(Config):
    """Number of minima of one set against the inverse temperature, and where they merge."""

    count: Size
    betas: tuple[Beta, ...] = Field(max_length=10_000, description="Largest first.")
    minima: tuple[Count, ...]
    merges: tuple[MergePoint, ...] = Field(description="Largest inverse temperature first.")

    @model_validator(mode="after")
    def _one_number_each(self) -> "Branches":
        check_lengths("betas", len(self.betas), minima=self.minima)
        return self


class PhasePoint(Config):
    """Means over random sets of K patterns at one inverse temperature."""

    count: Size
    beta: Beta
    sets: Size
    minima: Interval = Field(description="Number of minima.")
    memories: Interval = Field(description="Number of those that are memories.")
    memory: ShareInterval = Field(description="Basin mass of memories: share of the density that ends there.")
    spurious: ShareInterval
    continuum: ShareInterval
    shares: tuple[Share, Share, Share] = Field(
        description="Shares of the minima that are memory, spurious and continuum states."
    )
    elsewhere: Share = Field(description="Share of the draws that did not come to rest.")


class Law(Config):
    """A law of large numbers of random patterns against what was found."""

    name: Literal["capacity", "saturation", "ripple"]
    beta: Beta
    predicted: Distance
    found: Interval | None = Field(description="Null where the study does not reach it.")


class Comparison(Config):
    """The learned energy against an exact one on a grid."""

    against: Literal["patterns", "ring"]
    correlation: Annotated[float, Field(ge=-1 - ROUNDING, le=1 + ROUNDING)] = Field(
        description="Pearson correlation of the energies over the grid."
    )
    rms: Number = Field(description="Root mean square difference in kT over the grid; no constant is fitted.")
    rms_weighted: Number = Field(description="The same, weighted by the exact density.")
    hausdorff: Distance | None = Field(
        description="Hausdorff distance of the sets of minima; null where one of them is empty."
    )


class LearnedMinimum(Config):
    """One minimum of the learned energy."""

    x: Number
    y: Number
    energy: Number | None = Field(description="Above the lowest value on the grid.")
    curvature: tuple[Number, Number]
    starts: Count = Field(description="Starts that descended into it.")
    to_pattern: Distance = Field(description="Distance to the nearest pattern.")
    to_exact: Distance | None = Field(description="Distance to the nearest minimum of the exact energy.")


class Cluster(Config):
    """One cluster of samples."""

    x: Number
    y: Number
    size: Size
    energy: Number | None = Field(description="Energy of the centroid above the lowest value on the grid.")
    to_pattern: Distance = Field(description="Distance to the nearest pattern.")


class TrainedResult(Config):
    """One network trained on one set of patterns."""

    count: Size
    network: NetworkName
    status: Literal["done", "failed"]
    message: str = Field("", description="Why it failed; empty otherwise.")
    iterations: Count
    parameters: Count | None = None
    final_loss: Number | None = None
    time: Time
    beta: Beta
    near_pattern: ShareInterval | None = Field(
        None, description="Share of samples within 0.1 of a training pattern."
    )
    near_ring: ShareInterval | None = Field(None, description="Share of samples within 0.1 of the circle.")
    clusters: tuple[Cluster, ...] = ()
    exact: State | None = Field(None, description="The exact minima at the same time.")
    minima: tuple[LearnedMinimum, ...] = ()
    unconverged: Count = 0
    unresolved: Count = Field(0, description="Grid points whose energy could not be computed.")
    comparisons: tuple[Comparison, ...] = ()
    seconds: Seconds = Field(default_factory=dict)


class CircleResult(StoredResult):
    """A whole study of the circle: its `study.json`."""

    schema_: Literal["spurion.circle/1"] = Field("spurion.circle/1", alias="schema")
    name: str
    config: CircleConfig
    environment: Settings
    patterns: dict[Size, tuple[Number, ...]] = Field(
        description="Angles in degrees of the sets of at most 100 patterns, by K."
    )
    landscapes: tuple[State, ...]
    table: tuple[State, ...]
    branches: tuple[Branches, ...]
    sweep: tuple[PhasePoint, ...]
    phases: tuple[PhasePoint, ...]
    laws: tuple[Law, ...]
    trained: tuple[TrainedResult, ...]
    seconds: Seconds = Field(description="Processor time of each part.")
    notes: Notes = ()


def circle_schema() -> dict[str, Any]:
    """JSON Schema of the `study.json` of a study of the circle."""
    return CircleResult.model_json_schema(by_alias=True, mode="serialization")

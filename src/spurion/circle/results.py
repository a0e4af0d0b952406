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

from typing import Any, Literal

from pydantic import Field

from spurion.core.config import Config, StoredResult
from spurion.phases.intervals import Interval

Kind = Literal["memory", "spurious", "continuum"]


class Minimum(Config):
    """One minimum of the exact energy."""

    x: float
    y: float
    energy: float = Field(description="Above the lowest minimum of the same energy.")
    kind: Kind
    top_weight: float = Field(description="Largest softmax weight of a pattern.")
    effective_number: float = Field(description="Effective number of patterns, 1 / sum w^2.")
    barrier: float | None = Field(
        description="Lowest pass to another minimum in kT; null without another or where not asked for."
    )
    curvature: tuple[float, float] = Field(description="Eigenvalues of the Hessian, smaller first.")


class State(Config):
    """All minima of one set of patterns at one inverse temperature."""

    count: int | None = Field(description="Number K of patterns; null for infinitely many.")
    beta: float
    minima: tuple[Minimum, ...] = Field(description="Lowest first; empty for infinitely many, see `ring`.")
    ring: float | None = Field(description="Radius of the ring of minima, for infinitely many patterns.")
    unseen: float = Field(description="Estimated share of the density in basins of minima not found.")
    unconverged: int = Field(description="Descents that did not come to rest.")


class MergePoint(Config):
    """Where two minima become one as the inverse temperature falls."""

    beta: float
    x: float
    y: float


class Branches(Config):
    """Number of minima of one set against the inverse temperature, and where they merge."""

    count: int
    betas: tuple[float, ...] = Field(description="Largest first.")
    minima: tuple[int, ...]
    merges: tuple[MergePoint, ...] = Field(description="Largest inverse temperature first.")


class PhasePoint(Config):
    """Means over random sets of K patterns at one inverse temperature."""

    count: int
    beta: float
    sets: int
    minima: Interval = Field(description="Number of minima.")
    memories: Interval = Field(description="Number of those that are memories.")
    memory: Interval = Field(description="Basin mass of memories: share of the density that ends there.")
    spurious: Interval
    continuum: Interval
    shares: tuple[float, float, float] = Field(
        description="Shares of the minima that are memory, spurious and continuum states."
    )
    elsewhere: float = Field(description="Share of the draws that did not come to rest.")


class Law(Config):
    """A law of large numbers of random patterns against what was found."""

    name: Literal["capacity", "saturation", "ripple"]
    beta: float
    predicted: float
    found: Interval | None = Field(description="Null where the study does not reach it.")


class Comparison(Config):
    """The learned energy against an exact one on a grid."""

    against: Literal["patterns", "ring"]
    correlation: float = Field(description="Pearson correlation of the energies over the grid.")
    rms: float = Field(description="Root mean square difference in kT over the grid; no constant is fitted.")
    rms_weighted: float = Field(description="The same, weighted by the exact density.")
    hausdorff: float | None = Field(
        description="Hausdorff distance of the sets of minima; null where one of them is empty."
    )


class LearnedMinimum(Config):
    """One minimum of the learned energy."""

    x: float
    y: float
    energy: float | None = Field(description="Above the lowest value on the grid.")
    curvature: tuple[float, float]
    starts: int = Field(description="Starts that descended into it.")
    to_pattern: float = Field(description="Distance to the nearest pattern.")
    to_exact: float | None = Field(description="Distance to the nearest minimum of the exact energy.")


class Cluster(Config):
    """One cluster of samples."""

    x: float
    y: float
    size: int
    energy: float | None = Field(description="Energy of the centroid above the lowest value on the grid.")
    to_pattern: float = Field(description="Distance to the nearest pattern.")


class TrainedResult(Config):
    """One network trained on one set of patterns."""

    count: int
    network: str
    status: Literal["done", "failed"]
    message: str = Field("", description="Why it failed; empty otherwise.")
    iterations: int
    parameters: int | None = None
    final_loss: float | None = None
    time: float
    beta: float
    near_pattern: Interval | None = Field(
        None, description="Share of samples within 0.1 of a training pattern."
    )
    near_ring: Interval | None = Field(None, description="Share of samples within 0.1 of the circle.")
    clusters: tuple[Cluster, ...] = ()
    exact: State | None = Field(None, description="The exact minima at the same time.")
    minima: tuple[LearnedMinimum, ...] = ()
    unconverged: int = 0
    unresolved: int = Field(0, description="Grid points whose energy could not be computed.")
    comparisons: tuple[Comparison, ...] = ()
    seconds: dict[str, float] = Field(default_factory=dict)


class CircleResult(StoredResult):
    """A whole study of the circle: its `study.json`."""

    schema_: Literal["spurion.circle/1"] = Field("spurion.circle/1", alias="schema")
    name: str
    config: dict[str, Any]
    environment: dict[str, Any]
    patterns: dict[int, tuple[float, ...]] = Field(
        description="Angles in degrees of the sets of at most 100 patterns, by K."
    )
    landscapes: tuple[State, ...]
    table: tuple[State, ...]
    branches: tuple[Branches, ...]
    sweep: tuple[PhasePoint, ...]
    phases: tuple[PhasePoint, ...]
    laws: tuple[Law, ...]
    trained: tuple[TrainedResult, ...]
    seconds: dict[str, float] = Field(description="Processor time of each part.")
    notes: tuple[str, ...] = ()


def circle_schema() -> dict[str, Any]:
    """JSON Schema of the `study.json` of a study of the circle."""
    return CircleResult.model_json_schema(by_alias=True, mode="serialization")

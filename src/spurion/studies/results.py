"""What a study found, as it is stored: the types behind `study.json` and its JSON Schema.

The report reads these and nothing else. All distances are in the unit that `DistanceInfo` names (for
l2: Euclidean norm of images scaled to [-1, 1]); all fractions lie in [0, 1]; a value that could not be
computed is null, with the reason among the notes. Nothing here depends on the clock but `seconds`.
"""

__all__ = [
    "CapacitiesAt",
    "LeakCapacities",
    "Point",
    "StudyResult",
    "TrainingSummary",
    "study_schema",
]

from typing import Any, Literal

from pydantic import Field, model_validator

from spurion.audits.claims import Claim, Severity, sentences
from spurion.audits.findings import SourceInfo
from spurion.audits.results import AuditResult
from spurion.core.config import Config, StoredResult, build_config
from spurion.core.quantities import Count, Number, Seconds, Settings, Share, Size
from spurion.geometry.groups.config import GeometryConfig
from spurion.geometry.groups.flow import SampleFlow
from spurion.geometry.groups.results import GeometryResult, ScanResult
from spurion.phases.passage import Capacity
from spurion.phases.transitions import Capacities

MOST_SIZES = 200
"""Training sizes of one study: each has panels of its own in the figures."""


class TrainingSummary(Config):
    """How the model of a point was trained."""

    iterations: Count
    final_loss: Number | None = Field(description="Mean loss of the last logged interval.")
    parameters: Count


class Point(Config):
    """One training size of a study: how its model was trained, and the audit of its samples."""

    train_size: Size
    sample_size: Size
    message: str = Field("", description="Why a point failed; empty if it did not.")
    training: TrainingSummary | None = None
    audit: AuditResult | None = Field(None, description="Null if the point failed.")
    spurious_at_common_size: Share | None = Field(
        None, description="Spurious share expected at the common size of the study (rarefaction)."
    )
    seconds: Seconds = Field(default_factory=dict, description="Wall time of each stage.")

    @model_validator(mode="after")
    def _of_its_size(self) -> "Point":
        if self.audit is not None and self.audit.inputs.train.count != self.train_size:
            sizes = f"{self.audit.inputs.train.count} and {self.train_size}"
            raise ValueError(f"`audit` must be of as many training images as `train_size`, got {sizes}")
        return self


class CapacitiesAt(Config):
    """The capacities under the `null` rule at one share of honest samples that may be called copies."""

    alpha: Share
    capacities: Capacities


class LeakCapacities(Config):
    """Training sizes at which the leak excess 2A - 1 falls to 90 %, to half, and to nothing.

    A is the share of samples closer to the training set than to an equally large held-out set.
    """

    most: Capacity
    half: Capacity
    none: Capacity


class StudyResult(StoredResult):
    """A whole study: `study.json`."""

    schema_: Literal["spurion.study/2"] = Field("spurion.study/2", alias="schema")
    name: str
    config: Settings
    environment: Settings
    train: SourceInfo
    holdout: SourceInfo | None
    common_size: Size | None = Field(
        description="Number of samples at which repetitions are compared: the smallest over the points, or "
        "the smaller one for which the thresholds hold."
    )
    points: tuple[Point, ...] = Field(max_length=MOST_SIZES)
    capacities: Capacities | None
    capacities_by_alpha: tuple[CapacitiesAt, ...] = Field(
        (), max_length=100, description="Capacities under the null rule at other shares, largest first."
    )
    leak_capacities: LeakCapacities | None = Field(None, description="Null without held-out images.")
    curvature: ScanResult | None = Field(None, description="The noise at which curvature is read, and why.")
    claims: tuple[Claim, ...] = Field((), max_length=1000, description="Everything that is said of it.")
    recall_capacity: Capacity | None = Field(
        None,
        description="Where the share of training images that the iterated denoiser recalls passes "
        "1 - epsilon.",
    )

    @property
    def audits(self) -> dict[int, AuditResult]:
        """The audits of the points that did not fail, by training size."""
        points = sorted(self.points, key=lambda point: point.train_size)
        return {point.train_size: point.audit for point in points if point.audit is not None}

    @property
    def flows(self) -> dict[int, SampleFlow]:
        """Where the samples of the models flow, by training size."""
        found = {k: audit.flow for k, audit in self.audits.items()}
        return {k: flow for k, flow in found.items() if flow is not None}

    @property
    def geometries(self) -> dict[int, GeometryResult]:
        """What was measured of the models, by training size."""
        found = {k: audit.geometry for k, audit in self.audits.items()}
        return {k: geometry for k, geometry in found.items() if geometry is not None}

    def said(self, *severities: Severity) -> list[str]:
        """What its claims of some severities say."""
        return sentences(self.claims, *severities)

    @model_validator(mode="after")
    def _each_size_once(self) -> "StudyResult":
        sizes = [point.train_size for point in self.points]
        if len(set(sizes)) < len(sizes):
            raise ValueError(f"each training size must be there once, got {sizes!s:.80}")
        _ = self.geometry_config
        return self

    @property
    def geometry_config(self) -> GeometryConfig | None:
        """How the geometry was measured, if the configuration says so."""
        found = self.config.get("geometry")
        return None if found is None else build_config(GeometryConfig, found, "config.geometry")


def study_schema() -> dict[str, Any]:
    """JSON Schema of `study.json`."""
    return StudyResult.model_json_schema(by_alias=True, mode="serialization")

"""What a study found, as it is stored: the types behind `study.json` and its JSON Schema.

The report reads these and nothing else. All distances are in the unit that `DistanceInfo` names (for
l2: Euclidean norm of images scaled to [-1, 1]); all fractions lie in [0, 1]; a value that could not be
computed is null, with the reason among the notes. Nothing here depends on the clock but `seconds`.
"""

__all__ = [
    "SAMPLE_COLUMNS",
    "TRANSFORM_COLUMN",
    "Controls",
    "DistanceInfo",
    "Findings",
    "PointResult",
    "SourceInfo",
    "StudyResult",
    "TrainingSummary",
    "study_schema",
]

from typing import Any, Literal

from pydantic import Field

from spurion.core.config import Config, StoredResult
from spurion.neighbors import DistanceInfo
from spurion.phases.capacities import Capacities
from spurion.phases.census import Census
from spurion.phases.intervals import ClassFractions, Interval
from spurion.phases.null import NullTest
from spurion.phases.rarefaction import Rarefaction
from spurion.phases.sensitivity import Sensitivity
from spurion.phases.thresholds import ThresholdInfo
from spurion.studies.geometry.results import GeometryResult, ScanResult

SAMPLE_COLUMNS = (
    "index",
    "label",
    "distance_train",
    "nearest_train",
    "distance_train_2",
    "distance_sample",
    "nearest_sample",
)
"""The columns of `samples.csv`."""

TRANSFORM_COLUMN = "transform"
"""One more column, where transforms were looked at: by which one the sample comes nearest; empty for none."""


class SourceInfo(Config):
    """One set of images: its name, number, shape (C, H, W) and content hash."""

    name: str
    count: int
    shape: tuple[int, ...]
    sha256: str


class Controls(Config):
    """Images whose answer is known, classified like samples: the instrument's own check.

    `noisy_copies`: share of training images with a whisper of noise that are called memorized (must be 1).
    `held_out`: share of held-out images that are called memorized (must be near 0); null without them.
    """

    noisy_copies: Interval | None
    noise: float = Field(description="Standard deviation of the noise added to the copies.")
    held_out: Interval | None
    transformed: dict[str, Interval] = Field(
        {}, description="Share of transformed training images that are called memorized, by the transform."
    )


class TrainingSummary(Config):
    """How the model of a point was trained."""

    iterations: int
    final_loss: float | None = Field(description="Mean loss of the last logged interval.")
    parameters: int


class Findings(Config):
    """What a set of samples is, measured against a training set."""

    distance: DistanceInfo
    thresholds: ThresholdInfo | None = None
    fractions: ClassFractions | None = None
    counts: tuple[int, int, int] | None = Field(
        None, description="Number of memorized, spurious and generalized samples."
    )
    ratio_fractions: ClassFractions | None = None
    holdout_thresholds: ThresholdInfo | None = None
    holdout_fractions: ClassFractions | None = None
    duplicated_memorized: float | None = Field(
        None, description="Share of memorized samples that also have a duplicate among the samples."
    )
    null: NullTest | None = None
    rarefaction: Rarefaction | None = None
    collision_rate: float | None = None
    census: Census | None = None
    sensitivity: Sensitivity | None = None
    controls: Controls | None = None
    notes: tuple[str, ...] = ()


class PointResult(Findings):
    """One training size of a study: how it was sampled and what the samples are."""

    train_size: int
    sample_size: int
    status: Literal["done", "failed"]
    message: str = Field("", description="Why a point failed; empty otherwise.")
    sampler: dict[str, Any]
    train_duplicates: int | None = Field(
        None, description="Training images with an exact copy elsewhere in the training set."
    )
    spurious_at_common_size: float | None = Field(
        None, description="Spurious share expected at the smallest sample size of the study (rarefaction)."
    )
    training: TrainingSummary | None = None
    geometry: GeometryResult | None = None
    seconds: dict[str, float] = Field(default_factory=dict, description="Wall time of each stage.")


class StudyResult(StoredResult):
    """A whole study: `study.json`."""

    schema_: Literal["spurion.study/1"] = Field("spurion.study/1", alias="schema")
    name: str
    config: dict[str, Any]
    environment: dict[str, Any]
    train: SourceInfo
    holdout: SourceInfo | None
    common_size: int | None = Field(description="Smallest sample size over the points.")
    points: tuple[PointResult, ...]
    capacities: Capacities | None
    curvature: ScanResult | None = Field(None, description="The noise at which curvature is read, and why.")
    notes: tuple[str, ...] = ()


def study_schema() -> dict[str, Any]:
    """JSON Schema of `study.json`."""
    return StudyResult.model_json_schema(by_alias=True, mode="serialization")

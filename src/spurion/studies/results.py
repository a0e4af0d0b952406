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
    "SamplerSettings",
    "SourceInfo",
    "StudyResult",
    "TrainingSummary",
    "study_schema",
]

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from spurion.core.config import Config, StoredResult, build_config
from spurion.core.quantities import Count, Distance, Notes, Number, Seconds, Settings, Share, Size
from spurion.data import ImageSet
from spurion.data.reading import Reading
from spurion.diffusion.samplers import SamplerConfig
from spurion.neighbors import DistanceInfo
from spurion.phases.capacities import Capacities
from spurion.phases.census import Census
from spurion.phases.intervals import ClassFractions, ShareInterval
from spurion.phases.null import NullTest
from spurion.phases.rarefaction import Rarefaction
from spurion.phases.sensitivity import Sensitivity
from spurion.phases.thresholds import ThresholdInfo
from spurion.studies.geometry.config import GeometryConfig
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

MOST_SIZES = 200
"""Training sizes of one study: each has panels of its own in the figures."""


def _of_a_sampler(values: dict[str, Any]) -> dict[str, Any]:
    if values:
        build_config(SamplerConfig, values, "sampler")
    return values


SamplerSettings = Annotated[dict[str, Any], AfterValidator(_of_a_sampler)]
"""The fields of a `SamplerConfig`; empty where it is not known."""

TRANSFORM_COLUMN = "transform"
"""One more column, where transforms were looked at: by which one the sample comes nearest; empty for none."""


class SourceInfo(Config):
    """One set of images: its name, number, shape (C, H, W) and content hash."""

    name: str
    count: Size
    shape: tuple[Size, ...] = Field(max_length=4)
    sha256: str
    reading: Reading = Field(Reading(), description="What became of the other files of its source.")

    @classmethod
    def of(cls, images: ImageSet) -> "SourceInfo":
        """What there is to say of a set."""
        return cls(
            name=images.name,
            count=len(images),
            shape=images.shape,
            sha256=images.sha256,
            reading=images.reading,
        )

    def told(self, role: str, *, warned: bool = False) -> tuple[str, ...]:
        """How many images there are, and what became of the other files, in sentences.

        Arguments:
            role: What the set is for.
            warned: Leave out what is among the warnings of an audit.
        """
        reading = self.reading.notes() if warned else self.reading.sentences()
        return (f"{role}: {self.count:,} of {self.name}.", *reading)


class Controls(Config):
    """Images whose answer is known, classified like samples: the instrument's own check.

    `noisy_copies`: share of training images with a whisper of noise that are called memorized (must be 1).
    `held_out`: share of held-out images that are called memorized (must be near 0); null without them.
    """

    noisy_copies: ShareInterval | None
    noise: Distance = Field(description="Standard deviation of the noise added to the copies.")
    held_out: ShareInterval | None
    transformed: dict[str, ShareInterval] = Field(
        {}, description="Share of transformed training images that are called memorized, by the transform."
    )


class TrainingSummary(Config):
    """How the model of a point was trained."""

    iterations: Count
    final_loss: Number | None = Field(description="Mean loss of the last logged interval.")
    parameters: Count


class Findings(Config):
    """What a set of samples is, measured against a training set."""

    distance: DistanceInfo
    thresholds: ThresholdInfo | None = None
    fractions: ClassFractions | None = None
    counts: tuple[Count, Count, Count] | None = Field(
        None, description="Number of memorized, spurious and generalized samples."
    )
    ratio_fractions: ClassFractions | None = None
    holdout_thresholds: ThresholdInfo | None = None
    holdout_fractions: ClassFractions | None = None
    duplicated_memorized: Share | None = Field(
        None, description="Share of memorized samples that also have a duplicate among the samples."
    )
    null: NullTest | None = None
    rarefaction: Rarefaction | None = None
    collision_rate: Share | None = None
    census: Census | None = None
    sensitivity: Sensitivity | None = None
    controls: Controls | None = None
    notes: Notes = ()


class PointResult(Findings):
    """One training size of a study: how it was sampled and what the samples are."""

    train_size: Size
    sample_size: Size
    status: Literal["done", "failed"]
    message: str = Field("", description="Why a point failed; empty otherwise.")
    sampler: SamplerSettings
    train_duplicates: Count | None = Field(
        None, description="Training images with an exact copy elsewhere in the training set."
    )
    spurious_at_common_size: Share | None = Field(
        None, description="Spurious share expected at the smallest sample size of the study (rarefaction)."
    )
    training: TrainingSummary | None = None
    geometry: GeometryResult | None = None
    seconds: Seconds = Field(default_factory=dict, description="Wall time of each stage.")


class StudyResult(StoredResult):
    """A whole study: `study.json`."""

    schema_: Literal["spurion.study/1"] = Field("spurion.study/1", alias="schema")
    name: str
    config: Settings
    environment: Settings
    train: SourceInfo
    holdout: SourceInfo | None
    common_size: Size | None = Field(description="Smallest sample size over the points.")
    points: tuple[PointResult, ...] = Field(max_length=MOST_SIZES)
    capacities: Capacities | None
    curvature: ScanResult | None = Field(None, description="The noise at which curvature is read, and why.")
    notes: Notes = ()

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

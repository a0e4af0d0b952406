"""What an audit found, as it is stored: the types behind `audit.json` and its JSON Schema.

The report of an audit reads these and the files beside them, never images or models.
"""

__all__ = ["NO_CLOSER", "AuditResult", "Histograms", "Inputs", "ModelInfo", "audit_schema"]

from itertools import pairwise
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from spurion.audits.claims import Asked, Claim, Severity, of_kind, sentences
from spurion.audits.findings import Findings, SamplerSettings, SourceInfo
from spurion.core.config import Config, StoredResult
from spurion.core.quantities import Count, Number, Positive, Settings, Size, check_lengths
from spurion.geometry.groups.flow import SampleFlow
from spurion.geometry.groups.results import GeometryResult, ScanResult
from spurion.phases.classification import CLASSES
from spurion.phases.contrast import Contrast
from spurion.phases.detection import Power
from spurion.phases.exposed import Exposure
from spurion.phases.gate import Verdict
from spurion.phases.metrics import Metric
from spurion.phases.separation import Separation
from spurion.phases.signs import Sign
from spurion.statistics.intervals import Interval

NO_CLOSER = "no closer than chance"
"""What samples are called that no class but generalized holds, where the model still leaks."""


class Inputs(Config):
    """The sets of images, by their role; the hash is that of the content."""

    train: SourceInfo
    samples: SourceInfo
    holdout: SourceInfo | None = None
    resize: Size | None = Field(
        None, description="Side to which the central square of every image was resized."
    )
    value_range: tuple[Number, Number] | dict[str, tuple[Number, Number]] | None = Field(
        None, description="What was declared to stand for black and white in arrays, for all or by set."
    )
    clip: bool = Field(False, description="Whether values outside the range were clipped.")


class ModelInfo(Config):
    """The model that was given, and how it was sampled if it was."""

    name: str
    sha256: str = Field(description="Hash of the folder's weights and configurations; see `folder_hash`.")
    sampler: SamplerSettings | None = Field(None, description="Null if its samples were given.")
    seed: int | None = Field(None, description="Seed of the samples; null if they were given.")


class Histograms(Config):
    """How many distances lie between edges; distances below the first edge, 0 too, are in the first bin."""

    edges: tuple[Positive, ...] = Field(
        min_length=2, max_length=10_000, description="Increasing, equally wide on a log scale."
    )
    train: tuple[Count, ...] = Field(description="Samples by distance to the nearest training image.")
    samples: tuple[Count, ...] = Field(description="Samples by distance to the nearest other sample.")
    holdout: tuple[Count, ...] | None = Field(
        None, description="Held-out images by distance to the nearest training image."
    )

    @model_validator(mode="after")
    def _one_count_each(self) -> "Histograms":
        counts = {"train": self.train, "samples": self.samples, "holdout": self.holdout}
        check_lengths("bins", len(self.edges) - 1, **counts)
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("`edges` must increase")
        return self


class AuditResult(StoredResult, Findings):
    """A whole audit: `audit.json`."""

    schema_: Literal["spurion.audit/2"] = Field("spurion.audit/2", alias="schema")
    redacted: bool = Field(False, description="Whether names and all that shows images were left out.")
    inputs: Inputs
    model: ModelInfo | None = None
    exact_copies: tuple[Count, ...] = Field(
        (), description="Samples that are byte for byte training images, copies under any rule, by index."
    )
    excess: Interval | None = Field(
        None, description="Share of copies beyond what honest images show; see `spurion.statistics.excess`."
    )
    listed: tuple[Count, ...] | None = Field(
        None,
        description="Samples listed as copies by index, of which 5 % at most are none, on average "
        "(Benjamini and "
        "Hochberg); null without p-values.",
    )
    exposure: tuple[Exposure, ...] = Field((), description="Copied training images, most copied first.")
    train_duplicates: tuple[tuple[Count, ...], ...] = Field(
        (), description="Groups of equal training images, by index."
    )
    metrics: tuple[Metric, ...] = Field((), max_length=1000)
    transforms: tuple[str, ...] = Field(
        (),
        description="Transforms of training images that were looked at too.",
    )
    copied_by: dict[str, Count] = Field(
        {}, description='Samples called memorized, by the transform that brings them nearest; "" for none.'
    )
    power: Power
    signs: tuple[Sign, ...] = Field((), description="What could be read of copies without a threshold.")
    contrast: Contrast | None = Field(
        None, description="Contrast of the samples beside that of training images; null in older results."
    )
    separation: Separation | None = Field(
        None, description="Whether other images lie below the threshold as often; null without one."
    )
    claims: tuple[Claim, ...] = Field((), max_length=1000, description="Everything that is said of it.")
    verdict: Verdict | None = Field(None, description="Null if none was asked for.")
    histograms: Histograms
    geometry: GeometryResult | None = None
    curvature: ScanResult | None = Field(None, description="The noise at which curvature is read, and why.")
    seed: int = Field(description="Seed of controls, bootstrap and subsets.")
    environment: Settings = Field(
        {}, description="Versions and hardware; empty within a study, which has them."
    )
    flow: SampleFlow | None = Field(
        None, description="Where samples flow under the iterated denoiser; null where it was not asked."
    )

    @model_validator(mode="after")
    def _within_the_sets(self) -> "AuditResult":
        images, samples = self.inputs.train.count, self.inputs.samples.count
        exposed = [image.train_index for image in self.exposure]
        repeated = [index for group in self.train_duplicates for index in group]
        for name, indices, size in (
            ("exact_copies", self.exact_copies, samples),
            ("listed", self.listed or (), samples),
            ("exposure", exposed, images),
            ("train_duplicates", repeated, images),
        ):
            if max(indices, default=0) >= size:
                raise ValueError(f"`{name}` must count in a set of {size}, got the index {max(indices)}")
        copied = sum(image.count for image in self.exposure)
        if max(copied, sum(self.counts or (samples,)), self.power.samples) > samples:
            raise ValueError(f"`counts`, `exposure` and `power` must be of the {samples} samples, got more")
        return self

    @property
    def pictures(self) -> int:
        """How many copied training images there are, those that are like a more copied one not counted."""
        return sum(image.like is None for image in self.exposure)

    @property
    def train_size(self) -> int:
        """Number of training images, K."""
        return self.inputs.train.count

    @property
    def sample_size(self) -> int:
        """Number of samples."""
        return self.inputs.samples.count

    @property
    def sampler(self) -> dict[str, Any]:
        """How the samples were drawn; empty if it is not known."""
        return (self.model and self.model.sampler) or {}

    @property
    def memorized(self) -> int:
        """How many samples are called memorized; without a threshold those that equal training images."""
        return len(self.exact_copies) if self.counts is None else self.counts[0]

    @property
    def near(self) -> int:
        """How many of them are not byte for byte training images."""
        return self.memorized - len(self.exact_copies)

    @property
    def near_in_doubt(self) -> bool:
        """Whether those that are not byte for byte training images may be no copies."""
        nothing_sure = [claim for claim in of_kind(self.claims, "beyond_others") if claim.severity == "doubt"]
        return bool(of_kind(self.claims, "chance", "not_separated", "equal_by_nature") or nothing_sure)

    @property
    def only_near(self) -> bool:
        """Whether all samples called memorized may be no copies, but near for another reason."""
        sure = bool(self.exact_copies) and not of_kind(self.claims, "equal_by_nature")
        return self.near_in_doubt and not sure

    @property
    def still_leaking(self) -> bool:
        """Whether the samples lie nearer to the training set than chance has it, whatever their class."""
        return bool(of_kind(self.claims, "still_leaking"))

    @property
    def class_names(self) -> dict[str, str]:
        """What the classes are called: nothing that still leaks is called generalized."""
        return dict(zip(CLASSES, CLASSES, strict=True)) | (
            {"generalized": NO_CLOSER} if self.still_leaking else {}
        )

    @property
    def shares(self) -> dict[str, Interval | None]:
        """The shares that a gate may ask for."""
        found: dict[str, Interval | None] = {
            name: getattr(self.fractions, name, None) for name in get_args(Asked)
        }
        return found | {"closer_to_train": self.null.share_closer_to_train if self.null else None}

    def said(self, *severities: Severity) -> list[str]:
        """What its claims of some severities say."""
        return sentences(self.claims, *severities)


def audit_schema() -> dict[str, Any]:
    """JSON Schema of `audit.json`."""
    return AuditResult.model_json_schema(by_alias=True, mode="serialization")

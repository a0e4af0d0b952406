"""What an examination of prompts found, as it is stored in `prompts.json`, or in `study.json` by a study.

Nothing depends on the clock but `seconds`. Values of detectors are means over seeds, in their own units and
directions; ranks are oriented, 1 being what speaks most of memorization.
"""

__all__ = [
    "Answered",
    "Comparison",
    "DetectorInfo",
    "Half",
    "Mitigated",
    "PromptReading",
    "PromptsResult",
    "Rise",
    "Summary",
    "Training",
    "prompts_schema",
]

from typing import Any, Literal

from pydantic import Field

from spurion.audits.claims import Claim
from spurion.audits.findings import SourceInfo
from spurion.core.config import Config, StoredResult
from spurion.core.quantities import Count, Distance, Notes, Number, PValue, Seconds, Settings, Share, Size
from spurion.geometry.groups.results import GeometryResult
from spurion.phases.rules import ThresholdInfo
from spurion.prompts.config import PromptsConfig
from spurion.prompts.table import Label
from spurion.statistics.intervals import ShareInterval
from spurion.statistics.roc import Trend

Outcome = Literal["memorized", "spurious", "generalized"]


class DetectorInfo(Config):
    """One detector, and what it took."""

    name: str
    unit: str
    source: str
    higher: bool = Field(description="Whether it reads higher at memorized prompts.")
    published: str = Field(description="What the literature reports of it.")
    evaluations: Distance | None = Field(
        description="Network evaluations a seed that it needs by itself, the unconditional answer to the "
        "initial noise left out, which all prompts share; null where it was not measured."
    )
    prompts: Count = Field(description="Prompts that it has a value for.")


class Answered(Config):
    """What the samples of one prompt are, as the thresholds have it."""

    outcome: Outcome = Field(description="What more than half of the samples are; else generalized.")
    own: Share | None = Field(
        description="Share of samples as near as a copy to a training image of the prompt; null where none "
        "is known."
    )
    training: Share = Field(description="Share as near as a copy to any training image.")
    repeated: Share | None = Field(
        description="Share that are no copies, with the sample of another seed as near as a repetition; null "
        "for one seed."
    )
    nearest: Distance = Field(description="Smallest distance of a sample to a training image.")


class PromptReading(Config):
    """One prompt."""

    prompt: str
    label: Label | None = None
    group: str = ""
    part: str = ""
    copies: Count | None = None
    images: Count = Field(0, description="Training images of the prompt that are known.")
    values: dict[str, Number | None] = Field(description="By detector; null where it has no value.")
    rank: Distance = Field(description="Mean rank over the detectors; the smallest is examined first.")
    fitted: Number | None = Field(
        None, description="Log-odds of memorized by the weights of the other half; null without them."
    )
    answered: Answered | None = Field(None, description="Null without training images.")
    tokens: tuple[tuple[str, Number], ...] = Field(
        (), description="Weight of each token in the attribution, in their order."
    )
    cut: str = Field("", description="The end of the prompt that did not fit.")


class Comparison(Config):
    """How one detector tells prompts of two labels."""

    detector: str
    higher: Label = Field(description="The label that should lie higher, once the detector is oriented.")
    lower: Label
    n: tuple[Size, Size]
    groups: tuple[Size, Size] = Field(description="Independent groups of prompts of either label.")
    auc: ShareInterval
    p_value: PValue = Field(description="Two-sided test that the AUC is 1/2.")
    sensitivity: ShareInterval | None = Field(
        description="Share of the higher ones above all but 1 % of the lower ones; null for other pairs "
        "than memorized and generalized."
    )


class Half(Config):
    """A threshold and weights fitted on one half of the groups, judged on the other."""

    detector: str = Field(description="A detector, or `together` for all of them weighted.")
    threshold: Number = Field(description="Of the oriented value, or of the log-odds.")
    n: tuple[Size, Size] = Field(description="Memorized and other prompts of the half it was judged on.")
    found: ShareInterval = Field(description="Share of its memorized prompts above the threshold.")
    false: ShareInterval = Field(description="Share of its other prompts above it; 1 % was asked for.")
    auc: ShareInterval
    weights: dict[str, Number] = Field({}, description="Of the standardized, oriented values.")


class Rise(Config):
    """Whether a detector rises with the number of copies in the training set."""

    detector: str
    trend: Trend
    medians: dict[Count, Number] = Field(description="By number of copies, as it reads.")


class Summary(Config):
    """The prompts of one label or of one part."""

    name: str
    by: Literal["label", "part"]
    prompts: Size
    medians: dict[str, Number | None] = Field(description="By detector, as it reads.")
    own: Share | None = Field(description="Share of samples as near as a copy to an image of their prompt.")
    training: Share | None = Field(description="Share as near as a copy to any training image.")
    repeated: Share | None = Field(description="Share repeated for other seeds, and no copies.")
    outcomes: dict[Outcome, Count]


class Mitigated(Config):
    """What a mitigation did to prompts known by heart."""

    name: Literal["none", "tokens", "noise"]
    prompts: Size
    samples: Size
    own: ShareInterval = Field(description="Share of samples as near as a copy to the prompt's image.")
    agreement: ShareInterval | None = Field(
        description="Share that a classifier of held-out real images takes for what the prompt names; null "
        "where there is none."
    )
    evaluations: Distance = Field(description="Network evaluations that it adds to a sample.")


class Training(Config):
    """The small model of a study, and how it was trained."""

    parameters: dict[str, Size] = Field(description="By part of the pipeline.")
    steps: Size
    images: Size = Field(description="Training pairs, copies counted.")
    loss: Number | None
    classifier: Share | None = Field(
        None, description="Accuracy of the classifier behind `agreement`, on held-out real images."
    )


class PromptsResult(StoredResult):
    """A whole examination."""

    schema_: Literal["spurion.prompts/1"] = Field("spurion.prompts/1", alias="schema")
    name: str
    kind: Literal["examination", "study"] = "examination"
    config: PromptsConfig
    model: str
    model_sha256: str
    pipeline: str = Field(description="Its class in diffusers.")
    shape: tuple[Size, ...] = Field(max_length=4, description="Of the latents.")
    train: SourceInfo | None = Field(description="The training images; null where none are known.")
    thresholds: ThresholdInfo | None = Field(description="Of copies and repetitions; null without `train`.")
    detectors: tuple[DetectorInfo, ...]
    prompts: tuple[PromptReading, ...] = Field(description="In the order of the table.")
    summaries: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]
    halves: tuple[Half, ...]
    rises: tuple[Rise, ...]
    geometry: GeometryResult | None = None
    singular: dict[str, tuple[Distance, ...]] = Field(
        {},
        description="Singular values of the score Jacobian by Algorithm 3, median by label, largest first.",
    )
    evaluations: Distance = Field(description="Network evaluations of all prompts together.")
    training: Training | None = None
    mitigation: tuple[Mitigated, ...] = ()
    claims: tuple[Claim, ...]
    environment: Settings
    seconds: Seconds = Field(default_factory=dict)
    notes: Notes = ()

    @property
    def ranked(self) -> tuple[PromptReading, ...]:
        """The prompts, what speaks most of memorization first."""
        return tuple(sorted(self.prompts, key=lambda reading: reading.rank))


def prompts_schema() -> dict[str, Any]:
    """JSON Schema of `prompts.json`."""
    return PromptsResult.model_json_schema(by_alias=True, mode="serialization")

"""What a set of samples is, as it is stored: the types that audits and the points of studies share.

All distances are in the unit that `DistanceInfo` names (for l2: Euclidean norm of images scaled to [-1, 1]);
all fractions lie in [0, 1]; a value that could not be computed is null, with the reason among the notes.
"""

__all__ = [
    "MORE_COLUMNS",
    "SAMPLE_COLUMNS",
    "AtAlpha",
    "Controls",
    "DistanceInfo",
    "Findings",
    "SamplerSettings",
    "SourceInfo",
]

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from spurion.core.config import Config, build_config
from spurion.core.quantities import Count, Distance, Notes, Share, Size
from spurion.data import ImageSet, Rights
from spurion.data.reading import Reading
from spurion.diffusion.samplers import SamplerConfig
from spurion.neighbors import DistanceInfo
from spurion.phases.attractors import Census
from spurion.phases.null import NullTest
from spurion.phases.rarefied import Rarefaction
from spurion.phases.reality import RealImages
from spurion.phases.rules import ThresholdInfo
from spurion.phases.scaled import Sensitivity
from spurion.statistics.intervals import ClassFractions, ShareInterval

SAMPLE_COLUMNS = (
    "index",
    "label",
    "distance_train",
    "nearest_train",
    "distance_train_2",
    "distance_sample",
    "nearest_sample",
)
"""The columns that every `samples.csv` has."""

MORE_COLUMNS = ("p_value", "met_again", "listed", "transform", "flows_into_training")
"""Columns that it may have after these, each by its name; see `spurion.audits.written`.

`transform`, where transforms were looked at: by which one the sample comes nearest; empty for none.
`flows_into_training`, where a model was iterated: whether the sample flows into a training image; empty for
one that was not followed, or failed.
"""


def _of_a_sampler(values: dict[str, Any]) -> dict[str, Any]:
    if values:
        build_config(SamplerConfig, values, "sampler")
    return values


SamplerSettings = Annotated[dict[str, Any], AfterValidator(_of_a_sampler)]
"""The fields of a `SamplerConfig`; empty where it is not known."""


class SourceInfo(Config):
    """One set of images: its name, number, shape (C, H, W) and content hash."""

    name: str
    count: Size
    shape: tuple[Size, ...] = Field(max_length=4)
    sha256: str
    reading: Reading = Field(Reading(), description="What became of the other files of its source.")
    rights: Rights | None = Field(None, description="Whose images they are, if that has to be said.")

    @classmethod
    def of(cls, images: ImageSet) -> "SourceInfo":
        """What there is to say of a set."""
        return cls(
            name=images.name,
            count=len(images),
            shape=images.shape,
            sha256=images.sha256,
            reading=images.reading,
            rights=images.rights,
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


class AtAlpha(Config):
    """Classes under the `null` rule at one share of honest samples that may be called copies."""

    alpha: Share
    memorized: Distance = Field(description="The threshold of memorization.")
    spurious: Distance = Field(description="The threshold of repetition.")
    fractions: ClassFractions


class Findings(Config):
    """What a set of samples is, measured against a training set."""

    distance: DistanceInfo
    thresholds: ThresholdInfo | None = None
    fractions: ClassFractions | None = None
    counts: tuple[Count, Count, Count] | None = Field(
        None,
        description="Number of samples called memorized, spurious and generalized; where thresholds hold for "
        "fewer samples than there are, a spurious one is more likely than not met again among so many.",
    )
    by_alpha: tuple[AtAlpha, ...] = Field(
        (), max_length=100, description="Fractions under the null rule at other shares, largest first."
    )
    real: RealImages | None = Field(None, description="The real images that the null rule hangs on.")
    near_each_other: Share | None = Field(
        None,
        description="Share of samples, memorized ones left out, with another one as near as half of the real "
        "images have; half for samples as varied as these.",
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

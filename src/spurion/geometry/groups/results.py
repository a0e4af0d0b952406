"""What the geometry of one training size came to, as it is stored.

Locations are medians with exact intervals of order statistics: a point that is never recovered lies below
every number and one that is always recovered above, so a median can be "never" or "always" and is then no
number. A value that does not exist is null.
"""

__all__ = [
    "GROUPS",
    "NEEDED",
    "NOT_MEASURED",
    "GeometryResult",
    "GroupReading",
    "GroupSize",
    "MeasureResult",
    "OrderResult",
    "Reading",
    "ScanResult",
]

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from spurion.core.config import Config
from spurion.core.quantities import Count, Distance, Label, Notes, Number, Positive, Size, check_lengths
from spurion.phases.classification import CLASSES
from spurion.statistics.ranks import Ordering

GROUPS = (*CLASSES, "training", "held-out")
"""The groups of points: the three classes of samples, training images and held-out images."""

NEEDED = 6
"""Points with a place in the order that a median with a 95 % interval needs."""

NOT_MEASURED = "The geometry was not measured: "
"""How the note of a model begins at which nothing could be measured."""

Group = Annotated[str, Field(pattern=f"^({'|'.join(GROUPS)})$")]
Spectrum = Annotated[tuple[Number, ...], Field(max_length=10_000)]
ENDS = ("low", "high")
PLACES = {"never": -math.inf, "always": math.inf}
"""Where readings that are no numbers stand in the order."""

Reading = Number | Literal["never", "always"] | None
"""A number, or why there is none."""


class GroupSize(Config):
    """How many points a group has, and how many of them were measured."""

    available: Count
    measured: Count


class GroupReading(Config):
    """One measure of one group: its median with a 95 % interval, over n points."""

    value: Reading
    low: Reading
    high: Reading
    n: Count = Field(description="Points that have a place in the order: numbers, never and always.")
    statuses: dict[Label, Count] = Field(description="Number of points of each status.")

    @model_validator(mode="after")
    def _ordered(self) -> "GroupReading":
        readings = [reading for reading in (self.low, self.value, self.high) if reading is not None]
        places = [PLACES[reading] if isinstance(reading, str) else reading for reading in readings]
        if places != sorted(places):
            raise ValueError(f"`value` must lie between `low` and `high`, got {self.value}")
        return self


class OrderResult(Ordering):
    """Whether one class lies above another, as the paper expects."""

    higher: Group
    lower: Group
    n: tuple[Count, Count] = Field(description="Points of the two classes.")


class MeasureResult(Config):
    """One measure at one training size."""

    name: Label
    unit: Label
    source: Label
    groups: dict[Group, GroupReading]
    orders: tuple[OrderResult, ...] = Field((), max_length=100)


class ScanResult(Config):
    """The curvature of training points over a grid of noise, and the level at which it is read.

    All lists have one entry for each level. `noise` is sigma_t / alpha_t; `separation` is Otsu's, from 0 to
    1/4. Separation, directions and dimension are means over the points, with the ends of their 95 %
    intervals (Student's), which are null for fewer than two points and empty in older files. The level is
    that of the largest separation.
    """

    train_size: Size = Field(description="Training size of the model that was scanned: the largest.")
    points: Count
    times: tuple[int | Number, ...] = Field(min_length=1, max_length=10_000)
    noise: tuple[Positive, ...]
    separation: tuple[Number | None, ...]
    separation_low: tuple[Number | None, ...] = ()
    separation_high: tuple[Number | None, ...] = ()
    soft_directions: tuple[Number | None, ...]
    soft_directions_low: tuple[Number | None, ...] = ()
    soft_directions_high: tuple[Number | None, ...] = ()
    intrinsic_dimension: tuple[Number | None, ...]
    intrinsic_dimension_low: tuple[Number | None, ...] = ()
    intrinsic_dimension_high: tuple[Number | None, ...] = ()
    chosen_time: int | Number
    chosen_noise: Positive
    note: str = ""

    @model_validator(mode="after")
    def _one_entry_for_each_level(self) -> "ScanResult":
        levels, curves = len(self.times), ("separation", "soft_directions", "intrinsic_dimension")
        lists = {name: getattr(self, name) for name in ("noise", *curves)}
        ends = {f"{name}_{end}": getattr(self, f"{name}_{end}") or None for name in curves for end in ENDS}
        check_lengths("times", levels, **lists, **ends)
        return self


class GeometryResult(Config):
    """The geometry of one training size."""

    groups: dict[Group, GroupSize]
    dim: Size
    tolerance: Distance | None = Field(description="Distance up to which a point counts as recovered.")
    time: int | Number = Field(description="The time at which the curvature is read.")
    noise: Positive = Field(description="The noise sigma_t / alpha_t at that time.")
    measures: tuple[MeasureResult, ...] = Field(max_length=100)
    spectra: dict[Group, Spectrum] = Field(
        description="Median stiffness over the points of each group at evenly spaced ranks, softest first."
    )
    spectra_low: dict[Group, Spectrum] = Field(
        default_factory=dict, description="Lower ends of the 95 % intervals of the medians in `spectra`."
    )
    spectra_high: dict[Group, Spectrum] = Field(default_factory=dict, description="The upper ends.")
    asymmetry: dict[Group, Distance | None] = Field(description="Median ||J - J^T|| / ||J|| of each group.")
    notes: Notes = ()
    failed: Notes = Field((), description="The notes that say which measures failed, and why.")
    clip: bool | None = Field(
        None,
        description="Whether posterior means were clipped to [-1, 1] on the way back from the noise; null "
        "where no basins were looked for, and in files of former versions, which clipped unless their "
        "configuration says otherwise.",
    )
    steps: Count | None = Field(
        None, description="Denoiser calls on the way back, at most; null as for `clip`."
    )

    @model_validator(mode="after")
    def _one_end_for_each(self) -> "GeometryResult":
        for ends in (self.spectra_low, self.spectra_high):
            for name, values in ends.items():
                check_lengths(f"`spectra` of {name}", len(self.spectra.get(name, ())), ends=values or None)
        return self

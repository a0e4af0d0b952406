"""What the geometry of one training size came to, as it is stored.

Locations are medians with exact intervals of order statistics: a point that is never recovered lies below
every number and one that is always recovered above, so a median can be "never" or "always" and is then no
number. A value that does not exist is null.
"""

__all__ = [
    "EXPECTED",
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

from typing import Literal

from pydantic import Field

from spurion.core.config import Config
from spurion.phases.classification import CLASSES
from spurion.phases.ordering import Ordering

GROUPS = (*CLASSES, "training", "held-out")
"""The groups of points: the three classes of samples, training images and held-out images."""

NEEDED = 6
"""Points with a place in the order that a median with a 95 % interval needs."""

NOT_MEASURED = "The geometry was not measured: "
"""How the note of a model begins at which nothing could be measured."""

EXPECTED: dict[str, bool] = {
    "critical-noise": True,
    "log-volume": True,
    "mean-curvature": True,
    "log-determinant": True,
    "soft-directions": False,
    "intrinsic-dimension": False,
    "log-density": True,
    "relative-energy": False,
}
"""Whether the paper expects memorized > spurious > generalized (true) or the reverse (false)."""

Reading = float | Literal["never", "always"] | None
"""A number, or why there is none."""


class GroupSize(Config):
    """How many points a group has, and how many of them were measured."""

    available: int
    measured: int


class GroupReading(Config):
    """One measure of one group: its median with a 95 % interval, over n points."""

    value: Reading
    low: Reading
    high: Reading
    n: int = Field(description="Points that have a place in the order: numbers, never and always.")
    statuses: dict[str, int] = Field(description="Number of points of each status.")


class OrderResult(Ordering):
    """Whether one class lies above another, as the paper expects."""

    higher: str
    lower: str
    n: tuple[int, int] = Field(description="Points of the two classes.")


class MeasureResult(Config):
    """One measure at one training size."""

    name: str
    unit: str
    source: str
    groups: dict[str, GroupReading]
    orders: tuple[OrderResult, ...] = ()


class ScanResult(Config):
    """The curvature of training points over a grid of noise, and the level at which it is read.

    All lists have one entry for each level. `noise` is sigma_t / alpha_t; `separation` is Otsu's, from 0 to
    1/4. Separation, directions and dimension are means over the points, with the ends of their 95 %
    intervals (Student's), which are null for fewer than two points and empty in older files. The level is
    that of the largest separation.
    """

    train_size: int = Field(description="Training size of the model that was scanned: the largest.")
    points: int
    times: tuple[int | float, ...]
    noise: tuple[float, ...]
    separation: tuple[float | None, ...]
    separation_low: tuple[float | None, ...] = ()
    separation_high: tuple[float | None, ...] = ()
    soft_directions: tuple[float | None, ...]
    soft_directions_low: tuple[float | None, ...] = ()
    soft_directions_high: tuple[float | None, ...] = ()
    intrinsic_dimension: tuple[float | None, ...]
    intrinsic_dimension_low: tuple[float | None, ...] = ()
    intrinsic_dimension_high: tuple[float | None, ...] = ()
    chosen_time: int | float
    chosen_noise: float
    note: str = ""


class GeometryResult(Config):
    """The geometry of one training size."""

    groups: dict[str, GroupSize]
    dim: int
    tolerance: float | None = Field(description="Distance up to which a point counts as recovered.")
    time: int | float = Field(description="The time at which the curvature is read.")
    noise: float = Field(description="The noise sigma_t / alpha_t at that time.")
    measures: tuple[MeasureResult, ...]
    spectra: dict[str, tuple[float, ...]] = Field(
        description="Median stiffness over the points of each group at evenly spaced ranks, softest first."
    )
    spectra_low: dict[str, tuple[float, ...]] = Field(
        default_factory=dict, description="Lower ends of the 95 % intervals of the medians in `spectra`."
    )
    spectra_high: dict[str, tuple[float, ...]] = Field(default_factory=dict, description="The upper ends.")
    asymmetry: dict[str, float | None] = Field(description="Median ||J - J^T|| / ||J|| of each group.")
    notes: tuple[str, ...] = ()
    failed: tuple[str, ...] = Field((), description="The notes that say which measures failed, and why.")

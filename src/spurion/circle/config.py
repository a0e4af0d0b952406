r"""The configuration of a study of the circle: everything that decides its numbers.

Throughout :math:`\sigma = 1`, so the time t of the variance-exploding process and the inverse temperature are
bound by :math:`\beta = 1 / 2t`.
"""

__all__ = [
    "BranchesConfig",
    "CircleConfig",
    "LandscapesConfig",
    "LawsConfig",
    "PhasesConfig",
    "SweepConfig",
    "TableConfig",
    "circle_config",
]

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from spurion.circle.fields import Beta, Betas, Counts, Times
from spurion.circle.trained_config import TrainedConfig
from spurion.core.config import Config, build_config
from spurion.studies.config import apply_overrides, load_config


class LandscapesConfig(Config):
    """Energies on a grid, with their minima, for the figure and for browsing.

    `counts`: numbers K of patterns; infinitely many are always there. `betas`: inverse temperatures.
    `points`: of the grid along each side, which reaches from -`extent` to `extent`.
    """

    counts: Counts = (2, 4, 9, 32, 100, 1000)
    betas: Betas = (0.5, 1.0, 2.0, 10 / 3, 10.0, 20.0, 50.0, 200.0, 1000.0)
    points: int = Field(61, ge=5, le=301)
    extent: float = Field(1.5, gt=0, le=100)


class TableConfig(Config):
    """All minima of some sets at some times."""

    counts: Counts = (2, 4, 9)
    times: Times = (1.0, 0.5, 0.25, 0.15, 0.05, 0.02, 0.005, 0.001, 1e-5)


class BranchesConfig(Config):
    """How minima merge as the temperature rises: `steps` inverse temperatures, evenly spaced in their log."""

    counts: Counts = (2, 4, 9)
    lowest: Beta = 0.3
    highest: Beta = 1e5
    steps: int = Field(20, ge=2, le=1000)

    @model_validator(mode="after")
    def _ordered(self) -> "BranchesConfig":
        if not self.lowest < self.highest:
            raise ValueError(f"`lowest` must be below `highest`, got {self.lowest:g} and {self.highest:g}")
        return self


class SweepConfig(Config):
    """Mean number of minima of random sets against the inverse temperature."""

    counts: Counts = (9,)
    betas: Betas = (0.5, 1.5, 10 / 3, 7.0, 20.0, 50.0, 200.0, 1000.0, 1e5)
    sets: int = Field(24, ge=2)
    draws: int = Field(32, ge=1)


class PhasesConfig(Config):
    """Memory, spurious and continuum states of random sets against K, at several temperatures."""

    counts: Counts = (2, 4, 9, 16, 32, 64, 100, 200, 500)
    betas: Betas = (10 / 3, 10.0, 50.0, 200.0)
    sets: int = Field(12, ge=2)
    draws: int = Field(100, ge=1)


class LawsConfig(Config):
    """Where half of the density belongs to memories, from many random sets."""

    betas: Betas = (10 / 3, 10.0, 50.0, 200.0, 1000.0)
    sets: int = Field(100, ge=2)
    draws: int = Field(20, ge=1)


class CircleConfig(Config):
    """Everything that decides the numbers of a study of the circle.

    `patterns`: "paper", the nested sets of the paper, or "random", drawn from the seed.
    """

    kind: Literal["circle"] = "circle"
    name: str = Field("circle", min_length=1)
    seed: int = Field(0, ge=0)
    patterns: Literal["paper", "random"] = "paper"
    landscapes: LandscapesConfig = LandscapesConfig()
    table: TableConfig = TableConfig()
    branches: BranchesConfig = BranchesConfig()
    sweep: SweepConfig = SweepConfig()
    phases: PhasesConfig = PhasesConfig()
    laws: LawsConfig = LawsConfig()
    trained: TrainedConfig = TrainedConfig()


def circle_config(what: str | Path | CircleConfig = "circle", overrides: Sequence[str] = ()) -> CircleConfig:
    """Resolve the name "circle", a YAML file or a configuration, with overrides ``a.b=value``.

    Raises:
        ValueError: If a field is wrong.
    """
    where = ""
    if isinstance(what, CircleConfig):
        values = what.model_dump(mode="json")
    elif what == "circle":
        values = CircleConfig().model_dump(mode="json")
    else:
        values, where = load_config(what), str(what)
    return build_config(CircleConfig, apply_overrides(values, overrides), where)

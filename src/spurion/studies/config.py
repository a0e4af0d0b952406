"""The configuration of a study: everything that decides its numbers, and nothing that does not.

A study is named by a recipe or a YAML file; `resolve_config` turns either, with ``a.b=value`` overrides,
into one frozen `StudyConfig`. The number of processes is not part of it: it changes no number.
"""

__all__ = [
    "DataConfig",
    "RatioConfig",
    "ScheduleConfig",
    "StudyConfig",
    "apply_overrides",
    "common_size",
    "load_config",
    "resolve_config",
    "sample_size_for",
]

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    Field,
    PlainSerializer,
    WrapValidator,
    field_validator,
    model_validator,
)

from spurion.core.config import Config, build_config
from spurion.core.files import read_bounded
from spurion.core.plain import parse_yaml
from spurion.diffusion.denoisers import DENOISERS, DenoiserConfig
from spurion.diffusion.samplers import SamplerConfig
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.training import TrainingConfig
from spurion.geometry.groups.config import GeometryConfig
from spurion.geometry.groups.flow import FlowConfig
from spurion.neighbors.distances import DISTANCES, Distance, load_distance
from spurion.phases.repetition import USUAL
from spurion.phases.rules import parse_rule
from spurion.studies.results import MOST_SIZES

MINIMUM_MULTIPLE = 1000
"""A sample size given as a multiple of K is never below this: 4 K is 8 samples at K = 2."""

LARGEST_CONFIG = 2**18
"""Bytes of the largest configuration that is read."""


class DataConfig(Config):
    """Where the images come from.

    `source`: a built-in set, a folder, `.zip`, `.npz` or Hugging Face data set. `holdout`: the fraction held
    out (built-in sets have their own rule). `resize`: side length for images of differing sizes.
    `value_range`: what stands for black and white in an array. `clip`: clip values outside it, instead of
    refusing them. `subset_seed`: seed of the permutation whose prefixes are the training sets; the study's
    seed if null.
    """

    source: str
    holdout: float | None = Field(None, gt=0, lt=1)
    resize: int | None = Field(None, ge=1)
    value_range: tuple[float, float] | None = None
    clip: bool = False
    subset_seed: int | None = Field(None, ge=0)


class ScheduleConfig(Config):
    """The noise schedule: linear betas."""

    steps: int = Field(1000, ge=1)
    beta_start: float = Field(1e-4, gt=0, lt=1)
    beta_end: float = Field(2e-2, gt=0, lt=1)

    def build(self) -> DDPMSchedule:
        """Make the schedule."""
        return DDPMSchedule(self.steps, self.beta_start, self.beta_end)


class RatioConfig(Config):
    """Thresholds of the ratio rule, shown beside the main one (workshop Eq. 4-6)."""

    memorized: float = Field(1 / 3, gt=0)
    spurious: float = Field(0.3, gt=0, le=1)


def _plain(config: Config, info: Any) -> dict[str, Any]:
    return config.model_dump(mode=info.mode)


def _of_its_kind(value: Any, known: Callable[[Any], Any]) -> Any:
    """A denoiser's configuration, also of a kind that was registered from outside the package."""
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    registered = DENOISERS.get(kind) if isinstance(kind, str) else None
    if registered is None or registered in get_args(DenoiserConfig):
        return known(value)
    return registered.model_validate(value)


AnyDenoiser = Annotated[DenoiserConfig, WrapValidator(_of_its_kind), PlainSerializer(_plain)]
"""A denoiser of the package, or one that was registered in `DENOISERS`."""


class StudyConfig(Config):
    """Everything that decides the numbers of a study.

    `weights`: where the distance finds its weights, see `load_distance`; null looks in the usual places.
    `geometry`: what is measured of basins, curvature and energy; null for nothing. `flow`: how many samples
    and training images are followed under the iterated denoiser, and how; null for none.
    """

    name: str = Field(min_length=1)
    seed: int = Field(0, ge=0)
    data: DataConfig
    train_sizes: tuple[Annotated[int, Field(ge=1)] | Literal["all"], ...] = Field(
        min_length=1, max_length=MOST_SIZES
    )
    denoiser: AnyDenoiser = Field(discriminator="kind")
    schedule: ScheduleConfig = ScheduleConfig()
    training: TrainingConfig
    sampler: SamplerConfig
    sample_size: Annotated[int, Field(ge=2)] | Annotated[str, Field(pattern=r"^[1-9]\d*x$")]
    distance: str = "l2"
    weights: str | None = None
    thresholds: str = "null:0.01"
    holdout_alpha: float = Field(0.01, gt=0, lt=1)
    ratio: RatioConfig = RatioConfig()
    epsilon: float = Field(0.1, gt=0, lt=0.5)
    gallery: int = Field(48, ge=0)
    geometry: GeometryConfig | None = GeometryConfig()
    flow: FlowConfig | None = FlowConfig()

    @field_validator("distance")
    @classmethod
    def _known_distance(cls, value: str) -> str:
        if value not in DISTANCES:
            raise ValueError(f"must be one of {', '.join(DISTANCES)}")
        if not DISTANCES[value].in_studies:
            raise ValueError("has no vectors of the samples that a study makes; use `spurion classify`")
        return value

    @field_validator("thresholds")
    @classmethod
    def _known_rule(cls, value: str) -> str:
        parse_rule(value)
        return value

    @model_validator(mode="after")
    def _steps_of_the_schedule(self) -> "StudyConfig":
        """Write down the steps of a short schedule where none were given, before anything is trained."""
        object.__setattr__(self, "sampler", self.sampler.within(self.schedule.build()))
        return self

    def load_distance(self, allow_download: bool = False) -> Distance:
        """Make the distance, once in each process.

        Raises:
            ValueError: If its weights are missing.
        """
        return load_distance(self.distance, self.weights, allow_download)

    def sizes(self, available: int) -> tuple[int, ...]:
        """Training sizes in ascending order, each once.

        Arguments:
            available: The number of training images; "all" stands for it.

        Raises:
            ValueError: If a size is larger than the number of training images.
        """
        sizes = {available if size == "all" else int(size) for size in self.train_sizes}
        if max(sizes) > available:
            raise ValueError(
                f"`train_sizes` asks for {max(sizes)} training images, but {self.data.source} has "
                f"{available}; leave that size out or write all."
            )
        return tuple(sorted(sizes))


def sample_size_for(rule: int | str, train_size: int) -> int:
    """Number of samples at a training size: a number, or a multiple such as "4x" (never below 1,000).

    Example:
        >>> sample_size_for(2000, 64), sample_size_for("4x", 64), sample_size_for("4x", 5000)
        (2000, 1000, 20000)
    """
    if isinstance(rule, int):
        return rule
    return max(MINIMUM_MULTIPLE, int(rule.removesuffix("x")) * train_size)


def common_size(config: StudyConfig) -> int:
    """The number of samples at which repetitions are counted at every training size."""
    return min(USUAL, sample_size_for(config.sample_size, 1))


def load_config(path: Path | str) -> dict[str, Any]:
    """Read the plain values of a configuration from a YAML file.

    Raises:
        ValueError: If the file is missing, not YAML, or not a mapping.
    """
    try:
        text = read_bounded(path, LARGEST_CONFIG)
    except FileNotFoundError:
        raise ValueError(f"There is no file {path}.") from None
    try:
        values = parse_yaml(text)
    except ValueError as error:
        raise ValueError(f"{path} is not valid YAML: {error}.") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold a mapping of fields, got {type(values).__name__}.")
    return values


def apply_overrides(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Set fields by ``a.b=value`` texts, values in YAML.

    Example:
        >>> apply_overrides({"a": {"b": 1}}, ["a.b=2", "c=[1, all]"])
        {'a': {'b': 2}, 'c': [1, 'all']}

    Raises:
        ValueError: If a text is not of that form, or goes into something that has no fields.
    """
    result = {**values}
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals or not path.strip():
            raise ValueError(f"`--set` takes field=value, such as training.iterations=500, got {override!r}.")
        try:
            value = parse_yaml(text)
        except ValueError as error:
            raise ValueError(f"`--set {override}`: the value is not valid YAML: {error}.") from None
        result = _with(result, path.strip().split("."), value, override)
    return result


def _with(values: Any, path: list[str], value: Any, override: str) -> dict[str, Any]:
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ValueError(f"`--set {override}`: `{path[0]}` cannot be set inside a plain value.")
    head, *rest = path
    return {**values, head: _with(values.get(head), rest, value, override) if rest else value}


def resolve_config(values: Mapping[str, Any], overrides: Sequence[str] = (), where: str = "") -> StudyConfig:
    """Validate plain values and overrides into a `StudyConfig`; see `build_config`."""
    return build_config(StudyConfig, apply_overrides(values, overrides), where)

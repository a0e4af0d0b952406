"""How prompts are examined."""

__all__ = ["PromptsConfig"]

from typing import Annotated

from pydantic import Field, PositiveInt, field_validator

from spurion.core.config import Config
from spurion.prompts.detectors import DETECTORS


class PromptsConfig(Config):
    """How prompts are examined.

    Attributes:
        detectors: Which, by their names in `DETECTORS`.
        seeds: Initial noises of each prompt, the same for all.
        seed: The seed of all of them.
        steps: Denoiser calls of a sample.
        guidance: The guidance of samples.
        negative: The negative prompt of samples.
        geometry: Prompts of each label at which the curvature is read.
        distance: The distance of copies and repetitions, of images.
    """

    detectors: tuple[str, ...] = Field(default_factory=lambda: tuple(DETECTORS), min_length=1)
    seeds: PositiveInt = 4
    seed: Annotated[int, Field(ge=0)] = 0
    steps: PositiveInt = 50
    guidance: Annotated[float, Field(ge=0, le=100)] = 7.5
    negative: str = ""
    geometry: Annotated[int, Field(ge=0)] = 0
    distance: str = "l2"

    @field_validator("detectors")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in DETECTORS:
                raise ValueError(f"must be names among {', '.join(DETECTORS)}, got {name!r:.80}")
        return tuple(name for name in DETECTORS if name in names)

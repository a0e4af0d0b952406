"""The configuration of a study of known prompts: everything that decides its numbers."""

__all__ = ["CountsConfig", "PromptNetworkConfig", "PromptsStudyConfig", "prompts_config"]

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from spurion.core.arguments import check_choice
from spurion.core.config import Config, build_config
from spurion.diffusion.denoisers.network import Prediction
from spurion.diffusion.schedule import BetaSchedule, DDPMSchedule
from spurion.diffusion.training_config import TrainingConfig
from spurion.prompts.study.captions import CAPTIONED
from spurion.studies.config import apply_overrides, load_config

NAME = "prompts"
"""The kind of the study, and the name by which it is asked for."""


class CountsConfig(Config):
    """How many prompts there are of each part, and how often the training list holds them.

    Attributes:
        single: Prompts with an image of their own, which the training list holds once.
        planted: Prompts with an image of their own, by the number of copies in the training list.
        shared: Prompts that come with several images, each of which the training list holds once.
        images: Images of a shared prompt.
        held_out: Prompts that are never trained on, nor are their images.
        examined: How many of the single prompts are examined afterwards; of other parts, all are.
    """

    single: int = Field(1000, ge=1, le=100_000)
    planted: dict[int, int] = Field({5: 24, 20: 24, 40: 24})
    shared: int = Field(24, ge=0, le=10_000)
    images: int = Field(5, ge=2, le=1000)
    held_out: int = Field(100, ge=0, le=100_000)
    examined: int = Field(100, ge=1, le=100_000)

    @field_validator("planted")
    @classmethod
    def _several_copies(cls, planted: dict[int, int]) -> dict[int, int]:
        for copies, prompts in planted.items():
            if not 2 <= copies <= 10_000 or not 1 <= prompts <= 10_000:
                raise ValueError(
                    f"must give numbers of prompts, 1 to 10,000, by numbers of copies, 2 to 10,000, got "
                    f"{copies}: {prompts}"
                )
        return dict(sorted(planted.items()))


class PromptNetworkConfig(Config):
    """A conditional U-Net and the text encoder that is trained with it.

    Attributes:
        channels: Channels of its levels, each of half the size of the one before; multiples of 16. All but
            the first look at the text.
        layers: Residual blocks of a level.
        text_width: Numbers that stand for a token; a multiple of `text_heads`.
        text_layers: Layers of the text encoder.
        text_heads: Heads of their attention.
    """

    channels: tuple[int, ...] = Field((32, 64), min_length=2, max_length=6)
    layers: int = Field(1, ge=1, le=4)
    text_width: int = Field(64, ge=2, le=2048)
    text_layers: int = Field(2, ge=1, le=24)
    text_heads: int = Field(2, ge=1, le=64)

    @model_validator(mode="after")
    def _divisible(self) -> "PromptNetworkConfig":
        if wrong := [one for one in self.channels if one < 16 or one % 16]:
            raise ValueError(f"`channels` must be multiples of 16, got {wrong[0]}")
        if self.text_width % self.text_heads:
            raise ValueError(
                f"`text_width` must be a multiple of `text_heads`, got {self.text_width} and "
                f"{self.text_heads}"
            )
        return self


class NoiseConfig(Config):
    """The noise schedule of the model; see `spurion.diffusion.schedule.DDPMSchedule`.

    The default is that of Stable Diffusion, whose last step leaves a little of the image. With the linear one
    of DDPM, which leaves next to nothing, and with fewer words in captions, the first step told memorized
    prompts less well.
    """

    steps: int = Field(1000, ge=1, le=100_000)
    beta_start: float = Field(0.00085, gt=0, lt=1)
    beta_end: float = Field(0.012, gt=0, lt=1)
    beta_schedule: BetaSchedule = "scaled_linear"

    def build(self) -> DDPMSchedule:
        """The schedule."""
        return DDPMSchedule(self.steps, self.beta_start, self.beta_end, self.beta_schedule)


class PromptsStudyConfig(Config):
    """Everything that decides the numbers of a study of known prompts.

    Attributes:
        name: What the study is called.
        seed: The seed of parts, captions, training and samples.
        data: A set of `spurion.prompts.study.captions.CAPTIONED`.
        counts: How many prompts there are of each part.
        network: What is trained.
        noise: Its noise schedule.
        prediction: What it predicts.
        unconditional: The share of captions that training replaces by the empty one.
        training: How it is trained; one pass is one random order of the training list.
        steps: Steps of a sample.
        guidance: Guidance of a sample. Beyond 3 the samples of this small model leave the range of images.
        seeds: Samples of a prompt.
        geometry: Prompts of each label at which the curvature is read.
    """

    kind: Literal["prompts"] = "prompts"
    name: str = Field("prompts", min_length=1, max_length=200)
    seed: int = Field(0, ge=0)
    data: str = "digits"
    counts: CountsConfig = CountsConfig()
    network: PromptNetworkConfig = PromptNetworkConfig()
    noise: NoiseConfig = NoiseConfig()
    prediction: Prediction = "epsilon"
    unconditional: float = Field(0.1, gt=0, lt=1)
    training: TrainingConfig = TrainingConfig(
        iterations=2500,
        batch_size=32,
        replacement=False,
        learning_rate=1e-3,
        compile=False,
        warmup=200,
        checkpoint_every=250,
    )
    steps: int = Field(25, ge=1, le=1000)
    guidance: float = Field(2.0, ge=0, le=100)
    seeds: int = Field(4, ge=1, le=1000)
    geometry: int = Field(24, ge=0)

    @field_validator("data")
    @classmethod
    def _known(cls, data: str) -> str:
        check_choice("data", data, CAPTIONED)
        return data


def prompts_config(
    what: str | Path | PromptsStudyConfig = NAME, overrides: Sequence[str] = ()
) -> PromptsStudyConfig:
    """Resolve the name "prompts", a YAML file or a configuration, with overrides ``a.b=value``.

    Raises:
        ValueError: If a field is wrong.
    """
    where = ""
    if isinstance(what, PromptsStudyConfig):
        values = what.model_dump(mode="json")
    elif what == NAME:
        values = PromptsStudyConfig().model_dump(mode="json")
    else:
        values, where = load_config(what), str(what)
    return build_config(PromptsStudyConfig, apply_overrides(values, overrides), where)

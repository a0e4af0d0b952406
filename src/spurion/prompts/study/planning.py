"""What a study of known prompts would do, and a rough estimate of its time."""

__all__ = ["PromptsPlan", "prompts_plan"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spurion.prompts.study.config import PromptsStudyConfig, prompts_config
from spurion.prompts.study.planting import Planting, plant

SECONDS_PER_PASS = 1.1e-3
"""Of one evaluation of the network with channels (32, 64) on an image of 8 x 8, on one core."""

BACKWARD = 2.0
"""The backward pass in forward passes."""

MEASURING = 2.5
"""What the detectors take, in the time of the samples."""


@dataclass(frozen=True)
class PromptsPlan:
    """What a study of known prompts would do.

    Attributes:
        config: Its configuration.
        prompts: How many prompts each part has, by its name.
        items: Items of the training list.
        seconds: A rough estimate of its time on one core.
    """

    config: PromptsStudyConfig
    prompts: dict[str, int]
    items: int
    seconds: float


def prompts_plan(
    what: str | Path | PromptsStudyConfig = "prompts", overrides: Sequence[str] = ()
) -> PromptsPlan:
    """Resolve a study of known prompts and estimate its time; nothing is written.

    Raises:
        ValueError: If the configuration is wrong, or the set too small for it.
    """
    config = prompts_config(what, overrides)
    planting = plant(config)
    prompts = {part.name: part.prompts for part in planting.parts}
    return PromptsPlan(config, prompts, len(planting.pairs), _seconds(config, planting))


def _seconds(config: PromptsStudyConfig, planting: Planting) -> float:
    pixels = math.prod(planting.images.images.shape[2:]) / 64
    halved: float = sum((c / 2**level) ** 2 for level, c in enumerate(config.network.channels)) / (2 * 32**2)
    one = SECONDS_PER_PASS * pixels * halved * config.network.layers
    trained = config.training.steps * config.training.batch_size * (1 + BACKWARD)
    examined = len(planting.table(Path("unused")))
    sampled = examined * config.seeds * config.steps * 2
    return one * (trained + MEASURING * sampled)

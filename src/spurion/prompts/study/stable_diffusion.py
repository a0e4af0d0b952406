"""The case study of the paper: prompts that Stable Diffusion 1.4 knows by heart, blends, or answers anew.

The prompts and their labels are those that the authors published. Those of memorized and spurious samples
were found in LAION-2B (Webster et al., 2023), the others come from LAION-Aesthetics.

References:
    | Memorization to Generalization (Pham et al., 2025), Fig. 5B, Sec. D.2
    | On the De-duplication of LAION-2B (Webster et al., 2023), https://arxiv.org/abs/2303.12733
"""

__all__ = ["PROMPTS", "StableDiffusionStudyConfig", "stable_diffusion_config"]

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from spurion.core.config import Config, build_config
from spurion.studies.config import apply_overrides, load_config

NAME = "stable-diffusion"
"""The kind of the study, and the name by which it is asked for."""

PROMPTS = Path(__file__).with_name("stable_diffusion.csv")
"""The prompts of the paper; see `spurion.prompts.table`."""


class StableDiffusionStudyConfig(Config):
    """Everything that decides the numbers of the case study.

    Attributes:
        name: What the study is called.
        seed: The seed of all initial noises.
        model: The folder of the pipeline.
        prompts: A file of prompts; None: those of the paper.
        steps: Steps of a sample.
        guidance: Guidance of a sample.
        seeds: Samples of a prompt.
        geometry: Prompts of each label at which the curvature is read.
        half: Whether the network computes in half precision.
    """

    kind: Literal["stable-diffusion"] = "stable-diffusion"
    name: str = Field(NAME, min_length=1, max_length=200)
    seed: int = Field(0, ge=0)
    model: str = Field(min_length=1)
    prompts: str | None = None
    steps: int = Field(50, ge=1, le=1000)
    guidance: float = Field(7.5, ge=0, le=100)
    seeds: int = Field(4, ge=1, le=1000)
    geometry: int = Field(2, ge=0)
    half: bool = False

    @property
    def table(self) -> Path:
        """The file of prompts."""
        return PROMPTS if self.prompts is None else Path(self.prompts)


def stable_diffusion_config(
    what: str | Path | StableDiffusionStudyConfig = NAME, overrides: Sequence[str] = ()
) -> StableDiffusionStudyConfig:
    """Resolve the name "stable-diffusion", a YAML file or a configuration, with overrides ``a.b=value``.

    Raises:
        ValueError: If a field is wrong, or there is no `model`.
    """
    where, values = "", {}
    if isinstance(what, StableDiffusionStudyConfig):
        values = what.model_dump(mode="json")
    elif what != NAME:
        values, where = load_config(what), str(what)
    values = apply_overrides(values, overrides)
    if not values.get("model"):
        raise ValueError(
            "A study of Stable Diffusion needs the folder of its pipeline; give `--model DIR`, or "
            "`--set model=DIR`."
        )
    return build_config(StableDiffusionStudyConfig, values, where)

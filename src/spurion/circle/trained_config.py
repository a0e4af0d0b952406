"""The configuration of the trained part: networks, their training, sampling and the comparison."""

__all__ = ["NetworkConfig", "TrainedConfig"]

from typing import Annotated

from pydantic import Field, model_validator

from spurion.circle.fields import Counts, NetworkName
from spurion.core.config import Config
from spurion.diffusion.denoisers.network_config import FourierMLPConfig, FourierResidualConfig
from spurion.diffusion.euler_maruyama import EulerMaruyamaConfig
from spurion.diffusion.score_matching import SCORE_TRAINING
from spurion.diffusion.training import TrainingConfig

LARGEST_SAMPLE = 10_000
"""Samples that a cluster analysis can hold in memory: it grows with their square."""


class NetworkConfig(Config):
    """A network and how it is trained."""

    denoiser: FourierResidualConfig | FourierMLPConfig = Field(discriminator="kind")
    training: TrainingConfig


LINKAGE = {2: 3.0, 9: 2.0, 1000: 0.45}
"""The paper's distances of Ward's clustering."""


def _networks() -> dict[str, NetworkConfig | None]:
    return {
        "paper": NetworkConfig(denoiser=FourierResidualConfig(), training=SCORE_TRAINING["fourier-residual"]),
        "code": NetworkConfig(denoiser=FourierMLPConfig(), training=SCORE_TRAINING["fourier-mlp"]),
    }


class TrainedConfig(Config):
    """Networks trained on the sets, and how they are held against the exact energy.

    `counts`: numbers K of patterns; none leaves the trained part out. `networks`: by name; null leaves
    one out. `samples`: drawn from each. `exact_start`: whether the reverse process starts from the density at
    t = 1 and not from a normal one, as the authors' code does. `time`: at which energies are compared.
    `points`, `extent`: the grid of the comparison. `linkage`: distance of Ward's clustering for each K.
    """

    counts: Counts = (2, 9, 1000)
    networks: dict[NetworkName, NetworkConfig | None] = Field(default_factory=_networks)
    samples: int = Field(1000, ge=2, le=LARGEST_SAMPLE)
    sampler: EulerMaruyamaConfig = EulerMaruyamaConfig()
    exact_start: bool = True
    time: Annotated[float, Field(ge=1e-3, lt=1)] = 0.15
    points: int = Field(20, ge=5, le=101)
    extent: float = Field(1.5, gt=0, le=10)
    linkage: dict[int, Annotated[float, Field(gt=0)]] = Field(default_factory=lambda: dict(LINKAGE))

    @model_validator(mode="after")
    def _linkage_for_each(self) -> "TrainedConfig":
        missing = [count for count in self.counts if count not in self.linkage]
        if missing:
            raise ValueError(
                f"`linkage` needs a distance for K = {missing[0]}, such as trained.linkage.{missing[0]}=1"
            )
        return self

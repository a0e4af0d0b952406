"""The kinds of denoisers, by name.

A new kind is one file with a final `Denoiser` and its configuration, and one line in `DENOISERS`.
"""

__all__ = ["DENOISERS"]

from spurion.core.config import Config
from spurion.diffusion.denoisers.mlp import MLPConfig
from spurion.diffusion.denoisers.unet import UNetConfig

DENOISERS: dict[str, type[Config]] = {"mlp": MLPConfig, "unet": UNetConfig}
"""The configuration class of each kind; ``build(images, schedule, generator=...)`` makes the denoiser."""

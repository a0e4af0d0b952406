"""The kinds of denoisers, by name.

A new kind is one file with a final `Denoiser` and its configuration, and one line in `DENOISERS` (and its
name in `DenoiserConfig`, for type checkers). A network that is a diffusers model, and so takes seconds to
import, has its configuration in `spurion.diffusion.denoisers.network_config`.
"""

__all__ = ["DENOISERS", "DenoiserConfig"]

from spurion.diffusion.denoisers.exact import ExactConfig
from spurion.diffusion.denoisers.gaussian import GaussianConfig
from spurion.diffusion.denoisers.network_config import FourierMLPConfig, FourierResidualConfig, MLPConfig
from spurion.diffusion.denoisers.unet import UNetConfig

DenoiserConfig = (
    MLPConfig | UNetConfig | FourierResidualConfig | FourierMLPConfig | ExactConfig | GaussianConfig
)

DENOISERS: dict[str, type[DenoiserConfig]] = {
    "mlp": MLPConfig,
    "unet": UNetConfig,
    "fourier-residual": FourierResidualConfig,
    "fourier-mlp": FourierMLPConfig,
    "exact": ExactConfig,
    "gaussian": GaussianConfig,
}
"""The configuration class of each kind; ``build(images, schedule, generator=...)`` makes the denoiser."""

"""Associative memories, exact: energies, retrieval and every minimum.

`DenseAM` is the memory whose energy is the energy of a diffusion model; `attention.posterior` is the one
softmax over patterns beneath it and beneath the exact denoiser.
"""

from spurion.memory.attention import Posterior, posterior
from spurion.memory.dense import DenseAM, inverse_temperature
from spurion.memory.logits import Patterns

__all__ = ["DenseAM", "Patterns", "Posterior", "inverse_temperature", "posterior"]

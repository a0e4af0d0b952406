"""Associative memories, exact: energies, retrieval and every minimum.

`DenseAM` is the memory whose energy is the energy of a diffusion model; `attention.posterior` is the one
softmax over patterns beneath it and beneath the exact denoiser. `DotProductAM`, `BinaryDenseAM` and
`HopfieldNetwork` are its relatives. The paper's toy model is `spurion.circle`.
"""

__all__ = [
    "KINDS",
    "Barriers",
    "Basins",
    "BinaryDenseAM",
    "BinaryRetrieval",
    "Branch",
    "CapacityPoint",
    "DenseAM",
    "DotProductAM",
    "Exponential",
    "HopfieldNetwork",
    "Merge",
    "Minima",
    "Patterns",
    "Polynomial",
    "Posterior",
    "RectifiedPolynomial",
    "Retrieval",
    "Separation",
    "Track",
    "basins",
    "capacity_curve",
    "find_barriers",
    "find_minima",
    "inverse_temperature",
    "posterior",
    "random_circle",
    "recall",
    "retrieve",
    "soft_modes",
    "survey",
    "track",
]

from spurion.memory.attention import Posterior, posterior
from spurion.memory.barriers import Barriers, find_barriers
from spurion.memory.binary import BinaryDenseAM, BinaryRetrieval, HopfieldNetwork, recall
from spurion.memory.branches import Branch, Merge, Track, track
from spurion.memory.capacity import CapacityPoint, capacity_curve
from spurion.memory.dense import DenseAM, inverse_temperature
from spurion.memory.dot_product import DotProductAM
from spurion.memory.logits import Patterns
from spurion.memory.minima import KINDS, Basins, Minima, basins, find_minima, survey
from spurion.memory.patterns import random_circle
from spurion.memory.place import soft_modes
from spurion.memory.retrieval import Retrieval, retrieve
from spurion.memory.separation import Exponential, Polynomial, RectifiedPolynomial, Separation

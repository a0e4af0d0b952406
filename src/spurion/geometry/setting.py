"""How the points of one model are measured: what all measures share."""

__all__ = ["Setting"]

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from spurion.geometry.basin import BasinConfig
from spurion.geometry.spectrum import CUT
from spurion.neighbors import Distance
from spurion.neighbors.distances.l2 import L2


@dataclass(frozen=True)
class Setting:
    r"""How the points of one model are measured.

    Attributes:
        time: The time at which curvature and log-density are read.
        noise: The noise :math:`\sigma_t / \alpha_t` at that time.
        tolerance: The distance up to which a point counts as recovered; without it there are no basins.
        seed: The seed of all noise.
        distance: The distance of the tolerance.
        references: What relative energies refer to, with shape (r, *shape); None for mid-gray.
        basins: How basins are looked for.
        cut: Directions softer than this are soft.
        probes: Random vectors for each trace of the log-density.
        few: At most this many points of a group for measures that are costly; None for all.
    """

    time: int | float
    noise: float
    tolerance: float | None
    seed: int
    distance: Distance = field(default_factory=L2)
    references: Float[Tensor, "r *shape"] | None = None
    basins: BasinConfig = field(default_factory=lambda: BasinConfig(levels=1000))
    cut: float = CUT
    probes: int = 8
    few: int | None = None

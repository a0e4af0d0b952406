"""What the geometry of one training size costs, in model calls for one item: a rough estimate for plans."""

__all__ = ["model_calls"]

import math

from spurion.geometry.groups.config import GeometryConfig
from spurion.geometry.stiffness import FULL_DIM
from spurion.phases.classification import CLASSES

DENSITY_CALLS = 2 * 8 * 50
"""Products with the Jacobian and its transpose, for a density of 8 probes and 50 steps."""

PATH_CALLS = 300
"""Evaluations along the path of one relative energy, typically."""

FLOW_CALLS = 150
"""Calls along the flow of one log-density, each third with the derivatives for the trace."""


def model_calls(config: GeometryConfig, *, train_size: int, sample_size: int, dim: int) -> int:
    """Model calls at one training size, derivatives counted as two calls.

    Arguments:
        config: How much is measured.
        train_size: The number of training images.
        sample_size: The number of samples.
        dim: The number of coordinates of an item.
    """
    points = min(len(CLASSES) * config.points, sample_size) + min(config.points, train_size) + config.points
    trials = math.ceil(math.log2(config.basins.levels + 1))
    basins = config.basins.draws * config.basins.steps * trials
    curvature = 2 * (dim if dim <= FULL_DIM else DENSITY_CALLS)
    few = min(points, (len(CLASSES) + 2) * config.energy_points)
    energies = config.references * PATH_CALLS + FLOW_CALLS * (1 + config.probes)
    return points * (basins + curvature) + few * energies

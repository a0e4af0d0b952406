"""Distances between images, by name."""

__all__ = ["DISTANCES", "L2", "Distance"]

from spurion.neighbors.distances.distance import Distance
from spurion.neighbors.distances.l2 import L2

DISTANCES: dict[str, Distance] = {distance.name: distance for distance in (L2(),)}
"""All distances: the name a user types, and the distance."""

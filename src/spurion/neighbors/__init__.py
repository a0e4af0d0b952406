"""Exact nearest neighbors between sets of images, under several distances."""

__all__ = ["DISTANCES", "Distance", "Neighbors", "Pairs", "nearest", "within"]

from spurion.neighbors.distances import DISTANCES, Distance
from spurion.neighbors.search import Neighbors, Pairs, nearest, within

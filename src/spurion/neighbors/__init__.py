"""Exact nearest neighbors between sets of images, under several distances."""

__all__ = [
    "DISTANCES",
    "Distance",
    "DistanceInfo",
    "Features",
    "Neighbors",
    "Pairs",
    "Searcher",
    "TransformedSearch",
    "Work",
    "as_distance",
    "load_distance",
    "nearest",
    "save_features",
    "within",
]

from spurion.neighbors.distances import DISTANCES, Distance, DistanceInfo, as_distance, load_distance
from spurion.neighbors.distances.features import Features, save_features
from spurion.neighbors.search import Neighbors, Pairs, Searcher, nearest, within
from spurion.neighbors.transformed import TransformedSearch
from spurion.neighbors.work import Work

"""Distances between images, by name."""

__all__ = ["DISTANCES", "Distance", "DistanceInfo", "as_distance", "load_distance"]

from functools import lru_cache

from spurion.core.arguments import FLAG, TEXT, check_arguments, check_choice, optional
from spurion.neighbors.distances.cosine import Cosine
from spurion.neighbors.distances.distance import Distance, DistanceInfo
from spurion.neighbors.distances.features import Features
from spurion.neighbors.distances.l2 import L2
from spurion.neighbors.distances.lpips import LPIPSVGG, LPIPSAlex, LPIPSSqueeze
from spurion.neighbors.distances.st_lpips import STLPIPSVGG, STLPIPSAlex

DISTANCES: dict[str, type[Distance]] = {
    distance.name: distance
    for distance in (L2, Cosine, LPIPSAlex, LPIPSVGG, LPIPSSqueeze, STLPIPSAlex, STLPIPSVGG, Features)
}
"""All distances: the name a user types, and the distance."""


def load_distance(name: str, weights: str | None = None, allow_download: bool = False) -> Distance:
    """Make a distance, once in each process.

    Arguments:
        name: A name in `DISTANCES`.
        weights: For `lpips-*`: a folder with the weights, or the network's file, or "random:SEED"; by
            default they are looked for where torch and the packages `lpips` and `torchmetrics` keep
            them. For `st-lpips-*` the same; by default they are those in the package stlpips-pytorch.
            For `features`: the file of vectors.
        allow_download: Whether published weights may be downloaded.

    Raises:
        ValueError: If the name is unknown, or what the distance needs is not there.

    Example:
        >>> load_distance("lpips-alex", "random:0").info.name
        'lpips-alex (random weights, seed 0)'
    """
    check_arguments(locals(), {"name": TEXT, "weights": optional(TEXT), "allow_download": FLAG})
    check_choice("distance", name, DISTANCES)
    return _load(name, weights, allow_download)


@lru_cache(maxsize=4)
def _load(name: str, weights: str | None, allow_download: bool) -> Distance:
    return DISTANCES[name].load(weights, allow_download)


def as_distance(distance: str | Distance) -> Distance:
    """A distance itself, or the one of a name with the weights that are here.

    Raises:
        ValueError: If it is neither, or what the distance needs is not there.
    """
    check_arguments(locals(), {"distance": (str | Distance, "a distance or the name of one")})
    return load_distance(distance) if isinstance(distance, str) else distance

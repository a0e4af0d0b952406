"""The evidence for and against an answer: signs of copying, and whether the threshold separates copies."""

__all__ = ["signs_and_separation"]

from jaxtyping import Float64
from torch import Tensor

from spurion.audits.measurement import Measurement
from spurion.audits.sources import Images
from spurion.core.random import derive_seed
from spurion.data.storage import taken
from spurion.neighbors import Distance, Searcher
from spurion.phases.exposed import equal_images
from spurion.phases.partition import second_outside
from spurion.phases.separation import Separation, by_held_out, by_others
from spurion.phases.signs import Approach, Sign, among_themselves, signs


def signs_and_separation(
    images: Images,
    found: Measurement,
    threshold: float | None,
    distance: Distance,
    search: Searcher,
    *,
    seed: int,
) -> tuple[tuple[Sign, ...], Separation | None, Float64[Tensor, " m"] | None]:
    """What speaks of copies without a threshold, and whether the threshold separates copies.

    Arguments:
        images: The sets.
        found: Their distances.
        threshold: The threshold of memorization; None if there is none.
        distance: The distance.
        search: What finds neighbors.
        seed: Seed of choices and relabelings.

    Returns:
        The signs, the separation, and the gaps around the samples' nearest training images if looked up.
    """
    ours, theirs = _approaches(images, found, distance, search, seed=seed)
    speaking = () if theirs is None else signs(ours, theirs, found.null)
    return speaking, _separation(images, found, theirs, threshold, distance, seed=seed), ours.gaps


def _approaches(
    images: Images, found: Measurement, distance: Distance, search: Searcher, *, seed: int
) -> tuple[Approach, Approach | None]:
    """How near samples come to the training set, and others that are no copies; see `spurion.phases.signs`.

    Returns:
        The approach of samples, and that of held-out images, or without them of training images among
        themselves; None where there are too few.
    """
    train = images.train.images
    nearest, other = distance.radius(found.to_train.distances), distance.radius(found.distance_train_2)
    if images.holdout is not None and (near := found.holdout_to_train) is not None:
        new = ~equal_images(images.holdout.images, train, near.distances[:, 0])
        second = second_outside(
            near, found.groups, images.holdout.images, train, distance=distance, search=search
        )
        theirs = Approach(distance.radius(near.distances[new]), distance.radius(second[new]))
        return Approach(nearest, other), theirs if new.any() else None
    among = among_themselves(
        train,
        found.first_equal,
        found.nearest_train,
        distance=distance,
        seed=derive_seed(seed, "signs"),
        search=search,
    )
    if among is None:
        return Approach(nearest, other, None), None
    return Approach(nearest, other, among[1]), among[0]


def _separation(
    images: Images,
    found: Measurement,
    others: Approach | None,
    threshold: float | None,
    distance: Distance,
    *,
    seed: int,
) -> Separation | None:
    """Whether the threshold of memorization separates copies; None if there is no threshold."""
    if threshold is None:
        return None
    train, samples = images.train.images, images.samples.images
    seed = derive_seed(seed, "separation")
    if found.to_holdout is not None and images.holdout is not None:
        sizes = (len(train), len(images.holdout))
        return by_held_out(found.to_train, found.to_holdout, found.holdout_train, threshold, sizes, seed=seed)
    firsts = found.first_equal.unique()
    return by_others(
        found.distance_train,
        None if others is None else distance.value(others.near[:, 0]),
        train if len(firsts) == len(train) else taken(train, firsts),
        samples,
        threshold,
        distance=distance,
        seed=seed,
    )

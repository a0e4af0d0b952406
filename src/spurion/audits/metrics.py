"""What follows from the distances of an audit beside the classes: metrics of other tools, and power."""

__all__ = ["metrics", "missed"]


from jaxtyping import Float, Float64
from torch import Tensor

from spurion.audits.measurement import Measurement
from spurion.audits.sources import Images
from spurion.core.random import derive_seed
from spurion.data.storage import room
from spurion.neighbors import Distance, Neighbors
from spurion.neighbors.distances.l2 import L2
from spurion.neighbors.embedding import embedded
from spurion.neighbors.rows import Rows
from spurion.phases.anchor import RANK
from spurion.phases.detection import Power, power
from spurion.phases.metrics import Evidence, Metric, all_metrics
from spurion.phases.rules import ThresholdInfo


def missed(samples: int, thresholds: ThresholdInfo, held_out: int) -> Power:
    """The copy rates that a number of samples could have missed, under a rule."""
    if thresholds.alpha is None or thresholds.memorized is None:
        return power(samples)
    fit = thresholds.null
    if fit is None:
        return power(samples, false_positive_rate=thresholds.alpha, held_out=held_out)
    carried = RANK if fit.carried[0] else None
    return power(samples, false_positive_rate=thresholds.alpha, held_out=fit.images, rank=carried)


def metrics(
    images: Images,
    found: Measurement,
    distance: Distance,
    gaps: Float64[Tensor, " m"] | None = None,
    *,
    seed: int,
) -> tuple[Metric, ...]:
    """Metrics of copying that users of other tools know, on the vectors of the distance.

    Arguments:
        images: The sets.
        found: Their distances.
        distance: The distance.
        gaps: What `spurion.phases.signs.Approach` of the samples has of gaps, if anything.
        seed: Seed of the choice of samples where a metric cannot take all.
    """
    neighbors = found.to_train
    evidence = Evidence(
        samples=_vectors(images.samples.images, distance),
        train=_vectors(images.train.images, distance),
        holdout=None if images.holdout is None else _vectors(images.holdout.images, distance),
        to_train=Neighbors(distance.radius(neighbors.distances), neighbors.indices),
        groups=found.groups,
        null=found.null,
        gaps=gaps,
    )
    return all_metrics(evidence, seed=derive_seed(seed, "metrics"))


def _vectors(images: Float[Tensor, "n *shape"], distance: Distance) -> Float[Tensor, "n d"]:
    """The vectors of a set: for l2 the pixels where they are, otherwise in a file where they are many."""
    if isinstance(distance, L2):
        return images.flatten(1)
    rows = embedded(Rows.open(images, "images"), distance, memory_limit=0)
    vectors = room((len(rows), rows.dim), rows.read(slice(0, 0)).dtype, "the vectors of a set")
    for part, some in rows.parts():
        vectors[part] = some
    return vectors

"""AuthPct and C_T as rows beside the other metrics.

C_T needs held-out images and is made by the held-out null. AuthPct needs none: what is compared are the
distances of a sample and of its nearest training image to the training set. Held-out images only say what it
is for honest images; where there are some, the null has it already.
"""

__all__ = ["authpct", "ct"]

from jaxtyping import Float64
from torch import Tensor

from spurion.data.storage import taken
from spurion.neighbors import nearest
from spurion.phases.metrics.metric import Evidence, Metric
from spurion.phases.partition import second_outside


def authpct(evidence: Evidence) -> Metric:
    """The percentage of authentic samples (`spurion.phases.copying`)."""
    null = evidence.null
    metric = Metric(
        name="AuthPct",
        value=None,
        source="Alaa et al. (2022)",
        note="It needs two different training images.",
    )
    if null is not None and null.authpct is not None:
        note = f"Percentage; it is {null.authpct_holdout:.1f} among held-out images."
        return metric.model_copy(update={"value": null.authpct, "note": note})
    gaps = _gaps(evidence) if evidence.gaps is None else evidence.gaps
    if not gaps.isfinite().all():
        return metric
    authentic = evidence.to_train.distances[:, 0] > gaps
    note = (
        "Percentage; far from 100 for honest samples too, and without held-out images none to compare with."
    )
    return metric.model_copy(update={"value": 100.0 * float(authentic.double().mean()), "note": note})


def ct(evidence: Evidence) -> Metric:
    """Meehan's C_T (`spurion.phases.copying`)."""
    value = None if evidence.null is None else evidence.null.ct
    note = "It needs held-out images."
    if value is not None:
        note = "0: as near to the training set as held-out images; far below: copies; far above: poor fit."
    return Metric(name="C_T", value=value, source="Meehan et al. (2020)", note=note)


def _gaps(evidence: Evidence) -> Float64[Tensor, " m"]:
    """The distance of each sample's nearest training image to the nearest that is no duplicate of it."""
    asked, places = evidence.to_train.indices[:, 0].unique(return_inverse=True)
    images = taken(evidence.train, asked)
    found = nearest(images, evidence.train, min(2, len(evidence.train)))
    return second_outside(found, evidence.groups, images, evidence.train)[places]

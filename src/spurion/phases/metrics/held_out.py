"""AuthPct and C_T as rows beside the other metrics; both are made by the held-out null."""

__all__ = ["authpct", "ct"]

from spurion.phases.metrics.metric import Evidence, Metric


def authpct(evidence: Evidence) -> Metric:
    """The percentage of authentic samples (`spurion.phases.copying`)."""
    null = evidence.null
    note = "It needs held-out images and two different training images."
    if null is not None and null.authpct is not None:
        note = f"Percentage; it is {null.authpct_holdout:.1f} among held-out images."
    value = None if null is None else null.authpct
    return Metric(name="AuthPct", value=value, source="Alaa et al. (2022)", note=note)


def ct(evidence: Evidence) -> Metric:
    """Meehan's C_T (`spurion.phases.copying`)."""
    value = None if evidence.null is None else evidence.null.ct
    note = "It needs held-out images."
    if value is not None:
        note = "0: as near to the training set as held-out images; far below: copies; far above: poor fit."
    return Metric(name="C_T", value=value, source="Meehan et al. (2020)", note=note)

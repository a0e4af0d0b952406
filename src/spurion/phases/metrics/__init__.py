"""Metrics of copying that users of other tools know, side by side, each with its source."""

__all__ = ["METRICS", "Evidence", "Metric", "all_metrics"]

from collections.abc import Callable

from spurion.phases.metrics.carlini import local_scale
from spurion.phases.metrics.fld import likelihood_gap
from spurion.phases.metrics.held_out import authpct, ct
from spurion.phases.metrics.metric import Evidence, Metric
from spurion.phases.metrics.mifid import cosine_penalty
from spurion.phases.metrics.ratio import neighbor_ratio

METRICS: dict[str, Callable[[Evidence, int], Metric]] = {
    "ratio": lambda evidence, _: neighbor_ratio(evidence),
    "local_scale": lambda evidence, _: local_scale(evidence),
    "authpct": lambda evidence, _: authpct(evidence),
    "ct": lambda evidence, _: ct(evidence),
    "likelihood_gap": lambda evidence, seed: likelihood_gap(evidence, seed=seed),
    "cosine_penalty": lambda evidence, seed: cosine_penalty(evidence, seed=seed),
}
"""All metrics, from the evidence and a seed."""


def all_metrics(evidence: Evidence, *, seed: int) -> tuple[Metric, ...]:
    """Every metric in `METRICS`.

    Arguments:
        evidence: What is known of samples, training images and held-out images.
        seed: Seed of the choice of samples where a metric cannot take all.
    """
    return tuple(metric(evidence, seed) for metric in METRICS.values())

"""The sections of a report, in reading order: functions of a run, None where the run has no data for them.

A new section is one function and one line in `SECTIONS`.
"""

__all__ = ["SECTIONS"]

from collections.abc import Callable

from spurion.report.blocks import Section
from spurion.report.run import Run
from spurion.report.sections.attractors import census, rarefaction
from spurion.report.sections.browser import gallery
from spurion.report.sections.classes import definitions, histograms, rules, sensitivity
from spurion.report.sections.false_calls import alphas
from spurion.report.sections.flows import flow
from spurion.report.sections.geometry import basins, curvature, energy, order, others
from spurion.report.sections.leakage import controls, null
from spurion.report.sections.making import certain, landscape, methods
from spurion.report.sections.record import limits, provenance, training
from spurion.report.sections.single import (
    distances,
    exposure,
    metrics,
    null_readings,
    ranked_samples,
    rule_table,
)
from spurion.report.sections.sizes import examples, points, transition

SECTIONS: tuple[Callable[[Run], Section | None], ...] = (
    certain,
    exposure,
    ranked_samples,
    transition,
    examples,
    points,
    alphas,
    distances,
    histograms,
    null_readings,
    rule_table,
    metrics,
    definitions,
    rules,
    sensitivity,
    rarefaction,
    census,
    null,
    controls,
    landscape,
    flow,
    basins,
    curvature,
    energy,
    others,
    order,
    gallery,
    training,
    methods,
    limits,
    provenance,
)

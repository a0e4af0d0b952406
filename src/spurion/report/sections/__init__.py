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
from spurion.report.sections.geometry import basins, curvature, energy, order, others
from spurion.report.sections.leakage import controls, null
from spurion.report.sections.record import limits, provenance, training
from spurion.report.sections.sizes import examples, points, transition

SECTIONS: tuple[Callable[[Run], Section | None], ...] = (
    transition,
    examples,
    points,
    histograms,
    definitions,
    rules,
    sensitivity,
    rarefaction,
    census,
    null,
    controls,
    basins,
    curvature,
    energy,
    others,
    order,
    gallery,
    training,
    limits,
    provenance,
)

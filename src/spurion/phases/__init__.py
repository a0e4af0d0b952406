"""From distances to classes: thresholds, fractions, attractors, the held-out null, capacities."""

__all__ = [
    "CLASSES",
    "Capacities",
    "Capacity",
    "Census",
    "Condition",
    "CopyTest",
    "Exposure",
    "FixedRule",
    "HoldoutRule",
    "NullTest",
    "Power",
    "Rarefaction",
    "Rule",
    "Sensitivity",
    "ThresholdInfo",
    "ValleyRule",
    "Verdict",
    "authenticity",
    "c_t",
    "capacities",
    "census",
    "classify",
    "classify_by_ratio",
    "decide",
    "duplicate_groups",
    "exposure",
    "fixed",
    "holdout",
    "near_leaks",
    "null_test",
    "parse_condition",
    "parse_rule",
    "power",
    "rarefaction",
    "samples_needed",
    "sensitivity",
    "thresholds_by_rule",
    "valley_thresholds",
]

from spurion.phases.attractors import Census, census
from spurion.phases.classification import CLASSES, classify, classify_by_ratio
from spurion.phases.copying import CopyTest, authenticity, c_t
from spurion.phases.detection import Power, power, samples_needed
from spurion.phases.exposed import Exposure, duplicate_groups, exposure
from spurion.phases.gate import Condition, Verdict, decide, parse_condition
from spurion.phases.leaks import near_leaks
from spurion.phases.null import NullTest, null_test
from spurion.phases.passage import Capacity
from spurion.phases.rarefied import Rarefaction, rarefaction
from spurion.phases.scaled import Sensitivity, sensitivity
from spurion.phases.thresholds import (
    FixedRule,
    HoldoutRule,
    Rule,
    ThresholdInfo,
    ValleyRule,
    fixed,
    holdout,
    parse_rule,
    thresholds_by_rule,
    valley_thresholds,
)
from spurion.phases.transitions import Capacities, capacities

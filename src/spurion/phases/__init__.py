"""From distances to classes: thresholds, fractions, attractors, the held-out null, capacities."""

__all__ = [
    "CLASSES",
    "Capacities",
    "Capacity",
    "Census",
    "ClassFractions",
    "Condition",
    "CopyTest",
    "Exposure",
    "FixedRule",
    "HoldoutRule",
    "Interval",
    "Median",
    "NullTest",
    "Ordering",
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
    "class_fractions",
    "classify",
    "classify_by_ratio",
    "compare",
    "decide",
    "duplicate_groups",
    "exposure",
    "fixed",
    "holdout",
    "median",
    "near_leaks",
    "null_test",
    "parse_condition",
    "parse_rule",
    "power",
    "proportion",
    "rarefaction",
    "samples_needed",
    "sensitivity",
    "thresholds_by_rule",
    "valley_thresholds",
]

from spurion.phases.capacities import Capacities, Capacity, capacities
from spurion.phases.census import Census, census
from spurion.phases.classification import CLASSES, classify, classify_by_ratio
from spurion.phases.copying import CopyTest, authenticity, c_t
from spurion.phases.exposure import Exposure, duplicate_groups, exposure
from spurion.phases.gate import Condition, Verdict, decide, parse_condition
from spurion.phases.intervals import ClassFractions, Interval, class_fractions, proportion
from spurion.phases.leaks import near_leaks
from spurion.phases.null import NullTest, null_test
from spurion.phases.ordering import Median, Ordering, compare, median
from spurion.phases.power import Power, power, samples_needed
from spurion.phases.rarefaction import Rarefaction, rarefaction
from spurion.phases.sensitivity import Sensitivity, sensitivity
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

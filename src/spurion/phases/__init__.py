"""From distances to classes: thresholds, fractions, attractors, the held-out null, capacities."""

__all__ = [
    "CLASSES",
    "Anchor",
    "Capacities",
    "Capacity",
    "Census",
    "Condition",
    "CopyTest",
    "Exposure",
    "FixedRule",
    "HoldoutRule",
    "NullRule",
    "NullTest",
    "Power",
    "Rarefaction",
    "Rule",
    "Sensitivity",
    "ThresholdInfo",
    "ValleyRule",
    "Verdict",
    "anchor_among",
    "anchor_of",
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
    "null_thresholds",
    "parse_condition",
    "parse_rule",
    "power",
    "rarefaction",
    "repeats",
    "samples_needed",
    "sensitivity",
    "thresholds_by_rule",
    "valley_thresholds",
]

from spurion.phases.anchor import Anchor, anchor_among, anchor_of
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
from spurion.phases.repetition import repeats
from spurion.phases.rules import FixedRule, HoldoutRule, NullRule, Rule, ThresholdInfo, ValleyRule, parse_rule
from spurion.phases.scaled import Sensitivity, sensitivity
from spurion.phases.thresholds import fixed, holdout, null_thresholds, thresholds_by_rule, valley_thresholds
from spurion.phases.transitions import Capacities, capacities

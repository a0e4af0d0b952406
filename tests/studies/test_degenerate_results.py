"""The bounds of results hold for every audit that can be made, however poor its sets."""

import pytest
import torch

from spurion import audit
from spurion.audits.results import AuditResult
from spurion.core.random import generator

DRAW = generator(0, "degenerate")


def images(count, scale=1.0):
    return (torch.rand(count, 1, 4, 4, generator=DRAW) * 2 - 1) * scale


FEW, SAME, MANY = images(9), images(4), images(70)
SETS = {
    "one training image": (images(1), images(5), images(5)),
    "constant": (torch.zeros(6, 1, 4, 4), torch.zeros(5, 1, 4, 4), torch.zeros(6, 1, 4, 4)),
    "two samples": (images(3), images(2), images(2)),
    "three equal sets": (SAME, SAME.clone(), SAME.clone()),
    "no held-out images": (images(2), images(2), None),
    "next to no contrast": (images(9, 1e-30), images(8, 1e-30), images(9, 1e-30)),
    "one held-out image": (images(9), images(8), images(1)),
    "one image copied": (FEW, FEW[[0] * 40], images(9)),
    "seventy equal images": (images(1).repeat(70, 1, 1, 1), images(70), images(1).repeat(70, 1, 1, 1)),
    "seventy and their copies": (MANY, MANY.clone(), MANY.clone()),
    "two levels": (images(70).sign(), images(20).sign(), images(70).sign()),
    "black and white": (-torch.ones(2, 1, 4, 4), torch.ones(2, 1, 4, 4), None),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("rule", ["null:0.01", "valley", "fixed:1e30,1"])
def test_true_results_are_in_bounds_and_come_back(name, rule):
    train, samples, holdout = SETS[name]
    gate = None if rule == "valley" else "memorized > 0.5"  # a valley decides nothing
    found = audit(train, samples, holdout, thresholds=rule, fail_if=gate)
    assert AuditResult.model_validate(found.to_json()) == found

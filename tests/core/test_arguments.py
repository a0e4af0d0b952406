"""Arguments of a wrong kind, at the doors of the package."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

import spurion
from spurion.audits.phase_metric import METRIC_KINDS
from spurion.audits.request import AUDIT_KINDS
from spurion.core.arguments import check_arguments
from spurion.studies.kinds import STUDY_KINDS

DOORS = [(spurion.audit, AUDIT_KINDS), (spurion.study, STUDY_KINDS), (spurion.PhaseMetric, METRIC_KINDS)]


@pytest.mark.parametrize(("door", "kinds"), DOORS)
def test_every_kind_is_that_of_an_argument_and_takes_its_default(door, kinds):
    parameters = inspect.signature(door).parameters
    assert set(kinds) <= set(parameters)
    defaults = {name: parameters[name].default for name in kinds}
    given = {name: "text" if value is inspect.Parameter.empty else value for name, value in defaults.items()}
    check_arguments(given, kinds)
    for name, (_, words) in kinds.items():
        with pytest.raises(ValueError, match=f"^`{name}` must be .*, got complex.$") as error:
            check_arguments(given | {name: 1j}, kinds)
        assert words in str(error.value)


def test_whole_numbers_of_numpy_pass():
    check_arguments({"seed": np.int64(3)}, {"seed": AUDIT_KINDS["seed"]})


def test_the_doors_say_so_themselves():
    # In a process of its own: here the annotations are checked, which would speak first.
    code = """
import spurion
import spurion.data
calls = [
    lambda: spurion.audit([[0.0]], "samples.npz"),
    lambda: spurion.audit("train.npz", "samples.npz", thresholds=0.1),
    lambda: spurion.study(3, out="run"),
    lambda: spurion.study("digits", out="run", overrides="seed=1"),
    lambda: spurion.study("digits", out="run", overrides=[1]),
    lambda: spurion.PhaseMetric(distance=2),
    lambda: spurion.PhaseMetric().update([[0.0]], real=True),
    lambda: spurion.data.open_images([[0.0]]),
    lambda: spurion.audit("digits", "digits", value_range="0,1"),
]
for call in calls:
    try:
        call()
    except ValueError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "`train` must be an image set, a tensor, an array or a path, got list.",
        '`thresholds` must be a text such as "null:0.01", got float.',
        "`what` must be a recipe's name, a path or a configuration, got int.",
        '`overrides` must be a list of texts such as "seed=1", got str.',
        '`overrides` must be a list of texts such as "seed=1", got int in it.',
        "`distance` must be a distance or the name of one, got int.",
        "`images` must be a tensor with shape (n, C, H, W), got list.",
        "`source` must be an image set, a tensor, an array or a path, got list.",
        "`value_range` must be two numbers such as (0, 1), or such numbers by set, got str.",
    ]

import math

import pytest
import torch

from curved import Faulty, Turned
from spurion.core.random import generator
from spurion.diffusion.schedule import VESchedule
from spurion.geometry import stiffness as module
from spurion.geometry.curvature_measures import (
    IntrinsicDimension,
    LogDeterminant,
    MeanCurvature,
    SoftDirections,
)
from spurion.geometry.measured import STATUSES

VARIANCES = torch.tensor([1.0, 0.04, 0.01, 0.0], dtype=torch.float64)
RHO = [0.01 / 1.01, 0.01 / 0.05, 0.5, 1.0]  # at the noise 0.1
EXPECTED = {
    SoftDirections: 2.5,
    MeanCurvature: sum(RHO) / 4,
    LogDeterminant: sum(map(math.log, RHO)),
    IntrinsicDimension: 4 - sum(RHO),
}


def read(measure, x):
    denoiser = Faulty(Turned(VARIANCES, (4,), VESchedule()))
    return measure(denoiser, x, generator=generator(0, "measures"))


@pytest.mark.parametrize("kind", EXPECTED)
def test_each_measure_reads_its_number(kind):
    x = torch.tensor([[0.0] * 4, [9.0, 0, 0, 0]])
    found = read(kind(cut=0.499) if kind is SoftDirections else kind(), x)
    expected = 2 if kind is SoftDirections else EXPECTED[kind]
    assert found.values[0] == pytest.approx(expected)
    assert [STATUSES[i] for i in found.status] == ["measured", "failed"]


def test_measures_are_read_at_their_noise():
    softer = read(SoftDirections(noise=0.3), torch.zeros(1, 4))
    assert softer.values.tolist() == [1.0]  # only 1 is above 0.09
    assert read(SoftDirections(noise=0.3, cut=0.9), torch.zeros(1, 4)).values.tolist() == [2.0]


def test_many_coordinates_have_no_determinant(monkeypatch):
    monkeypatch.setattr(module, "FULL_DIM", 3)
    x = torch.tensor([[0.0] * 4, [9.0, 0, 0, 0]])
    found = read(LogDeterminant(), x)
    assert [STATUSES[i] for i in found.status] == ["undecided", "failed"]
    assert found.values.isnan().all()
    # Random signs: each probe has a variance of about 2 (sum of squares off the diagonal), so roughly 1 here.
    assert read(MeanCurvature(), x).values[0] == pytest.approx(EXPECTED[MeanCurvature], abs=0.3)

import math

import pytest
import torch

from spurion.core.random import generator
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.schedule import DDPMSchedule
from spurion.geometry.basin import BasinConfig, BasinResult
from spurion.geometry.critical import basins
from spurion.geometry.recovery import RecoveryArea, recovery_area


def planted(draws, complete=True):
    """A result on a ladder of noises 0.1, 0.2, 0.4 with given own levels."""
    draws = torch.tensor(draws)
    n = len(draws)
    return BasinResult(
        times=torch.tensor([1, 2, 3]),
        sigmas=torch.tensor([0.1, 0.2, 0.4], dtype=torch.float64),
        critical=torch.zeros(n, dtype=torch.int64),
        draws=draws,
        status=torch.zeros(n, dtype=torch.int64),
        monotone=torch.ones(n, dtype=torch.bool),
        radius=torch.ones(n, dtype=torch.float64),
        dim=4,
        complete=complete,
        evaluations=1,
    )


def test_the_area_is_the_mean_noise_of_the_draws_and_the_integral_of_the_curve():
    result = planted([[-1, 0, 1, 2], [2, 2, 2, 2], [-1, -1, -1, -1]])
    area = recovery_area(result)
    assert area.tolist() == pytest.approx([(0 + 0.1 + 0.2 + 0.4) / 4, 0.4, 0])
    share = (result.draws.unsqueeze(2) >= torch.arange(3)).double().mean(dim=1)
    steps = torch.tensor([0.1, 0.1, 0.2], dtype=torch.float64)  # p is a step function between the levels
    assert torch.allclose(share @ steps, area)


def test_of_a_model():
    memories = torch.rand(8, 12, generator=generator(0, "recovery")) * 1.8 - 0.9
    denoiser, points = (
        ExactDenoiser(memories, DDPMSchedule()),
        torch.cat([memories[:3], memories[:1] * math.nan]),
    )
    result = basins(denoiser, points, 0.2, BasinConfig(every_draw=True), seed=0)
    assert recovery_area(result)[3].isnan()
    # With 9 of 10 draws at least at the critical noise, the area is at least 0.9 of it.
    assert (recovery_area(result)[:3] >= 0.9 * result.sigma[:3]).all()


def test_the_measure_asks_for_every_draw():
    memories = torch.rand(8, 12, generator=generator(0, "recovery")) * 1.8 - 0.9
    denoiser = ExactDenoiser(memories, DDPMSchedule())
    measured = RecoveryArea(tolerance=0.2)(denoiser, memories[:3], generator=generator(0, "area"))
    assert measured.has("measured").all()
    assert ((measured.values > 0.01) & (measured.values < 1)).all()


def test_all_draws_are_needed():
    for read in (recovery_area, RecoveryArea().of):
        with pytest.raises(ValueError, match="`result` must hold the own level of every draw"):
            read(planted([[0, 1]], complete=False))

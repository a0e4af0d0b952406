import math

import pytest
import torch

from curved import SCHEDULE, Faulty, Turned
from spurion.core.random import generator
from spurion.data import load_split
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianConfig
from spurion.diffusion.schedule import DDPMSchedule, VESchedule
from spurion.geometry.groups.config import GeometryConfig
from spurion.geometry.groups.scan import noise_times, scan
from spurion.geometry.hessian import curvature


def random():
    return generator(0, "scan")


def level(schedule, t):
    time = torch.tensor(t)
    return float(schedule.sigma(time) / schedule.alpha(time))


def test_times_are_nearest_in_the_logarithm():
    steps = torch.arange(1000)
    levels = SCHEDULE.sigma(steps) / SCHEDULE.alpha(steps)
    for noise in (1e-5, 0.02, 0.1, 0.77, 3.0, 1e9):
        t = SCHEDULE.nearest(noise)
        assert isinstance(t, int)
        assert t == int((levels.log() - math.log(noise)).abs().argmin())
    assert SCHEDULE.nearest(level(SCHEDULE, 123)) == 123
    assert level(VESchedule(3.0), VESchedule(3.0).nearest(0.2)) == pytest.approx(0.2)


def test_a_grid_is_even_in_the_logarithm():
    times = noise_times(VESchedule(2.0), count=5, low=0.01, high=1.0)
    assert [level(VESchedule(2.0), t) for t in times] == pytest.approx([0.01, 0.1**1.5, 0.1, 0.1**0.5, 1.0])
    steps = noise_times(SCHEDULE)
    assert len(steps) == 12
    assert all(isinstance(t, int) for t in steps)
    assert (steps[0], steps[-1]) == (SCHEDULE.nearest(0.02), SCHEDULE.nearest(1.0))
    # Few steps are not given twice.
    assert noise_times(DDPMSchedule(3), count=50) == tuple(
        sorted(set(noise_times(DDPMSchedule(3), count=50)))
    )
    assert noise_times(SCHEDULE, count=1, low=0.3, high=0.3) == (SCHEDULE.nearest(0.3),)


def of(denoiser, x, **config):
    return scan(denoiser, x, GeometryConfig(**config), train_size=len(x), seed=0)


def test_a_scan_holds_what_each_time_shows():
    denoiser = Turned(torch.tensor([1.0, 0.1, 0.01, 0.0], dtype=torch.float64), (2, 2))
    x = torch.rand(3, 2, 2, generator=random())
    found = of(Faulty(denoiser), torch.cat([x, x[:1] + 9]), scan=3, cut=0.2)
    assert found.times == noise_times(SCHEDULE, 3)
    assert found.noise == pytest.approx([level(SCHEDULE, t) for t in found.times])
    for index, t in enumerate(found.times):
        one = curvature(denoiser, x, t)
        assert found.separation[index] == pytest.approx(float(one.separation(0.2).values.mean()))
        assert found.soft_directions[index] == pytest.approx(float(one.soft_directions(0.2).values.mean()))
        assert found.intrinsic_dimension[index] == pytest.approx(float(one.flipd().values.mean()))


def test_the_rule_finds_the_noise_between_two_variances():
    # Directions of variance 1 and 1e-4: soft ones have s^2 / (1 + s^2), stiff ones s^2 / (1e-4 + s^2) at the
    # noise s, and their difference is largest at s^4 = 1e-4.
    denoiser = Turned(torch.tensor([1.0] * 3 + [1e-4] * 5, dtype=torch.float64), (8,), VESchedule())
    found = of(denoiser, torch.zeros(2, 8), scan=41)
    step = 50 ** (1 / 40)  # from 0.02 to 1 in 40 steps
    assert 0.1 / step < found.chosen_noise < 0.1 * step
    s = found.chosen_noise
    difference = s**2 / (1e-4 + s**2) - s**2 / (1 + s**2)
    assert max(found.separation) == pytest.approx(3 / 8 * 5 / 8 * difference**2)
    assert found.times[found.separation.index(max(found.separation))] == found.chosen_time


def test_the_cut_decides_what_is_soft():
    denoiser = Turned(torch.tensor([1.0] * 3 + [0.0] * 5, dtype=torch.float64), (8,), VESchedule())
    at_once = noise_times(VESchedule(), 2)[-1]  # soft ones have 0.5 at a noise of 1
    for cut, separates in ((0.499, False), (0.501, True)):
        found = of(denoiser, torch.zeros(1, 8), scan=2, cut=cut)
        assert (found.separation[-1] > 0.01) == separates
        assert found.times[-1] == at_once


def test_on_digits_the_rule_tells_a_memory_from_a_manifold():
    images = load_split("digits").train.images
    general = GaussianConfig().build(images, SCHEDULE, generator=random())
    memory = ExactDenoiser(images[:8], SCHEDULE)
    time = of(general, images[:16]).chosen_time
    soft = [curvature(model, images[:8], time).soft_directions().values for model in (memory, general)]
    assert soft[0].max() == 0
    assert soft[1].min() > 10


def test_nothing_to_choose_by():
    memory = ExactDenoiser(torch.zeros(1, 3), SCHEDULE)
    for found in (of(memory, torch.zeros(2, 3)), of(Faulty(memory), torch.full((2, 3), 9.0))):
        assert found.note.startswith("No level separates")
        assert found.chosen_time == SCHEDULE.nearest(0.1)
    assert found.separation == (None,) * len(found.times)


def test_bad_scans():
    with pytest.raises(ValueError, match="`count` must be at least 1, got 0"):
        noise_times(SCHEDULE, count=0)
    for low, high in [(0.0, 1.0), (0.2, 0.1)]:
        with pytest.raises(ValueError, match=f"0 < low <= high, got {low} and {high}"):
            noise_times(SCHEDULE, low=low, high=high)
    with pytest.raises(ValueError, match="`noise` must be positive, got 0"):
        SCHEDULE.nearest(0.0)

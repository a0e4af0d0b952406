import math

import pytest
import torch

from curved import SCHEDULE, Faulty, Turned
from spurion.core.random import generator
from spurion.data import load_split
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianConfig
from spurion.diffusion.schedule import DDPMSchedule, VESchedule
from spurion.geometry.hessian import curvature
from spurion.geometry.noise_scan import choose_time, noise_times, scan_curvature


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


def test_a_scan_holds_what_each_time_shows():
    denoiser = Turned(torch.tensor([1.0, 0.1, 0.01, 0.0], dtype=torch.float64), (2, 2))
    x = torch.rand(3, 2, 2, generator=random())
    scan = scan_curvature(Faulty(denoiser), torch.cat([x, x[:1] + 9]), (5, 100, 300), batch_size=4)
    assert scan.times == (5, 100, 300)
    assert scan.noise == pytest.approx([level(SCHEDULE, t) for t in (5, 100, 300)])
    for index, t in enumerate(scan.times):
        one = curvature(denoiser, x, t)
        assert scan.separation()[index] == pytest.approx(float(one.separation().values.mean()))
        assert scan.separation(0.2)[index] == pytest.approx(float(one.separation(0.2).values.mean()))
        assert scan.soft_directions(0.2)[index] == pytest.approx(
            float(one.soft_directions(0.2).values.mean())
        )
        dimensions = float(one.normal_bundle_dimension().values.mean())
        assert scan.normal_bundle_dimension()[index] == pytest.approx(dimensions)
        assert scan.flipd()[index] == pytest.approx(float(one.flipd().values.mean()))


def test_the_rule_finds_the_noise_between_two_variances():
    # Directions of variance 1 and 1e-4: soft ones have s^2 / (1 + s^2), stiff ones s^2 / (1e-4 + s^2) at the
    # noise s, and their difference is largest at s^4 = 1e-4.
    denoiser = Turned(torch.tensor([1.0] * 3 + [1e-4] * 5, dtype=torch.float64), (8,), VESchedule())
    scan = scan_curvature(denoiser, torch.zeros(2, 8), noise_times(VESchedule(), 41, 0.01, 1.0))
    choice = choose_time(scan)
    assert choice.noise == pytest.approx(0.1)
    assert (choice.t, choice.index) == (scan.times[20], 20)
    difference = 1 / (1 + 0.01) - 0.01 / (1 + 0.01)
    assert float(choice.separation[20]) == pytest.approx(3 / 8 * 5 / 8 * difference**2)
    assert torch.equal(choice.separation, scan.separation())


def test_the_cut_decides_what_is_soft():
    denoiser = Turned(torch.tensor([1.0] * 3 + [0.0] * 5, dtype=torch.float64), (8,), VESchedule())
    scan = scan_curvature(denoiser, torch.zeros(1, 8), (1.5,))  # soft ones have 0.6
    assert choose_time(scan) is None
    assert choose_time(scan, cut=0.7).separation[0] > 0


def test_on_digits_the_rule_tells_a_memory_from_a_manifold():
    images = load_split("digits").train.images
    general = GaussianConfig().build(images, SCHEDULE, generator=random())
    memory = ExactDenoiser(images[:8], SCHEDULE)
    choice = choose_time(scan_curvature(general, images[:16], noise_times(SCHEDULE)))
    models = (memory, general)
    soft = [curvature(model, images[:8], choice.t).soft_directions().values for model in models]
    assert soft[0].max() == 0
    assert soft[1].min() > 10


def test_nothing_to_choose_by():
    memory = ExactDenoiser(torch.zeros(1, 3), SCHEDULE)
    assert choose_time(scan_curvature(memory, torch.zeros(2, 3), noise_times(SCHEDULE))) is None
    failing = scan_curvature(Faulty(memory), torch.full((2, 3), 9.0), (0, 100))
    assert failing.separation().isnan().all()
    assert choose_time(failing) is None


def test_bad_scans():
    with pytest.raises(ValueError, match="`times` must hold at least one time, got none"):
        scan_curvature(ExactDenoiser(torch.zeros(1, 3), SCHEDULE), torch.zeros(2, 3), ())
    with pytest.raises(ValueError, match="`count` must be at least 1, got 0"):
        noise_times(SCHEDULE, count=0)
    for low, high in [(0.0, 1.0), (0.2, 0.1)]:
        with pytest.raises(ValueError, match=f"0 < low <= high, got {low} and {high}"):
            noise_times(SCHEDULE, low=low, high=high)
    with pytest.raises(ValueError, match="`noise` must be positive, got 0"):
        SCHEDULE.nearest(0.0)

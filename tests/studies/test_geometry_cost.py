import torch

from spurion.core.random import generator
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.schedule import DDPMSchedule
from spurion.geometry.basin import BasinConfig
from spurion.geometry.groups.choice import choose_groups
from spurion.geometry.groups.config import GeometryConfig
from spurion.geometry.groups.measuring import measure, usual_measures
from spurion.neighbors.distances import L2
from spurion.studies.geometry.cost import model_calls


class Counting(Denoiser):
    """Another denoiser that counts the items it was given."""

    def __init__(self, inner):
        self.inner, self.items = inner, 0
        self.schedule, self.shape, self.dtype = inner.schedule, inner.shape, inner.dtype

    def denoise(self, x_t, t):
        self.items += len(x_t)
        return self.inner.denoise(x_t, t)


def test_the_estimate_is_of_the_right_size():
    config = GeometryConfig(points=6, energy_points=6, basins=BasinConfig(draws=3, levels=20))
    images = torch.randn(24, 1, 2, 2, generator=generator(0, "images")) * 0.3
    denoiser = Counting(ExactDenoiser(images, DDPMSchedule()))
    labels = torch.arange(36) % 3
    samples = images[torch.arange(36) % 24]
    groups = choose_groups(samples, labels, images, images + 0.1, most=12, least=6, seed=0)
    setting = config.setting(denoiser, 100, tolerance=0.2, distance=L2(), references=images[:2], seed=0)
    measure(denoiser, groups, usual_measures(4, basins=True), setting)
    estimate = model_calls(config, train_size=24, sample_size=36, dim=4)
    # vmapped derivatives are seen once a batch, so that the count is a lower bound; a plan needs no more.
    assert denoiser.items / 3 < estimate < denoiser.items * 3


def test_it_grows_with_what_is_asked_for():
    base = GeometryConfig()
    once = model_calls(base, train_size=100, sample_size=2000, dim=64)
    assert model_calls(base, train_size=100, sample_size=200, dim=64) < once
    assert model_calls(base, train_size=10, sample_size=2000, dim=64) < once
    assert model_calls(base, train_size=100, sample_size=2000, dim=784) > once
    dear = base.model_copy(update={"basins": BasinConfig(draws=20, levels=200)})
    assert model_calls(dear, train_size=100, sample_size=2000, dim=64) > 1.5 * once
    # Beyond full spectra the cost does not depend on the dimension.
    large = [model_calls(base, train_size=100, sample_size=2000, dim=dim) for dim in (3072, 12288)]
    assert large[0] == large[1]

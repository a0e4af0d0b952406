"""One function measures: what is shared is computed once, and all noise has its name."""

from dataclasses import replace

import pytest
import torch

from spurion.core.random import derive_seed, generator
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.schedule import DDPMSchedule
from spurion.geometry import MEASURES, BasinConfig, Group, basins, measure
from spurion.geometry.groups.config import GeometryConfig
from spurion.geometry.log_density import FlowLogDensity
from spurion.geometry.stiffness import stiffness
from spurion.neighbors.distances import L2

TIME, SEED = 30, 5
BASINS = BasinConfig(draws=3, levels=5, steps=4)
CONFIG = GeometryConfig(basins=BASINS, energy_points=6, probes=2, cut=0.4)


@pytest.fixture
def model():
    patterns = torch.rand(8, 1, 2, 2, generator=generator(0, "measuring")) - 0.5
    return ExactDenoiser(patterns, DDPMSchedule(100))


def setting_of(model):
    references = torch.zeros(1, *model.shape)
    return CONFIG.setting(model, TIME, tolerance=0.2, distance=L2(), references=references, seed=SEED)


def group_of(model, name="training"):
    return Group(name, 8, torch.arange(8), model.patterns)


def log_density(model, x, *path):
    noise = setting_of(model).noise
    return FlowLogDensity(noise, 2)(model, x, generator=generator(SEED, "log-density", *path)).values


def test_a_setting_is_that_of_the_configuration(model):
    setting = setting_of(model)
    t = torch.tensor(TIME)
    assert setting.noise == pytest.approx(float(model.schedule.sigma(t) / model.schedule.alpha(t)))
    assert (setting.basins, setting.cut, setting.probes, setting.few) == (BASINS, 0.4, 2, 6)


def test_the_noise_of_a_measure_has_the_name_of_its_group(model):
    group = group_of(model)
    found = measure(model, [group], ["log-density", "mean-curvature", "critical-noise"], setting_of(model))
    few = group.first(6, seed=derive_seed(SEED, "energies"))
    assert torch.equal(found.points["log-density"]["training"], few.index)
    expected = log_density(model, few.points, "training")
    assert torch.equal(found.values["log-density"]["training"].values, expected)
    whole = basins(model, group.points, 0.2, BASINS, seed=derive_seed(SEED, "basins"))
    assert torch.equal(found.values["critical-noise"]["training"].status, whole.status)


@pytest.mark.parametrize("name", ["", "training"])
def test_densities_have_their_probes(name, model, monkeypatch):
    monkeypatch.setattr("spurion.geometry.stiffness.FULL_DIM", 1)
    found = measure(model, [group_of(model, name)], ["mean-curvature"], setting_of(model))
    seed = derive_seed(SEED, "curvature", *([name] if name else []))
    alone = stiffness(model, model.patterns, TIME, cut=0.4, seed=seed)
    assert torch.equal(found.values["mean-curvature"][name].values, alone.mean.values)
    assert found.asymmetry[name] is None


def test_images_of_no_class_go_in_batches(model):
    setting, seen = replace(setting_of(model), few=None), []
    names = ["soft-directions", "log-density"]
    group = group_of(model, "")
    found = measure(
        model, [group], names, setting, batch=5, progress=lambda done, total: seen.append((done, total))
    )
    parts = [log_density(model, x, place) for place, x in enumerate(model.patterns.split(5))]
    assert torch.equal(found.values["log-density"][""].values, torch.cat(parts))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    alone = stiffness(model, model.patterns, TIME, cut=0.4, seed=0)
    assert torch.allclose(found.ranks[""], alone.ranks)
    assert torch.allclose(found.asymmetry[""], alone.asymmetry)
    assert torch.equal(found.values["soft-directions"][""].values, alone.soft_directions.values)


def test_only_what_needs_every_draw_asks_for_them(model, monkeypatch):
    asked, real = [], basins

    def spy(denoiser, x, tolerance, config, **options):
        asked.append(config.every_draw)
        return real(denoiser, x, tolerance, config, **options)

    monkeypatch.setattr("spurion.geometry.critical.basins", spy)
    for names in (["critical-noise", "log-volume"], ["critical-noise", "recovery-area"]):
        measure(model, [group_of(model)], names, setting_of(model))
    assert asked == [False, True]  # and once for both measures


@pytest.mark.parametrize("register", ["__setitem__", "setdefault"])
def test_a_measure_is_registered_by_its_own_name(register):
    with pytest.raises(ValueError, match=r"`MEASURES\['depth'\]` must hold .* that name, got 'log-density'"):
        getattr(MEASURES, register)("depth", MEASURES["log-density"])
    assert "depth" not in MEASURES


def test_names_are_those_of_measures(model):
    for names, got in ((["depth"], "'depth'"), ([], "none")):
        with pytest.raises(
            ValueError, match=f"`measures` must be names among {', '.join(MEASURES)}, got {got}"
        ):
            measure(model, [], names, setting_of(model))

"""The trained part on a denoiser that is exact: everything must agree with the exact energy."""

import numpy as np
import pytest
import torch

from spurion.circle import trained
from spurion.circle.comparison import cluster_samples, compare_grids, hausdorff, nearest
from spurion.circle.config import circle_config
from spurion.circle.ring import RingEnergy, paper_circle
from spurion.circle.trained import train_and_compare
from spurion.core.random import generator
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.schedule import VESchedule
from spurion.memory.dense import DenseAM

OVERRIDES = ("trained.counts=[9]", "trained.samples=200", "trained.sampler.steps=60", "trained.points=7")


@pytest.fixture(scope="module")
def perfect(tmp_path_factory):
    """The result of a training that ended with the exact denoiser, its folder and the stages reported."""
    folder, stages = tmp_path_factory.mktemp("perfect"), []

    def train(images, denoiser, training, *, schedule, seed, folder, progress):
        progress(1, 1)
        (folder / "training.jsonl").write_text('{"step": 5, "loss": 0.25}\n')
        return ExactDenoiser(images, schedule)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trained, "train", train)
        config = circle_config(overrides=OVERRIDES)
        result = train_and_compare(config, 9, "paper", folder, lambda *call: stages.append(call[:2]))
    return result, folder, stages


def test_an_exact_denoiser_learns_the_exact_energy(perfect):
    result, _, stages = perfect
    patterns = result.comparisons[0]
    assert patterns.against == "patterns"
    assert patterns.correlation == pytest.approx(1, abs=1e-5)
    assert patterns.rms < 0.01  # the tolerance of the equation, in kT
    assert patterns.rms_weighted < 0.01
    assert patterns.hausdorff < 1e-3
    assert (result.iterations, result.final_loss, result.unresolved) == (5, 0.25, 0)
    assert {stage for _, stage in stages} >= {"train", "sample", "energy", "minima"}
    assert {name for name, _ in stages} == {"K = 9, paper"}


def test_the_ring_is_another_energy(perfect):
    ring = perfect[0].comparisons[1]
    assert ring.against == "ring"
    assert ring.correlation < 0.9
    assert ring.rms > 0.5
    radius = RingEnergy(1 / 0.3).radius
    farthest = max(abs((m.x**2 + m.y**2) ** 0.5 - radius) for m in perfect[0].minima)
    assert ring.hausdorff == pytest.approx(farthest)


def test_grids_are_energies_of_normalized_densities(perfect):
    with np.load(perfect[1] / "grid.npz") as grid:
        at = torch.tensor([[-1.5 + 3 * 4 / 6, -1.5 + 3 * 2 / 6]], dtype=torch.float64)
        beta = 1 / 0.3
        exact = DenseAM(paper_circle(9), beta).log_density(at)
        ring = RingEnergy(beta).log_density(at)
        assert grid["patterns"][2, 4] == pytest.approx(-float(exact) / beta)
        assert grid["ring"][2, 4] == pytest.approx(-float(ring) / beta)
        assert grid["learned"][2, 4] == pytest.approx(-float(exact) / beta, abs=3e-3)


def test_minima_and_clusters_of_the_exact_denoiser(perfect):
    result = perfect[0]
    angles = sorted(round(np.degrees(np.arctan2(m.y, m.x)) % 360, 1) for m in result.minima)
    assert angles == pytest.approx([146.0, 214.2, 331.9], abs=0.15)
    assert len(result.exact.minima) == 3
    assert all(m.to_exact < 1e-3 for m in result.minima)
    assert [m.energy for m in result.minima] == sorted(m.energy for m in result.minima)
    assert sum(cluster.size for cluster in result.clusters) == 200
    # The exact reverse process ends in patterns, but for the error of 60 steps.
    assert result.near_pattern.value > 0.9
    assert result.near_ring.value > 0.9
    with np.load(perfect[1] / "samples.npz") as stored:
        samples = stored["samples"].astype(float)
    apart = np.linalg.norm(samples[:, None] - paper_circle(9).numpy(), axis=2).min(1)
    assert result.near_pattern.value == pytest.approx((apart <= 0.1).mean())
    assert result.near_ring.value == pytest.approx((abs(np.linalg.norm(samples, axis=1) - 1) <= 0.1).mean())


def test_stored_samples_and_grid_are_not_made_again(perfect, monkeypatch):
    result, folder, _ = perfect

    def never(*arguments, **named):
        raise AssertionError("made again")

    def train(images, denoiser, training, *, schedule, seed, folder, progress):
        return ExactDenoiser(images, VESchedule())

    monkeypatch.setattr(trained, "train", train)
    monkeypatch.setattr(trained, "sample_sde", never)
    config = circle_config(overrides=OVERRIDES)
    assert train_and_compare(config, 9, "paper", folder, lambda *call: None) == result


def test_a_network_that_is_not_there(tmp_path):
    config = circle_config(overrides=["trained.networks.code=null"])
    for name in ("code", "mine"):
        with pytest.raises(ValueError, match=f"`networks` has no '{name}'"):
            train_and_compare(config, 2, name, tmp_path, lambda *call: None)


def test_comparisons_by_hand():
    exact = torch.tensor([0.0, 1.0, 4.0], dtype=torch.float64)
    learned = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    correlation, rms, weighted = compare_grids(learned, exact, 2.0)
    assert correlation == pytest.approx(np.corrcoef(learned, exact)[0, 1])
    assert rms == pytest.approx(((1 + 0 + 16) / 3) ** 0.5)
    weights = np.exp([0, -2, -8])
    assert weighted == pytest.approx((weights @ [1, 0, 16] / weights.sum()) ** 0.5)
    gap = torch.tensor([0.5, torch.nan, 2.0], dtype=torch.float64)
    assert compare_grids(gap, exact, 2.0)[1] == pytest.approx((17 / 2) ** 0.5)
    with pytest.raises(ValueError, match="could not be computed anywhere"):
        compare_grids(torch.full_like(exact, torch.nan), exact, 2.0)


def test_distances_of_sets():
    first = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    second = torch.tensor([[0.0, 0.0]], dtype=torch.float64)
    assert hausdorff(first, second) == hausdorff(second, first) == 1
    assert hausdorff(first, second[:0]) is None
    assert hausdorff(first[:0], second) is None
    assert nearest(first, second) == [0, 1]
    assert nearest(first[:0], second) == []


def test_planted_clusters_are_found():
    rng = generator(0, "clusters")
    sizes = (30, 12, 5)
    centers = torch.tensor([[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    groups = [c + 0.01 * torch.randn(n, 2, generator=rng) for c, n in zip(centers, sizes, strict=True)]
    found, counts = cluster_samples(torch.cat(groups).double(), 1.0)
    assert counts == [30, 12, 5]
    assert torch.allclose(found, centers, atol=0.02)
    copies, count = cluster_samples(torch.zeros(4, 2, dtype=torch.float64), 0.1)
    assert (copies.tolist(), count) == ([[0, 0]], [4])

"""C_T and AuthPct: brute force, Mann-Whitney, and p-values by simulation."""

import math

import pytest
import torch
from scipy import stats
from sklearn.cluster import KMeans

from spurion.core.random import generator
from spurion.phases.copying import authenticity, c_t, nearest_cells


def uniform(count, *path):
    return torch.rand(count, generator=generator(0, "copying", *path), dtype=torch.float64)


def z_score(samples, holdout):
    """The formula of Meehan et al., pair by pair."""
    m, n = len(samples), len(holdout)
    u = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in samples.tolist() for b in holdout.tolist())
    return (u - (n * m / 2 - 0.5)) / math.sqrt(n * m * (n + m + 1) / 12)


def test_in_one_cell_it_is_the_z_score():
    samples, holdout = uniform(30, 1), uniform(23, 2)
    assert c_t(samples, holdout).value == pytest.approx(z_score(samples, holdout), abs=1e-12)


def test_its_p_value_is_that_of_mann_whitney():
    samples, holdout = uniform(60, 3), uniform(80, 4) + 0.05
    reference = stats.mannwhitneyu(samples, holdout, alternative="less", method="asymptotic")
    assert c_t(samples, holdout).p_value == pytest.approx(reference.pvalue, abs=1e-12)


def test_ties_count_half():
    samples, holdout = torch.tensor([0.0, 0.0, 1.0, 2.0]), torch.tensor([0.0, 1.0, 1.0])
    assert c_t(samples, holdout).value == pytest.approx(z_score(samples, holdout), abs=1e-12)


def test_copies_are_far_below_zero_and_strangers_far_above():
    holdout = uniform(200, 5) + 1
    assert c_t(uniform(200, 6), holdout).value < -10
    assert c_t(uniform(200, 6), holdout).p_value < 1e-20
    assert c_t(uniform(200, 6) + 2, holdout).value > 10
    assert c_t(uniform(200, 6) + 2, holdout).p_value > 0.999


def planted_cells(*counts):
    return torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))


def test_cells_weigh_as_their_held_out_images():
    samples, holdout = uniform(70, 7), uniform(40, 8)
    cells = planted_cells(50, 20), planted_cells(10, 30)
    expected = 0.25 * z_score(samples[:50], holdout[:10]) + 0.75 * z_score(samples[50:], holdout[10:])
    found = c_t(samples, holdout, cells)
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.p_value == pytest.approx(stats.norm.cdf(expected / math.sqrt(0.0625 + 0.5625)), abs=1e-12)


def test_cells_with_fewer_than_twenty_samples_are_left_out():
    samples, holdout = uniform(69, 7), uniform(40, 8)
    found = c_t(samples, holdout, (planted_cells(50, 19), planted_cells(10, 30)))
    assert found.value == pytest.approx(z_score(samples[:50], holdout[:10]), abs=1e-12)


def test_a_cell_without_held_out_images_is_left_out():
    samples, holdout = uniform(100, 9), uniform(40, 10)
    found = c_t(samples, holdout, (planted_cells(50, 50), planted_cells(0, 40)))
    assert found.value == pytest.approx(z_score(samples[50:], holdout), abs=1e-12)


def test_without_any_large_cell_there_is_one_cell():
    samples, holdout = uniform(30, 11), uniform(20, 12)
    found = c_t(samples, holdout, (planted_cells(10, 10, 10), planted_cells(10, 5, 5)))
    assert found.value == pytest.approx(z_score(samples, holdout), abs=1e-12)


@pytest.mark.parametrize("celled", [False, True])
def test_p_values_of_c_t_are_uniform_under_the_null(celled):
    p_values = []
    for distances in uniform(200 * 250, "null").split(250):
        samples, holdout = distances.split((150, 100))
        cells = (planted_cells(100, 50), planted_cells(30, 70)) if celled else None
        p_values.append(c_t(samples, holdout, cells).p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_authpct_on_a_line():
    # training images at 0, 1 and 5: gaps 1, 1 and 4
    gaps = torch.tensor([1.0, 1.0, 4.0])
    samples = torch.tensor([0.4, 1.5, 2.0, 4.5]), torch.tensor([0, 1, 2, 2])
    holdout = torch.tensor([1.0, 1.1]), torch.tensor([0, 1])
    found, of_holdout = authenticity(samples, holdout, gaps)
    assert found.value == 50.0  # 1.5 > 1 and 4.5 > 4
    assert of_holdout == 50.0  # 1.0 is not farther than 1
    assert authenticity(holdout, samples, gaps)[0].value == 50.0


def test_the_p_value_of_authpct_is_one_sided_and_keeps_its_level():
    gaps = torch.tensor([0.4])
    index = torch.zeros(100, dtype=torch.int64)
    p_values = []
    for distances in uniform(400 * 200, "authentic").split(200):
        samples, holdout = distances.split((100, 100))
        p_values.append(authenticity((samples, index), (holdout, index), gaps)[0].p_value)
    p_values = torch.tensor(p_values)
    for level in (0.02, 0.05, 0.2):
        allowed = level + 3 * math.sqrt(level * (1 - level) / 400)
        assert level / 5 < (p_values <= level).double().mean() <= allowed
    copies = torch.zeros(100), index
    assert authenticity(copies, (torch.ones(100), index), gaps)[0].p_value < 1e-20
    assert authenticity((torch.ones(100), index), copies, gaps)[0].p_value == 1.0


def blobs(count, dim, *path):
    """Three far clusters and the cluster of each image."""
    which = torch.arange(count) % 3
    noise = torch.randn(count, 1, dim, generator=generator(0, "blobs", *path))
    return noise + 30 * torch.eye(3, dim)[which][:, None], which


@pytest.mark.parametrize("dim", [4, 200])
def test_cells_are_the_clusters_of_the_training_set(dim):
    train, _ = blobs(100, dim, "train")
    samples, sample_blobs = blobs(90, dim, "samples")
    holdout, holdout_blobs = blobs(75, dim, "holdout")
    cells = nearest_cells(train, samples, holdout, seed=0)
    both, blob = torch.cat(cells), torch.cat([sample_blobs, holdout_blobs])
    assert [len(both[blob == b].unique()) for b in range(3)] == [1, 1, 1]
    assert len(both.unique()) == 3
    again = nearest_cells(train, samples, holdout, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(cells, again, strict=True))


@pytest.mark.parametrize("small", [0, 1, 2])
def test_small_sets_have_no_cells(small):
    sets = [blobs(59 if i == small else 60, 4, i)[0] for i in range(3)]
    assert nearest_cells(*sets, seed=0) is None
    assert nearest_cells(*[blobs(60, 4, i)[0] for i in range(3)], seed=0) is not None


@pytest.mark.parametrize(
    ("name", "most", "expected"),  # of images of 200 numbers; no fewer than make cells for want of room
    [("FITTED", 40, 40), ("FITTED_ELEMENTS", 14_199, 70), ("FITTED_ELEMENTS", 1, 60)],
)
def test_large_training_sets_are_thinned(name, most, expected, monkeypatch):
    fitted = []
    fit = KMeans.fit
    monkeypatch.setattr(KMeans, "fit", lambda means, rows: fitted.append(len(rows)) or fit(means, rows))
    monkeypatch.setattr(f"spurion.phases.copying.{name}", most)
    train, _ = blobs(100, 200, "train")
    samples, which = blobs(90, 200, "samples")
    ours, _ = nearest_cells(train, samples, samples, seed=0)
    assert [len(ours[which == b].unique()) for b in range(3)] == [1, 1, 1]
    assert fitted == [expected]


@pytest.mark.parametrize("dim", [4, 200])
def test_cells_of_images_in_parts_are_the_same(dim, monkeypatch):
    sets = [blobs(count, dim, name)[0] for count, name in ((100, "train"), (90, "samples"), (75, "holdout"))]
    whole = nearest_cells(*sets, seed=0)
    for numbers in (1, 7 * dim):
        monkeypatch.setattr("spurion.phases.copying.PART_ELEMENTS", numbers)
        assert all(map(torch.equal, nearest_cells(*sets, seed=0), whole))

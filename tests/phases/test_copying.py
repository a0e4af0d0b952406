"""C_T and AuthPct: brute force, Mann-Whitney, and p-values by simulation."""

import math

import pytest
import torch
from scipy import stats
from sklearn.cluster import KMeans

from spurion.core.random import generator
from spurion.neighbors import nearest
from spurion.phases.copying import authenticity, c_t, nearest_cells
from spurion.phases.null import null_test
from spurion.phases.partition import nearest_inside


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


def flat(count, *path, scale=1.0):
    """Images of two pixels without clusters, so that cells cut through the dense middle."""
    return scale * torch.randn(count, 1, 1, 2, generator=generator(0, "flat", *path), dtype=torch.float64)


def published(train, samples, holdout, cells, least=20):
    """C_T as published: in each cell distances to its own training images, weighted by held-out images."""
    sets = [(images.flatten(1), cell) for images, cell in zip((train, samples, holdout), cells, strict=True)]
    total = weight = 0.0
    for cell in range(3):
        inside = [images[which == cell] for images, which in sets]
        if len(inside[1]) >= least:
            distances = [
                [min(math.dist(image, other) for other in inside[0].tolist()) for image in images.tolist()]
                for images in inside[1:]
            ]
            total += len(inside[2]) * z_score(*map(torch.tensor, distances))
            weight += len(inside[2])
    return total / weight


@pytest.mark.parametrize("sizes", [(90, 80, 70), (300, 61, 65), (61, 200, 60)])
@pytest.mark.parametrize("scale", [1.0, 0.6])
def test_c_t_is_that_of_the_paper(sizes, scale):
    train, holdout = flat(sizes[0], "train"), flat(sizes[2], "holdout")
    samples = flat(sizes[1], "samples", scale=scale)
    cells = nearest_cells(train, samples, holdout, seed=0)
    expected = published(train, samples, holdout, cells)
    # pairs are compared, so all that rounding could do is to turn one of distances that agree to 1e-15
    assert null_test(samples, train, holdout, seed=0).ct == pytest.approx(expected, abs=1e-12)


def test_distances_stay_within_a_cell():
    train, samples, holdout = (flat(90, name) for name in ("train", "samples", "holdout"))
    cells = nearest_cells(train, samples, holdout, seed=0)
    whole = [nearest(images, train, 90) for images in (samples, holdout)]
    inside = [
        nearest_inside(found, (cell, cells[0]), images, train)
        for found, cell, images in zip(whole, cells[1:], (samples, holdout), strict=True)
    ]
    anywhere = [found.distances[:, 0] for found in whole]
    assert all((near >= first).all() for near, first in zip(inside, anywhere, strict=True))
    assert c_t(*inside, cells[1:]).value != c_t(*anywhere, cells[1:]).value


@pytest.mark.parametrize("depth", [1, 3, 40])
def test_the_nearest_of_a_cell_is_found_at_any_depth(depth):
    train, samples = flat(40, "train"), flat(25, "samples")
    cells = torch.arange(25) % 4, torch.arange(40) % 3  # no training image is in the last cell
    between = torch.cdist(samples.flatten(1), train.flatten(1))
    expected = between.where(cells[0][:, None] == cells[1], torch.inf).amin(dim=1)
    found = nearest_inside(nearest(samples, train, depth), cells, samples, train)
    assert found.isinf().tolist() == (cells[0] == 3).tolist()
    assert torch.allclose(found, expected, rtol=1e-12)


def exchangeable(trials, grid=None):
    """C_T of draws of one distribution in cells: scores in standard deviations, and p-values.

    Cells and distances look at the training set alone, so one will do for all trials.
    """
    train, drawn = flat(90, "train"), flat(trials * 150, "drawn")
    if grid:
        train, drawn = ((images / grid).round() * grid for images in (train, drawn))
    trained, cells, _ = nearest_cells(train, drawn, train, seed=0)
    distances = nearest_inside(nearest(drawn, train, 30), (cells, trained), drawn, train)
    scores, p_values = [], []
    for near, cell in zip(distances.split(150), cells.split(150), strict=True):
        found = c_t(*near.split((80, 70)), cell.split((80, 70)))
        ours, theirs = (part.bincount(minlength=3).double() for part in cell.split((80, 70)))
        weights = theirs * (ours >= 20)
        scores.append(found.value / (weights / weights.sum()).norm())
        p_values.append(found.p_value)
    return torch.tensor(scores), torch.tensor(p_values)


def test_exchangeable_draws_have_mean_0_their_variance_and_their_level():
    trials = 500
    scores, p_values = exchangeable(trials)
    # the continuity correction puts the mean by less than 0.03 above 0; four standard errors
    assert abs(scores.mean()) < 0.03 + 4 / trials**0.5
    assert abs(scores.var() - 1) < 4 * (2 / trials) ** 0.5
    for level in (0.01, 0.05, 0.2):  # three standard errors of 500 trials
        below = (p_values < level).double().mean()
        assert abs(below - level) <= 3 * math.sqrt(level * (1 - level) / trials)


def test_ties_make_the_p_value_larger_only():
    _, p_values = exchangeable(200, grid=0.25)  # images on a grid: many distances are equal
    assert (p_values < 0.05).double().mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


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
    train, train_blobs = blobs(100, dim, "train")
    samples, sample_blobs = blobs(90, dim, "samples")
    holdout, holdout_blobs = blobs(75, dim, "holdout")
    cells = nearest_cells(train, samples, holdout, seed=0)
    both, blob = torch.cat(cells), torch.cat([train_blobs, sample_blobs, holdout_blobs])
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
    _, ours, _ = nearest_cells(train, samples, samples, seed=0)
    assert [len(ours[which == b].unique()) for b in range(3)] == [1, 1, 1]
    assert fitted == [expected]


@pytest.mark.parametrize("dim", [4, 200])
def test_cells_of_images_in_parts_are_the_same(dim, monkeypatch):
    sets = [blobs(count, dim, name)[0] for count, name in ((100, "train"), (90, "samples"), (75, "holdout"))]
    whole = nearest_cells(*sets, seed=0)
    for numbers in (1, 7 * dim):
        monkeypatch.setattr("spurion.phases.copying.PART_ELEMENTS", numbers)
        assert all(map(torch.equal, nearest_cells(*sets, seed=0), whole))

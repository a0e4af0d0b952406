"""The share closer to train: laws under the null, coverage and p-values by simulation."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import cdist

from spurion.core.random import generator
from spurion.neighbors import Neighbors
from spurion.phases.share import equal_blocks, nearest_in_blocks, relabeling_p_value, share_closer


def near(samples, images):
    """Nearest image of each sample within each block: images (n, D) or blocks (R, n, D)."""
    blocks = images if images.ndim == 3 else images[None]
    distances = cdist(samples.numpy(), blocks.flatten(0, 1).numpy()).reshape(len(samples), len(blocks), -1)
    indices = distances.argmin(axis=2) + np.arange(len(blocks)) * blocks.shape[1]
    return Neighbors(torch.from_numpy(distances.min(axis=2)), torch.from_numpy(indices))


def repeated(found, blocks):
    return Neighbors(found.distances.expand(-1, blocks), found.indices.expand(-1, blocks))


def gaussian(count, dim, *path):
    return torch.randn(count, dim, generator=generator(0, "share", *path), dtype=torch.float64)


def share_of(samples, train, holdout):
    """The share with the larger set in blocks of the smaller, in order (the sets are random anyway)."""
    blocks = max(len(train), len(holdout)) // min(len(train), len(holdout))
    if len(train) >= len(holdout):
        cut = train[: blocks * len(holdout)].reshape(blocks, len(holdout), -1)
        sides = near(samples, cut), repeated(near(samples, holdout), blocks)
        return share_closer(*sides, (blocks * len(holdout), len(holdout)))
    cut = holdout[: blocks * len(train)].reshape(blocks, len(train), -1)
    sides = repeated(near(samples, train), blocks), near(samples, cut)
    return share_closer(*sides, (len(train), blocks * len(train)))


def test_it_is_the_share_of_nearer_samples_and_ties_count_half():
    train, holdout = torch.tensor([[0.0], [10.0]]).double(), torch.tensor([[4.0], [14.0]]).double()
    samples = torch.tensor([[1.0], [2.0], [11.0], [15.0], [3.0]]).double()  # near, tie, near, far, far
    found = share_of(samples, train, holdout)
    assert found.value == 2.5 / 5
    assert found.low < 0.5 < found.high


def test_equal_sets_give_one_half():
    images = gaussian(50, 3, "same")
    found = share_of(gaussian(200, 3, "samples"), images, images)
    assert found.value == 0.5


def test_exchanging_the_sets_mirrors_the_share():
    samples, train, holdout = gaussian(100, 2, 1), gaussian(30, 2, 2), gaussian(97, 2, 3)
    there, back = share_of(samples, train, holdout), share_of(samples, holdout, train)
    assert back.value == pytest.approx(1 - there.value, abs=1e-12)
    assert back.low == pytest.approx(1 - there.high, abs=1e-12)
    assert back.high == pytest.approx(1 - there.low, abs=1e-12)


def test_many_images_give_the_interval_of_independent_samples():
    # 40 samples, each with a nearest image of its own: 30 in the training set
    distances = torch.zeros(40, 1, dtype=torch.float64)
    nearer = torch.where(torch.arange(40) < 30, 1.0, 3.0)[:, None].double()
    found = share_closer(
        Neighbors(nearer, torch.arange(40)[:, None]),
        Neighbors(distances + 2.0, torch.arange(40)[:, None]),
        (100_000, 100_000),
    )
    binomial = stats.binomtest(30, 40).proportion_ci(method="exact")
    assert found.value == 0.75
    assert found.low == pytest.approx(binomial.low, abs=1e-3)
    assert found.high == pytest.approx(binomial.high, abs=1e-3)


def test_the_interval_is_its_formula():
    train, holdout, samples = gaussian(5, 2, 20), gaussian(15, 2, 21) + 0.5, gaussian(60, 2, 22)
    found = share_of(samples, train, holdout)
    won, lost = np.zeros(5), np.zeros((3, 5))
    to_train, to_holdout = cdist(samples, train), cdist(samples, holdout).reshape(60, 3, 5)
    for i in range(60):
        for block in range(3):
            if to_train[i].min() < to_holdout[i, block].min():
                won[to_train[i].argmin()] += 1 / 3
            else:
                lost[block, to_holdout[i, block].argmin()] += 1 / 3
    share = won.sum() / 60
    assert 0.5 < share == pytest.approx(found.value)
    v = (1 - share) ** 2 * 5 * won.var(ddof=1) + share**2 * 15 * lost.var(ddof=1)
    trials = share * (1 - share) * 60**2 / v * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 4)) ** 2
    assert trials < 60
    beta = stats.beta.ppf
    assert found.low == pytest.approx(beta(0.025, share * trials, (1 - share) * trials + 1), abs=1e-9)
    assert found.high == pytest.approx(beta(0.975, share * trials + 1, (1 - share) * trials), abs=1e-9)


def test_samples_that_share_their_nearest_image_are_not_independent():
    samples, train, holdout = gaussian(50, 2, 4), gaussian(60, 2, 5), gaussian(60, 2, 6)
    once = share_of(samples, train, holdout)
    many = share_of(samples.repeat(100, 1), train, holdout)
    assert many.value == once.value
    assert many.high - many.low > 0.8 * (once.high - once.low)


@pytest.mark.parametrize(
    ("sizes", "dim"),
    [((100, 100, 200), 2), ((8, 8, 300), 2), ((200, 50, 300), 5), ((10, 95, 300), 10)],
)
def test_under_the_null_the_interval_covers_one_half(sizes, dim):
    trials, hits, values = 250, 0, []
    for images in gaussian(trials * sum(sizes), dim, *sizes).split(sum(sizes)):
        train, holdout, samples = images.split(sizes)
        found = share_of(samples, train, holdout)
        hits += found.low <= 0.5 <= found.high
        values.append(found.value)
    # 95 %, within two points for the approximation and three standard errors of 250 trials
    assert abs(hits / trials - 0.95) < 0.02 + 0.041
    assert abs(torch.tensor(values).mean() - 0.5) < 4 * torch.tensor(values).std() / trials**0.5


@pytest.mark.parametrize("copied", [0.1, 0.9])
def test_the_interval_covers_the_share_of_a_model_that_copies(copied):
    trials, hits = 250, 0
    draw = generator(0, "which")
    for images in gaussian(trials * 180, 10, "copies").split(180):
        train, holdout, honest = images.split((40, 40, 100))
        source = train[torch.randint(0, 40, (100,), generator=draw)]
        samples = torch.where(torch.rand(100, 1, generator=draw) < copied, source + 1e-3, honest)
        found = share_of(samples, train, holdout)
        hits += found.low <= copied + (1 - copied) / 2 <= found.high
    assert abs(hits / trials - 0.95) < 0.02 + 0.041


def test_one_side_that_never_wins_has_its_images_as_trials():
    train, holdout = gaussian(3, 2, 7), 100 + gaussian(90, 2, 8)
    found = share_of(train[torch.arange(500) % 3], train, holdout)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 90))
    few = share_of(train[torch.arange(20) % 3], train, holdout)
    assert few.low == pytest.approx(0.025 ** (1 / 20))
    mirrored = share_of(train[torch.arange(500) % 3], holdout, train)
    assert (mirrored.value, mirrored.low) == (0.0, 0.0)
    assert mirrored.high == pytest.approx(1 - 0.025 ** (1 / 90))


def test_a_single_image_a_side_gives_no_interval():
    found = share_of(gaussian(50, 2, 9), gaussian(1, 2, 10), gaussian(1, 2, 11))
    assert (found.low, found.high) == (0.0, 1.0)
    assert 0 < found.value < 1


def test_p_values_are_uniform_under_the_null():
    p_values = []
    for trial, images in enumerate(gaussian(100 * 500, 3, "p").split(500)):
        train, holdout, samples = images.split((120, 80, 300))
        sides = near(samples, train), near(samples, holdout)
        p_values.append(relabeling_p_value(*sides, (120, 80), seed=trial))
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_the_p_value_is_the_exact_share_of_relabelings():
    # c = 3, 1, 1 and 0: of the six ways to choose two images of four, three hold the one with 3, which
    # beats or equals the sum of the actual choice {3, 0} = 3 in {3, 1}, {3, 1}, {3, 0}
    distances = torch.tensor([[1.0], [1.0], [1.0], [3.0], [3.0]], dtype=torch.float64)
    train = Neighbors(distances, torch.tensor([[0], [0], [0], [0], [0]]))
    holdout = Neighbors(torch.full((5, 1), 2.0, dtype=torch.float64), torch.tensor([[0], [0], [0], [0], [1]]))
    p_value = relabeling_p_value(train, holdout, (2, 2), seed=0)
    assert p_value == pytest.approx(0.5, abs=4 * 0.5 / 100)  # four standard errors of 9,999 draws


def test_the_p_value_is_one_sided():
    train, holdout = gaussian(50, 3, 12), gaussian(50, 3, 13)
    nearer = (train + 1e-3).repeat(4, 1)
    assert relabeling_p_value(near(nearer, train), near(nearer, holdout), (50, 50), seed=0) == 1e-4
    assert relabeling_p_value(near(nearer, holdout), near(nearer, train), (50, 50), seed=0) > 0.99


def test_half_counts_of_ties_reach_themselves():
    images = gaussian(20, 2, 14)
    samples = gaussian(30, 2, 15)
    assert relabeling_p_value(near(samples, images), near(samples, images), (20, 20), seed=0) > 0.4


def test_blocks_are_disjoint_and_as_large_as_the_smaller_set():
    blocks = equal_blocks(100, 15, seed=0)
    assert blocks.shape == (6, 15)
    assert len(blocks.unique()) == 90
    assert not torch.equal(blocks.flatten(), torch.arange(90))
    assert torch.equal(blocks, equal_blocks(100, 15, seed=0))
    assert not torch.equal(blocks, equal_blocks(100, 15, seed=1))
    assert equal_blocks(7, 7, seed=0).shape == (1, 7)
    assert equal_blocks(10_000, 2, seed=0).shape == (64, 2)


class TestNearestInBlocks:
    samples, images = gaussian(40, 4, "in blocks"), gaussian(30, 4, "blocked")
    blocks = equal_blocks(30, 7, seed=1)

    def found(self, depth, limit):
        """The answer, and how many samples were searched again."""
        searched = []

        def search(rows, block):
            searched.append(len(rows))
            return near(self.samples[rows], self.images[block])

        distances = torch.cdist(self.samples, self.images)
        known = distances.topk(depth, largest=False)
        limits = torch.full((40,), limit, dtype=torch.float64)
        return nearest_in_blocks(Neighbors(*known), self.blocks, limits, search), sum(searched)

    @pytest.mark.parametrize("depth", [1, 2, 7, 29, 30])
    def test_without_a_limit_it_is_the_search_of_every_block(self, depth):
        found, searched = self.found(depth, torch.inf)
        for block, images in enumerate(self.blocks):
            expected = near(self.samples, self.images[images])
            assert torch.allclose(found.distances[:, block], expected.distances[:, 0])
            assert torch.equal(found.indices[:, block], images[expected.indices[:, 0]])
        # every sample knows the block of its nearest image, if it is in one; with all neighbors, every block
        assert 40 * 3 <= searched <= 40 * 4 if depth == 1 else (searched > 0) == (depth < 29)

    @pytest.mark.parametrize("depth", [1, 5, 30])
    def test_what_is_farther_than_the_limit_may_stay_unknown(self, depth):
        limit = 1e-6 + float(torch.cdist(self.samples, self.images).min(dim=1).values.median())
        found, searched = self.found(depth, limit)
        for block, images in enumerate(self.blocks):
            expected = near(self.samples, self.images[images])
            nearer = expected.distances[:, 0] <= limit
            assert 0 < nearer.sum() < 40
            assert torch.equal(found.indices[nearer, block], images[expected.indices[nearer, 0]])
            assert torch.allclose(found.distances[nearer, block], expected.distances[nearer, 0])
            assert (found.distances[~nearer, block] > limit).all()
        known = torch.cdist(self.samples, self.images).topk(depth, largest=False)
        unseen = [(~torch.isin(known.indices, block).any(dim=1)) for block in self.blocks]
        open_ended = known.values[:, -1] <= limit
        assert searched == sum(int((rows & open_ended).sum()) for rows in unseen)
        assert (searched > 0) == (depth < 30)

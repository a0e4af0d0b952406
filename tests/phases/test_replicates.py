"""Studies drawn anew against fresh ones, multinomial laws and degenerate cases."""

import numpy as np
import pytest
import torch

from spurion.core.random import generator
from spurion.phases import replicates as module
from spurion.phases.anchor import Anchor
from spurion.phases.repetition import repeats
from spurion.phases.replicates import Replicates, drawn_thresholds, resampled

COUNT = module.REPLICATES


def fresh(seed, h=300, dim=2):
    """The anchor of fresh held-out images of one training set."""
    train = torch.rand(1000, dim, generator=generator(0, "train"), dtype=torch.float64)
    held_out = torch.rand(h, dim, generator=generator(seed, "held out"), dtype=torch.float64)
    near = torch.cdist(held_out, held_out).fill_diagonal_(torch.inf).topk(10, largest=False)
    return Anchor(torch.cdist(held_out, train).amin(dim=1), near.values, near.indices, held_out=True)


def both(anchor, alpha, size=500):
    return [anchor.nearness(alpha).value, anchor.spacing(alpha, size).value]


class TestThresholds:
    @pytest.mark.parametrize("alpha", [0.2, 0.01])
    def test_as_far_from_each_other_as_those_of_fresh_images(self, alpha):
        # 200 fresh sets have a standard deviation within 5 % (one standard error of it); replicates of ten
        # of them show how it is seen from within one set
        truth = np.log([both(fresh(seed), alpha) for seed in range(200)])
        spreads, centers = [], []
        for seed in range(10):
            anchor = fresh(seed)
            drawn = drawn_thresholds(anchor, [alpha], 500, seed=seed, count=200)[0].log()
            spreads.append(drawn.std(dim=0).tolist())
            centers.append((drawn.mean(dim=0) - torch.tensor(both(anchor, alpha)).log()).tolist())
        ratio = np.mean(spreads, axis=0) / truth.std(axis=0)
        assert (ratio > 0.85).all()
        assert (ratio < 1.4).all()
        assert (abs(np.mean(centers, axis=0)) < 0.4 * truth.std(axis=0)).all()

    def test_of_several_shares_by_the_same_draws(self):
        anchor = fresh(0)
        drawn = drawn_thresholds(anchor, [0.05, 0.01, 0.05], 500, seed=1, count=50)
        assert drawn.shape == (3, 50, 2)
        assert (drawn[0] == drawn[2]).all()
        assert (drawn[1] < drawn[0]).all()
        assert (drawn_thresholds(anchor, [0.01], 500, seed=1, count=50)[0] == drawn[1]).all()
        assert (drawn_thresholds(anchor, [0.01], 500, seed=2, count=50)[0] != drawn[1]).any()
        assert drawn[0, :, 0].unique().numel() > 40

    def test_at_several_at_once_as_one_after_the_other(self, monkeypatch):
        whole = drawn_thresholds(fresh(0), [0.01], 500, seed=1, count=7)
        monkeypatch.setattr(module, "AT_ONCE", 1)
        assert drawn_thresholds(fresh(0), [0.01], 500, seed=1, count=7).shape == whole.shape

    def test_each_image_once_is_the_anchor_itself(self):
        # of two images that are each other's nearest, the anchor takes the one below, replicates do not
        anchor = fresh(3)
        uneven = 1 + 1e-3 * torch.rand(300, 1, generator=generator(0, "uneven"), dtype=torch.float64)
        anchor = Anchor(anchor.to_train, anchor.distances * uneven, anchor.indices, held_out=True)
        for alpha in (0.2, 0.05, 0.001):
            found = module._thresholds(anchor, torch.ones(1, len(anchor)), [alpha], 500)[0, 0]
            assert found.tolist() == pytest.approx(both(anchor, alpha), rel=1e-12)

    def test_an_image_drawn_twice_counts_twice_and_is_no_neighbor_of_itself(self):
        anchor = fresh(3)
        times = torch.ones(1, len(anchor))
        order = anchor.to_train.argsort()
        times[0, order[0]], times[0, order[-1]] = 2, 0
        found = module._thresholds(anchor, times, [0.2], 500)[0, 0]
        left = torch.arange(len(anchor)) != order[-1]
        places = left.cumsum(0) - 1
        # the rest is an anchor of its own, of one image less; the nearest image stands for two ranks
        ranked = torch.cat([anchor.to_train[order[:1]], anchor.to_train[order[:-1]]])
        assert float(found[0]) == float(ranked[int(0.2 * 301) - 1])
        near = anchor.distances[left].masked_fill(anchor.indices[left] == order[-1], torch.inf)
        d = float(module.dimension(near[None])[0])
        apart = near.amin(dim=1) * (298 / 299) ** (1 / d)
        apart = torch.cat([apart, apart[places[order[0]]][None]]).sort().values
        expected = float(apart[int(0.2 * 301) - 1]) * (299 / 499) ** (1 / d)
        assert float(found[1]) == pytest.approx(expected, rel=1e-12)

    def test_images_all_of_whose_neighbors_are_gone(self):
        anchor = fresh(3, h=60)
        times = torch.zeros(1, 60)
        times[0, 0] = 60
        found = module._thresholds(anchor, times, [0.5], 60)[0, 0]
        assert found.isfinite().all()
        assert float(found[0]) == float(anchor.to_train[0])

    def test_scale_with_the_distance(self):
        anchor = fresh(0)
        scaled = Anchor(3 * anchor.to_train, 3 * anchor.distances, anchor.indices, held_out=True)
        ours, theirs = (drawn_thresholds(one, [0.01], 500, seed=1, count=20) for one in (anchor, scaled))
        assert torch.allclose(3 * ours, theirs, rtol=1e-12)

    def test_order_statistics_stay_such(self):
        anchor = fresh(0)
        equal = Anchor(anchor.to_train, torch.ones_like(anchor.distances), anchor.indices, held_out=True)
        drawn = drawn_thresholds(equal, [0.05], 300, seed=0, count=50)[0]
        assert torch.isin(drawn[:, 0], anchor.to_train).all()


def independent(count=2000, seed=0, copies=0.3):
    """Samples of which a share is a copy and another has one duplicate, each of its own training image."""
    random = generator(seed, "independent")
    kind = torch.rand(count, generator=random)
    to_train = torch.where(kind < copies, 0.1, 2.0).double()
    apart = torch.where((kind > copies) & (kind < 0.7), 0.1, 2.0).double()[:, None]
    return to_train, apart


class TestShares:
    def test_the_spread_of_independent_samples(self):
        to_train, apart = independent()
        fixed = Replicates.at((1.0, 1.0), None, seed=0)
        some = torch.zeros(2000, dtype=torch.int64)
        drawn = resampled(to_train, some, apart, fixed, sample_sizes=[None], seed=1)[0].numpy()
        assert drawn.shape == (COUNT, 3)
        shares = np.array([float((to_train < 1).double().mean()), float((apart < 1).double().mean())])
        shares = np.array([*shares, 1 - shares.sum()])
        covariance = (np.diag(shares) - np.outer(shares, shares)) / 2000
        error = np.sqrt(np.diag(covariance))
        assert (abs(drawn.mean(axis=0) - shares) < 3 * error / np.sqrt(COUNT)).all()
        # a standard deviation of 500 is known within 3.2 %
        assert np.allclose(drawn.std(axis=0), error, rtol=0.1)
        assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] == pytest.approx(
            covariance[0, 1] / (error[0] * error[1]), abs=0.12
        )
        assert np.allclose(drawn.sum(axis=1), 1, atol=1e-12)

    @pytest.mark.parametrize("images", [50, 400])
    def test_the_spread_of_samples_of_few_training_images(self, images):
        # a third of the images is copied in all of their samples: training images drawn anew add
        # p (1 - p) / K to the p (1 - p) / M of the samples
        source = torch.arange(4000) % images
        copied = source % 3 == 0
        to_train = torch.where(copied, 0.1, 2.0).double()
        apart = torch.full((4000, 1), 2.0, dtype=torch.float64)
        drawn = resampled(
            to_train, source, apart, Replicates.at((1.0, 1.0), images, seed=0), sample_sizes=[None], seed=1
        )[0].numpy()
        p = float(copied.double().mean())
        expected = np.sqrt(p * (1 - p) * (1 / 4000 + 1 / images))
        assert drawn[:, 0].std() == pytest.approx(expected, rel=0.12)
        assert abs(drawn[:, 0].mean() - p) < 4 * expected / np.sqrt(COUNT)

    def test_training_images_have_one_weight_at_all_training_sizes(self):
        replicates = Replicates.at((1.0, 1.0), 64, seed=5)
        small, large = torch.arange(16), torch.arange(64).flip(0)
        for one, other in zip(replicates.chances(small), replicates.chances(large), strict=True):
            assert (one == other[::-1][:16]).all() or not other[::-1][:16].any()
            assert other.sum() == 64
        weights = np.stack(list(replicates.chances(torch.arange(64))))
        assert weights.shape == (COUNT, 64)
        assert abs(weights.mean(axis=0) - 1).max() < 5 / np.sqrt(COUNT)
        assert weights.var() == pytest.approx(63 / 64, rel=0.03)
        again = np.stack(list(Replicates.at((1.0, 1.0), 64, seed=6).chances(torch.arange(64))))
        assert (weights != again).any()

    def test_shares_at_two_training_sizes_move_together(self):
        source = torch.arange(4000) % 40
        to_train = torch.where(source % 2 == 0, 0.1, 2.0).double()
        apart = torch.full((4000, 1), 2.0, dtype=torch.float64)
        replicates = Replicates.at((1.0, 1.0), 40, seed=0)
        one, other = (
            resampled(to_train, source, apart, replicates, sample_sizes=[None], seed=seed)[0, :, 0].numpy()
            for seed in (1, 2)
        )
        # samples add 1 part in 101 to the variance
        assert np.corrcoef(one, other)[0, 1] > 0.97

    def test_thresholds_of_each_rule(self):
        to_train, apart = independent(500)
        near, far = torch.tensor([0.05, 0.05]), torch.tensor([0.5, 0.5])
        thresholds = torch.stack([near.expand(40, 2), far.expand(40, 2), torch.stack([near, far] * 20)])
        replicates = Replicates(thresholds.double(), None, 0)
        some = torch.zeros(500, dtype=torch.int64)
        found = resampled(to_train, some, apart, replicates, sample_sizes=[None, None, None], seed=0)
        assert found.shape == (3, 40, 3)
        assert (found[0] == torch.tensor([0.0, 0.0, 1.0])).all()
        assert (found[2, ::2] == found[0, ::2]).all()
        assert torch.allclose(found[2, 1::2], found[1, 1::2])  # the same draws under all rules
        assert (found[1, :, 0] > 0.2).all()

    def test_repetitions_at_the_number_of_samples_of_the_rule(self):
        count = 200
        apart = torch.where(torch.arange(199) < torch.arange(count)[:, None] % 4, 0.5, 2.0).double()
        to_train = torch.full((count,), 2.0, dtype=torch.float64)
        some = torch.zeros(count, dtype=torch.int64)
        fixed = Replicates(torch.ones(2, 400, 2, dtype=torch.float64), None, 0)
        found = resampled(to_train, some, apart, fixed, sample_sizes=[None, 50], seed=0)
        met = [repeats(apart, 1.0, size) for size in (None, 50)]
        for shares, again in zip(found, met, strict=True):
            error = float(again.std()) / np.sqrt(count)
            assert abs(float(shares[:, 1].mean() - again.mean())) < 4 * error / np.sqrt(400)
            assert float(shares[:, 1].std()) == pytest.approx(error, rel=0.15)

    def test_at_several_at_once_as_one_after_the_other(self, monkeypatch):
        to_train, apart = independent(100)
        fixed = Replicates.at((1.0, 1.0), 100, seed=0)
        args = (to_train, torch.arange(100), apart, fixed)
        whole = resampled(*args, sample_sizes=[None], seed=1)
        monkeypatch.setattr(module, "AT_ONCE", 100 * 2 * 7)
        assert (resampled(*args, sample_sizes=[None], seed=1) == whole).all()


class TestDegenerateCases:
    @pytest.mark.parametrize(("to_train", "apart", "shares"), [
        (0.0, 0.0, [1.0, 0.0, 0.0]),  # all are copies, and of one another
        (2.0, 0.0, [0.0, 1.0, 0.0]),
        (2.0, 2.0, [0.0, 0.0, 1.0]),
    ])  # fmt: skip
    @pytest.mark.parametrize("count", [2, 30])
    @pytest.mark.parametrize("images", [None, 1, 10])
    def test_all_alike(self, to_train, apart, shares, count, images):
        found = resampled(
            torch.full((count,), to_train, dtype=torch.float64),
            torch.zeros(count, dtype=torch.int64),
            torch.full((count, 1), apart, dtype=torch.float64),
            Replicates.at((1.0, 1.0), images, seed=0),
            sample_sizes=[None],
            seed=0,
        )
        assert (found == torch.tensor(shares)).all()

    def test_one_training_image_has_weight_one(self):
        assert all(
            (chance == 1).all()
            for chance in Replicates.at((1.0, 1.0), 1, seed=0).chances(torch.zeros(3, dtype=torch.int64))
        )

    def test_samples_of_no_drawn_image_are_drawn_alike(self):
        # all samples lie at one of ten images, which is left out of a third of the draws
        chances = list(Replicates.at((1.0, 1.0), 10, seed=0).chances(torch.full((4,), 3)))
        assert all((chance == chance[0]).all() and chance[0] >= 1 for chance in chances)

    def test_thresholds_of_zero(self):
        count = 50
        apart = torch.where(torch.arange(count) < 10, 0.0, 1.0).double()[:, None]
        to_train = torch.where(torch.arange(count) < 5, 0.0, 1.0).double()
        found = resampled(
            to_train,
            torch.arange(count),
            apart,
            Replicates.at((0.0, 0.0), None, seed=0),
            sample_sizes=[None],
            seed=0,
        )
        assert found[0].mean(dim=0).tolist() == pytest.approx([0.1, 0.1, 0.8], abs=0.02)


class TestGrid:
    def test_the_nearest_of_evenly_spaced_logs(self):
        values = torch.rand(500, generator=generator(0, "grid"), dtype=torch.float64).mul(2).exp()
        grid, places = module._grid(values)
        assert len(grid) == module.GRID
        assert grid[0] == pytest.approx(float(values.min()), rel=1e-12)
        assert grid[-1] == pytest.approx(float(values.max()), rel=1e-12)
        apart = (grid.log() - values.log()[:, None]).abs()
        assert (apart[torch.arange(500), places] <= apart.amin(dim=1) + 1e-12).all()

    @pytest.mark.parametrize("values", [[2.0, 2.0], [0.0, 3.0, 0.0]])
    def test_few_values_stay_what_they_are(self, values):
        values = torch.tensor(values, dtype=torch.float64)
        grid, places = module._grid(values)
        assert (grid[places] == values).all()

"""Known metrics of copying: each on planted copies, on honest samples, and against its own formula."""

import dataclasses
import math

import pytest
import torch
from torch.distributions import Independent, MixtureSameFamily, Normal
from torch.distributions.categorical import Categorical

from spurion.core.random import generator
from spurion.neighbors import nearest
from spurion.neighbors.distances.l2 import L2
from spurion.phases.exposed import duplicate_groups
from spurion.phases.metrics import METRICS, Evidence, Metric, all_metrics
from spurion.phases.metrics.carlini import local_scale
from spurion.phases.metrics.fld import LEAST_VARIANCE, _fit, _squares, likelihood_gap
from spurion.phases.metrics.mifid import EPSILON, cosine_penalty
from spurion.phases.metrics.ratio import neighbor_ratio
from spurion.phases.null import null_test
from spurion.phases.signs import among_themselves
from spurion.statistics.intervals import proportion


def vectors(count, *path, dim=12):
    return torch.randn(count, dim, generator=generator(0, "metrics", *path))


def evidence(samples, train, holdout=None, depth=50):
    return Evidence(
        samples,
        train,
        holdout,
        nearest(samples, train, min(depth, len(train))),
        duplicate_groups(train),
        None if holdout is None else null_test(samples, train, holdout, seed=0),
    )


TRAIN, HOLDOUT = vectors(200, "train"), vectors(200, "holdout")
HONEST = evidence(vectors(150, "honest"), TRAIN, HOLDOUT)
COPIES = evidence(TRAIN[:150] + 1e-3 * vectors(150, "whisper"), TRAIN, HOLDOUT)
MIXED = evidence(torch.cat([COPIES.samples[:60], HONEST.samples[:90]]), TRAIN, HOLDOUT)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_tells_copies_from_honest_samples(name):
    copies, honest = METRICS[name](COPIES, 0), METRICS[name](HONEST, 0)
    for metric in (copies, honest):
        assert metric.name
        assert metric.source.endswith(")")
        assert metric.note.endswith(".")
        assert Metric.model_validate_json(metric.model_dump_json()) == metric
    if copies.interval is not None:
        assert honest.interval.high < 0.1 < 0.9 < copies.interval.low
    else:
        assert copies.value < honest.value - 0.5 * abs(honest.value)


@pytest.mark.parametrize("name", METRICS)
def test_one_training_image_and_no_held_out_images(name):
    alone = METRICS[name](evidence(HONEST.samples, TRAIN[:1]), 0)
    if name == "cosine_penalty":
        assert alone.value == 1.0
    else:
        assert alone.value is alone.interval is None
        assert alone.note.startswith("It needs ")


def test_all_metrics_stand_side_by_side():
    found = all_metrics(MIXED, seed=0)
    assert len(found) == len({metric.name for metric in found}) == len(METRICS)
    assert [metric.value for metric in found[:2]] == [
        60 / 150,
        61 / 150,
    ]  # one honest sample is near by chance
    assert found[2].value == MIXED.null.authpct
    assert found[3].value == MIXED.null.ct


class TestAuthPct:
    def test_it_needs_no_held_out_images(self):
        alone = METRICS["authpct"](evidence(MIXED.samples, TRAIN), 0)
        assert alone.value == MIXED.null.authpct  # 60 copies, and honest samples that are near by chance
        assert 0 < alone.value < 60
        assert "without held-out images" in alone.note

    def test_duplicates_in_the_training_set_count_once(self):
        once = METRICS["authpct"](evidence(MIXED.samples, TRAIN), 0)
        for train in (torch.cat([TRAIN, TRAIN[:50]]), torch.cat([TRAIN[:70]] * 3 + [TRAIN])):
            assert METRICS["authpct"](evidence(MIXED.samples, train), 0) == once

    def test_equal_images_are_one(self):
        alone = METRICS["authpct"](evidence(MIXED.samples, TRAIN[:1].repeat(4, 1)), 0)
        assert alone.value is None
        assert alone.note == "It needs two different training images."

    def test_gaps_that_the_signs_looked_up_are_the_same(self):
        train = torch.cat([TRAIN, TRAIN[:50]])
        alone = evidence(MIXED.samples, train)
        first_equal = torch.cat([torch.arange(200), torch.arange(50)])
        nearest_train = alone.to_train.indices[:, 0]
        _, gaps = among_themselves(train, first_equal, nearest_train, distance=L2(), seed=0)
        known = dataclasses.replace(alone, gaps=gaps)
        assert METRICS["authpct"](known, 0) == METRICS["authpct"](alone, 0)
        known = dataclasses.replace(alone, gaps=gaps + 1e9)  # and not looked up again
        assert METRICS["authpct"](known, 0).value == 0.0


class TestRatio:
    def test_it_is_the_share_below_a_third(self):
        train = torch.tensor([[0.0], [3.0]])
        samples = torch.tensor([[0.0], [0.7], [0.8], [1.5], [2.5], [-1.4], [-1.6]])
        ratios = torch.tensor([0.0, 0.7 / 2.3, 0.8 / 2.2, 1.0, 0.5 / 2.5, 1.4 / 4.4, 1.6 / 4.6])
        assert (ratios < 1 / 3).tolist() == [True, True, False, False, True, True, False]
        assert neighbor_ratio(evidence(samples, train)).interval == proportion(4, 7)
        assert neighbor_ratio(evidence(samples[5:], train)).interval == proportion(1, 2)

    def test_duplicates_in_the_training_set_do_not_hide_copies(self):
        doubled = torch.cat([TRAIN, TRAIN[:50]])
        found = neighbor_ratio(evidence(COPIES.samples, doubled))
        assert found.value == 1.0
        assert found.note.endswith("The second neighbor is no duplicate of the first.")
        many = neighbor_ratio(evidence(COPIES.samples, torch.cat([TRAIN] * 4), depth=2))
        assert many.value == 1.0


class TestLocalScale:
    def test_it_is_its_formula(self):
        distances = torch.cdist(MIXED.samples.double(), TRAIN.double()).sort(dim=1).values[:, :50]
        scaled = distances[:, 0] / (0.5 * distances.mean(dim=1))
        found = local_scale(MIXED)
        assert found.interval == proportion(int((scaled < 1).sum()), 150)
        assert "the 50 nearest" in found.note

    def test_only_fifty_neighbors_count(self):
        assert local_scale(evidence(MIXED.samples, TRAIN, depth=120)) == local_scale(MIXED)

    def test_few_training_images_are_all_its_neighborhood(self):
        # of two images the nearer is below half of the mean exactly if the ratio is below a third
        two = evidence(vectors(100, "two", dim=2), vectors(2, "pair", dim=2))
        assert local_scale(two).interval == neighbor_ratio(two).interval
        assert 0 < local_scale(two).value < 1

    def test_duplicates_are_a_caution(self):
        assert "Duplicates" in local_scale(evidence(COPIES.samples, torch.cat([TRAIN, TRAIN[:9]]))).note
        assert "Duplicates" not in local_scale(COPIES).note


class TestCosinePenalty:
    def test_it_is_the_mean_distance_to_the_nearest_direction(self):
        train = torch.cat([MIXED.train, -MIXED.train[:20]])
        near = train[:150] * torch.linspace(0.5, 2, 150)[:, None] + 0.1 * vectors(150, "near")
        x, y = (v.double() / v.double().norm(dim=1, keepdim=True) for v in (near, train))
        expected = (1 - (x @ y.T).abs()).amin(dim=1).mean().item()
        assert expected < EPSILON
        assert cosine_penalty(evidence(near, train), seed=0).value == pytest.approx(expected, rel=1e-5)
        assert cosine_penalty(evidence(-near, train), seed=0).value == pytest.approx(expected, rel=1e-5)

    def test_copies_are_at_zero_and_far_samples_have_no_penalty(self):
        assert cosine_penalty(evidence(TRAIN[:50], TRAIN), seed=0).value == 0.0
        assert cosine_penalty(evidence(-2 * TRAIN[:50], TRAIN), seed=0).value == pytest.approx(0, abs=1e-12)
        far = cosine_penalty(HONEST, seed=0)
        assert far.value == 1.0
        assert "150 samples" in far.note

    def test_vectors_of_zeros_have_no_direction_but_those_that_sum_to_zero_do(self):
        train = torch.tensor([[0.0, 0.0], [1.0, -1.0]])
        samples = torch.tensor([[0.0, 0.0], [2.0, -2.0]])
        found = cosine_penalty(evidence(samples, train), seed=0)
        assert found.value == pytest.approx(0, abs=1e-12)
        assert "1 samples" in found.note
        for without in (evidence(samples[:1], train), evidence(samples, train[:1])):
            assert cosine_penalty(without, seed=0).value is None

    def test_many_samples_are_thinned(self, monkeypatch):
        monkeypatch.setattr("spurion.phases.metrics.mifid.MOST_SAMPLES", 20)
        found = [cosine_penalty(COPIES, seed=seed) for seed in (0, 0, 1)]
        assert found[0] == found[1] != found[2]
        assert "20 samples" in found[0].note


class TestLikelihoodGap:
    def test_it_is_the_difference_of_the_likelihoods_of_its_mixture(self):
        mean, spread = HOLDOUT.double().mean(0), HOLDOUT.double().std(0, unbiased=False)
        centers, train, holdout = (
            (v.double() - mean) / spread for v in (MIXED.samples, MIXED.train, HOLDOUT)
        )
        variances = _fit(_squares(train, centers), 12)
        mixture = MixtureSameFamily(
            Categorical(torch.ones(150).double()),
            Independent(Normal(centers, variances.sqrt()[:, None].expand(-1, 12)), 1),
        )
        gap = mixture.log_prob(holdout).mean() - mixture.log_prob(train).mean()
        # distances and logarithms are summed in single precision: 1e-5 of some 10 nats
        assert likelihood_gap(MIXED, seed=0).value == pytest.approx(100 / 12 * gap.item(), abs=0.02)

    def test_the_widths_are_a_maximum_of_the_likelihood(self):
        centers, train = vectors(15, "centers", dim=3).double(), vectors(400, "fit", dim=3).double()
        distances = _squares(train, centers)
        variances = _fit(distances, 3)

        def likelihood(logs):
            density = torch.exp(-0.5 * distances / logs.exp()) / (2 * math.pi * logs.exp()) ** 1.5
            return density.mean(dim=1).log().mean()

        logs = variances.log().requires_grad_()
        (slope,) = torch.autograd.grad(likelihood(logs), logs)
        start = (distances.amin(dim=0).double() / 3).log()
        assert likelihood(logs) > likelihood(start) + 0.1
        # a step gains less than 3e-4 nats where the fit ends, and gains are about slope^2 for each center
        assert slope.abs().max() < 0.02

    def test_exact_copies_have_the_least_width_and_a_bounded_gap(self):
        copied = evidence(TRAIN[:100].clone(), TRAIN, HOLDOUT)
        found = likelihood_gap(copied, seed=0).value
        distances = _squares(TRAIN.double(), TRAIN[:100].double())
        # some stay wide, for the other hundred training images must have a density
        assert (_fit(distances, 12) == LEAST_VARIANCE).double().mean() > 0.6
        assert -500 < found < -300  # over a third of the images gain about 1,000 each, and the others none

    def test_honest_samples_have_nearly_none(self):
        assert -15 < likelihood_gap(HONEST, seed=0).value < 5

    def test_constant_coordinates_do_not_count(self):
        def padded(v):
            return torch.cat([v, torch.full((len(v), 3), 0.7)], dim=1)

        wide = Evidence(padded(MIXED.samples), padded(MIXED.train), padded(HOLDOUT), MIXED.to_train)
        expected = likelihood_gap(MIXED, seed=0).value
        assert likelihood_gap(wide, seed=0).value == pytest.approx(expected, abs=0.02)
        flat = Evidence(MIXED.samples, MIXED.train, torch.ones(5, 12), MIXED.to_train)
        assert likelihood_gap(flat, seed=0).value is None

    def test_many_samples_are_thinned_and_many_images_are_scaled_in_parts(self, monkeypatch):
        whole = likelihood_gap(MIXED, seed=0)
        monkeypatch.setattr("spurion.phases.metrics.fld.PART", 33)
        assert likelihood_gap(MIXED, seed=0).value == pytest.approx(whole.value, abs=1e-3)
        monkeypatch.setattr("spurion.phases.metrics.fld.MOST_PAIRS", 200 * 40 + 1)
        found = [likelihood_gap(MIXED, seed=seed) for seed in (0, 0, 1)]
        assert found[0] == found[1] != found[2]
        assert "40 of 150 samples" in found[0].note

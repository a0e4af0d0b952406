"""The anchor of the `null` rule against its formula, its law of distances, and draws that copy nothing."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.stats import binom, gamma, kstest

from spurion.core.random import generator
from spurion.neighbors import load_distance
from spurion.neighbors.distances.l2 import L2
from spurion.phases import anchor as module
from spurion.phases.anchor import GUARD, Anchor, anchor_among, anchor_of, dimension
from spurion.phases.thresholds import null_thresholds


def uniform(n, dim, *path):
    """Points in the unit cube, float64, with shape (n, dim)."""
    return torch.rand(n, dim, generator=generator(0, "anchor", dim, *path), dtype=torch.float64)


def anchored(held_out, train):
    """The anchor of points, from all their distances."""
    near = torch.cdist(held_out, held_out).fill_diagonal_(torch.inf).topk(10, largest=False)
    to_train = torch.cdist(held_out, train).amin(dim=1)
    return Anchor(to_train, near.values, near.indices, held_out=True)


def made(to_train, apart=None, held_out=True):
    """An anchor of given distances, whose neighbors spread as on a line: d is 9 / ln(10^9 / 9!), 1.14."""
    to_train = torch.as_tensor(to_train, dtype=torch.float64)
    nearest = to_train if apart is None else torch.as_tensor(apart, dtype=torch.float64)
    distances = nearest[:, None] * torch.arange(1.0, 11.0, dtype=torch.float64)
    others = (torch.arange(len(to_train))[:, None] + torch.arange(1, 11)) % len(to_train)
    return Anchor(to_train, distances, others, held_out)


class TestDimension:
    def test_by_hand(self):
        near = torch.tensor([[1.0, 2.0, 4.0], [1.0, 1.0, 8.0]], dtype=torch.float64)
        # ln 4 + ln 2 and 2 ln 8, so 4 / (9 ln 2) with two ratios of each image
        assert float(dimension(near[None])[0]) == pytest.approx(4 / (9 * math.log(2)), rel=1e-14)

    def test_every_replicate_has_its_own(self):
        near = torch.tensor([[1.0, 2.0], [1.0, 4.0]], dtype=torch.float64)[:, None]
        assert dimension(near).tolist() == pytest.approx([1 / math.log(2), 1 / math.log(4)], rel=1e-14)

    @pytest.mark.parametrize("d", [1, 2, 7, 40])
    def test_of_the_law_itself(self, d):
        # within the tenth neighbor, the d-th powers of the nine distances are uniform; the estimate is then
        # d over the mean of 9 h exponentials, whose standard error is 1 / sqrt(9 h)
        h = 4000
        powers = uniform(h, 10, "law", d).sort(dim=1).values
        found = float(dimension((powers / powers[:, 9:]).pow(1 / d)[None])[0])
        assert abs(found / d - 1) < 3 / math.sqrt(9 * h)

    @pytest.mark.parametrize("d", [1, 2, 3])
    def test_of_uniform_cubes(self, d):
        points = uniform(3000, d)
        edgeless = (points[:, None] - points).abs()
        near = torch.minimum(edgeless, 1 - edgeless).norm(dim=2).fill_diagonal_(torch.inf)
        found = dimension(near.topk(10, largest=False).values[None])
        # images share neighbors: their ratios are not independent, but no more than double the error
        assert abs(float(found[0]) / d - 1) < 6 / math.sqrt(9 * 3000)

    def test_zeros_and_missing_neighbors_are_left_out(self):
        whole = torch.tensor([[1.0, 2.0, 4.0], [1.0, 3.0, 9.0]], dtype=torch.float64)
        more = torch.tensor(
            [[1.0, 2.0, 4.0, torch.inf], [0.0, 1.0, 3.0, 9.0], [torch.inf] * 4, [0.0] * 4],
            dtype=torch.float64,
        )
        assert float(dimension(more[None])[0]) == pytest.approx(float(dimension(whole[None])[0]), rel=1e-14)

    def test_scale_does_not_matter(self):
        near = uniform(50, 10, "scale").sort(dim=1).values + 0.1
        assert torch.allclose(dimension(7 * near[None]), dimension(near[None]), rtol=1e-13)

    @pytest.mark.parametrize("distance", [0.0, 1.0])
    def test_equal_distances_tell_nothing(self, distance):
        there = torch.full((80, 10), distance, dtype=torch.float64)
        indices = torch.zeros(80, 10, dtype=torch.int64)
        assert Anchor(there[:, 0], there, indices, held_out=True).dimension is None


def by_the_formula(anchor, alpha, m0):
    """Steps 2 to 4 of the rule, in numpy and exact fractions."""
    a, b, r = anchor.to_train.numpy(), anchor.distances[:, 0].numpy(), anchor.distances.numpy()
    h, share = len(a), Fraction(str(alpha))
    d = 9 * h / np.log(r[:, 9:10] / r[:, :9]).sum()
    beta = max(share, Fraction(30, h + 1))
    rank = math.floor(beta * (h + 1))
    thinner = float(share / beta) ** (1 / d)
    return (
        np.sort(a)[rank - 1] * thinner,
        np.sort(b)[rank - 1] * thinner * ((h - 1) / (m0 - 1)) ** (1 / d),
        d,
    )


class TestThresholds:
    @pytest.mark.parametrize("alpha", [0.05, 0.01, 0.001])
    @pytest.mark.parametrize(("h", "m0"), [(150, 1000), (359, 200), (2000, 1000)])
    def test_the_formula(self, h, m0, alpha):
        anchor = anchored(uniform(h, 2, "held out"), uniform(700, 2, "train"))
        memorized, spurious, d = by_the_formula(anchor, alpha, m0)
        found = null_thresholds(alpha, anchor, sample_size=m0)
        assert found.null.lawful == (True, True)
        assert found.memorized == pytest.approx(memorized, rel=1e-12)
        assert found.spurious == pytest.approx(spurious, rel=1e-12)
        assert found.null.dimension == pytest.approx(d, rel=1e-12)
        assert found.null.carried == (alpha < 30 / (h + 1),) * 2
        assert (found.null.images, found.null.held_out, found.sample_size) == (h, True, m0)

    def test_where_the_law_begins(self):
        anchor = made(torch.arange(1.0, 300.0))  # 299 of them: 30 stand below a tenth
        assert anchor.beta == 0.1
        assert anchor.nearness(0.1) == (30.0, False, True)
        assert anchor.nearness(0.2) == (60.0, False, True)
        assert anchor.nearness(0.05).carried

    @pytest.mark.parametrize("scale", [1e-3, 1 / 3, 50.0])
    @pytest.mark.parametrize("alpha", [0.2, 0.01])
    def test_scales_with_the_distance(self, scale, alpha):
        anchor = anchored(uniform(150, 3, "held out"), uniform(300, 3, "train"))
        scaled = Anchor(scale * anchor.to_train, scale * anchor.distances, anchor.indices, held_out=True)
        ours, theirs = (null_thresholds(alpha, one, sample_size=500) for one in (anchor, scaled))
        assert theirs.memorized == pytest.approx(scale * ours.memorized, rel=1e-12)
        assert theirs.spurious == pytest.approx(scale * ours.spurious, rel=1e-12)

    def test_squared_distances_have_squared_thresholds(self):
        class Squared(L2):
            """Like the LPIPS, whose square root is a metric."""

            def radius(self, distance):
                return distance.sqrt()

            def value(self, radius):
                return radius.square()

        held_out, train = uniform(90, 2, "held out").float(), uniform(120, 2, "train").float()
        to_train = torch.cdist(held_out.double(), train.double()).amin(dim=1)
        plain = anchor_of(to_train, held_out, L2(), seed=0)
        # `value` brings thresholds back into the unit of the distance, so they are the squares
        euclidean, squared = (null_thresholds(0.05, plain, distance=d) for d in (L2(), Squared()))
        assert squared.memorized == pytest.approx(euclidean.memorized**2, rel=1e-12)
        assert squared.spurious == pytest.approx(euclidean.spurious**2, rel=1e-12)

    def test_the_law_carries_to_other_numbers_of_samples(self):
        anchor = anchored(uniform(400, 2, "held out"), uniform(300, 2, "train"))
        one, other = (anchor.spacing(0.01, m0).value for m0 in (101, 1001))
        assert one / other == pytest.approx(10 ** (1 / anchor.dimension), rel=1e-12)
        assert anchor.nearness(0.01).value == pytest.approx(
            anchor.nearness(30 / 401).value * (0.01 * 401 / 30) ** (1 / anchor.dimension), rel=1e-12
        )

    def test_among_one_sample_as_among_two(self):
        anchor = anchored(uniform(100, 2, "held out"), uniform(300, 2, "train"))
        assert anchor.spacing(0.05, 1) == anchor.spacing(0.05, 2)


class TestTies:
    def test_step_down_where_order_statistics_decide(self):
        ranked = torch.arange(1.0, 100.0)
        ranked[1:4] = 2.0  # 99 images, the fourth as near as the second
        anchor = made(ranked)
        assert anchor.nearness(0.5).value == 50
        ranked[48:51] = 50.0  # ranks 49 to 51 tie
        assert made(ranked).nearness(0.5).value == math.nextafter(50.0, 0.0)

    def test_just_below_the_smallest_one(self):
        anchor = made(torch.ones(80), torch.arange(1.0, 81.0))
        assert anchor.nearness(0.4) == (math.nextafter(1.0, 0.0), False, True)
        found = anchor.nearness(0.01)  # less than one of them is asked for: carried on from there
        assert found.carried
        assert found.value == pytest.approx((0.01 * 81 / 30) ** (1 / anchor.dimension), rel=1e-12)

    @pytest.mark.parametrize(("alpha", "zeros"), [(0.01, 31), (0.4, 33)])
    def test_nothing_lies_below_zero(self, alpha, zeros):
        distances = torch.arange(80.0)
        distances[:zeros] = 0.0
        ranked = torch.arange(1.0, 81.0)
        for anchor in (made(distances, ranked), made(ranked, distances)):
            found = null_thresholds(alpha, anchor)
            assert (found.memorized, found.spurious, found.null) == (None, None, None)
            assert found.notes == (
                "The memorized threshold is not identifiable: too many of 80 held-out images are equal, "
                f"or nearer than the law of distances explains, to tell a share of {alpha:g}.",
            )

    def test_never_more_images_below_than_promised(self):
        random = np.random.default_rng(0)
        for _ in range(50):
            anchor = made(torch.from_numpy(random.integers(1, 12, size=100).astype(float)))
            for alpha in (0.3, 0.5):
                value = anchor.nearness(alpha).value
                if value is not None:
                    assert int((anchor.to_train <= value).sum()) <= alpha * 101

    def test_no_dimension_leaves_order_statistics(self):
        to_train = torch.arange(1.0, 151.0, dtype=torch.float64)
        anchor = Anchor(
            to_train,
            torch.ones(150, 10, dtype=torch.float64),
            torch.zeros(150, 10, dtype=torch.int64),
            held_out=True,
        )
        assert anchor.nearness(0.02) == (3.0, False, True)
        assert anchor.nearness(0.001).value is None  # less than one of them
        assert anchor.spacing(0.02, 10) == (math.nextafter(1.0, 0.0), False, True)  # not scaled either
        assert anchor.p_values(torch.tensor([0.5, 3.0], dtype=torch.float64)).tolist() == [1 / 151, 4 / 151]


class TestNearCopies:
    @pytest.mark.parametrize("copies", [4, 20])
    def test_more_near_ones_than_the_law_explains(self, copies):
        distances = 1 + torch.arange(299, dtype=torch.float64) / 299
        distances[:copies] = 1e-3 + 1e-6 * torch.arange(copies)
        anchor = made(distances)
        found = anchor.nearness(0.001)
        assert found == (None, False, False)  # less than one of 299, and no law to carry on by
        assert anchor.nearness(0.3) == (float(distances.sort().values[89]), False, True)

    def test_the_order_statistic_takes_its_place(self):
        distances = 1 + torch.arange(299, dtype=torch.float64) / 299
        distances[:20] = 1e-3 + 1e-6 * torch.arange(20)
        found = made(distances).nearness(0.02)
        assert found == (float(distances[5]), False, False)
        info = null_thresholds(0.02, made(distances), sample_size=299)
        assert info.null.lawful == (False, False)
        assert info.null.carried == (False, False)
        assert info.memorized == info.spurious == found.value

    def test_a_few_more_are_chance(self):
        # 9 of 299 at a share of .02 have a probability of about .13
        distances = 1 + torch.arange(299, dtype=torch.float64) / 299
        distances[:9] = 0.99 * made(distances).nearness(0.02).value
        assert made(distances).nearness(0.02).lawful

    @pytest.mark.parametrize(("alpha", "most"), [(0.02, 11), (0.005, 4)])
    def test_the_number_that_decides(self, alpha, most):
        """Just below the threshold they are too many, if anything, and not too near: see GUARD."""
        assert binom.sf(most - 1, 299, alpha) >= GUARD > binom.sf(most, 299, alpha)
        base = 1 + torch.arange(299, dtype=torch.float64) / 299
        for below in (most, most + 1):
            distances = base.clone()
            distances[:below] = 0.99 * made(base).nearness(alpha).value
            assert made(distances).nearness(alpha).lawful == (below == most)

    @pytest.mark.parametrize("below", [0.5, 1e-3])
    def test_the_nearness_that_decides(self, below):
        """Three images of 299 are not too many at a share of .02, but three of them may be too near."""
        distances = 1 + torch.arange(299, dtype=torch.float64) / 299
        distances[:3] = below
        anchor = made(distances)
        logs = float((distances[29] / distances[:29]).log().sum())
        assert anchor.nearness(0.02).lawful == (gamma.sf(anchor.dimension * logs, 29) >= GUARD)
        paired = anchor.spacing(0.02, 299).lawful
        assert paired == (gamma.sf(anchor.dimension * logs / 2, 29 / 2) >= GUARD)


class TestPValues:
    def test_counted_where_many_are_as_near(self):
        anchor = made(torch.arange(1.0, 100.0))
        distances = torch.tensor([30.0, 40.5, 99.0, 1000.0], dtype=torch.float64)
        assert anchor.p_values(distances).tolist() == [0.31, 0.41, 1.0, 1.0]

    def test_carried_on_below(self):
        anchor = made(torch.arange(1.0, 100.0))
        d, distances = anchor.dimension, torch.tensor([0.0, 0.5, 3.0, 15.0], dtype=torch.float64)
        law = 0.3 * (distances / 30) ** d
        assert d == pytest.approx(9 / math.log(10**9 / math.factorial(9)), rel=1e-12)
        assert torch.allclose(anchor.p_values(distances), law, rtol=1e-12)

    def test_the_same_as_the_thresholds(self):
        anchor = anchored(uniform(359, 2, "held out"), uniform(700, 2, "train"))
        for alpha in (0.05, 0.01, 0.001):
            threshold = torch.tensor([anchor.nearness(alpha).value], dtype=torch.float64)
            assert float(anchor.p_values(threshold)[0]) == pytest.approx(alpha, rel=1e-10)

    def test_monotone(self):
        anchor = anchored(uniform(150, 3, "held out"), uniform(300, 3, "train"))
        distances = torch.linspace(0, 1, 2001, dtype=torch.float64)
        found = anchor.p_values(distances)
        assert float(found[0]) == 0
        assert (found.diff() >= 0).all()
        assert float(found[-1]) == 1

    def test_unordered_and_strided_distances(self):
        anchor = anchored(uniform(150, 3, "held out"), uniform(300, 3, "train"))
        distances = uniform(40, 2, "asked")[:, 0]
        together = anchor.p_values(distances)
        assert together.tolist() == [float(anchor.p_values(one[None])[0]) for one in distances]

    def test_counted_where_the_law_does_not_hold(self):
        copied = 1 + torch.arange(299, dtype=torch.float64) / 299
        copied[:20] = 1e-3
        assert float(made(copied).p_values(torch.tensor([5e-4], dtype=torch.float64))[0]) == 1 / 300
        equal = copied.clone()
        equal[:30] = 0.0
        assert float(made(equal).p_values(torch.zeros(1, dtype=torch.float64))[0]) == 31 / 300

    def test_uniform_where_nothing_is_copied(self):
        # one new image to each set of 60 held-out ones: its rank is uniform, so the p-values are, but for
        # steps of 1 / 61
        found = []
        for trial in range(600):
            points = uniform(60 + 1 + 50, 2, "exchangeable", trial)
            new = torch.cdist(points[60:61], points[61:]).amin(dim=1)
            found.append(float(anchored(points[:60], points[61:]).p_values(new)[0]))
        assert kstest(found, "uniform").pvalue > 0.05

    def test_small_ones_are_as_rare_as_they_say(self):
        new = uniform(4000, 2, "new")
        shares = []
        for trial in range(40):
            train = uniform(200, 2, "train", trial)
            anchor = anchored(uniform(150, 2, "held out", trial), train)
            p = anchor.p_values(torch.cdist(new, train).amin(dim=1))
            shares.append([float((p <= alpha).double().mean()) for alpha in (0.05, 0.01, 0.001)])
        mean, error = np.mean(shares, axis=0), np.std(shares, axis=0, ddof=1) / np.sqrt(40)
        assert (abs(mean - [0.05, 0.01, 0.001]) < 3 * error + 1e-4).all()


LAWS = {
    "square": lambda n, random: torch.rand(n, 2, generator=random, dtype=torch.float64),
    "curve": lambda n, random: (lambda t: torch.stack([t.cos(), t.sin(), (3 * t).sin()], dim=1))(
        6.28 * torch.rand(n, generator=random, dtype=torch.float64)
    ),
    "clusters": lambda n, random: (
        torch.randn(n, 2, generator=random, dtype=torch.float64)
        * torch.where(torch.rand(n, 1, generator=random) < 0.125, 0.1, 1.0).double()
    ),
    "heavy tails": lambda n, random: (
        torch.randn(n, 2, generator=random, dtype=torch.float64)
        / torch.randn(n, 3, generator=random, dtype=torch.float64).square().mean(dim=1, keepdim=True).sqrt()
    ),
    "many coordinates": lambda n, random: torch.randn(n, 768, generator=random, dtype=torch.float64),
}


class TestWhatCopiesNothing:
    """The bar of the rule: at most 1.5 % of either kind of false call on average, at a promise of 1 %."""

    @pytest.mark.parametrize("law", LAWS)
    @pytest.mark.parametrize("held_out", [True, False])
    def test_false_calls(self, law, held_out):
        random, shares = generator(0, "false calls", law), []
        for _ in range(10):
            train, others, samples = (LAWS[law](600, random) for _ in range(3))
            if held_out:
                anchor = anchored(others, train)
            else:
                near = torch.cdist(train, train).fill_diagonal_(torch.inf).topk(10, largest=False)
                anchor = Anchor(near.values[:, 0], near.values, near.indices, held_out=False)
            found = null_thresholds(0.01, anchor, sample_size=600)
            apart = torch.cdist(samples, samples).fill_diagonal_(torch.inf).amin(dim=1)
            copied = torch.cdist(samples, train).amin(dim=1) <= found.memorized
            shares.append([float(copied.double().mean()), float((apart <= found.spurious).double().mean())])
        mean = np.mean(shares, axis=0)
        assert (mean <= 0.015).all()
        assert (mean >= 0.004).all()  # and not more careful than needed

    @pytest.mark.parametrize("alpha", [0.05, 0.01])
    def test_training_images_among_themselves_are_exchangeable_with_samples(self, alpha):
        # each of K training images against K - 1 others, each sample against K: one part in K apart
        random, shares = generator(0, "among"), []
        for _ in range(40):
            train, samples = (LAWS["square"](400, random) for _ in range(2))
            near = torch.cdist(train, train).fill_diagonal_(torch.inf).topk(10, largest=False)
            anchor = Anchor(near.values[:, 0], near.values, near.indices, held_out=False)
            below = torch.cdist(samples, train).amin(dim=1) <= anchor.nearness(alpha).value
            shares.append(float(below.double().mean()))
        assert abs(np.mean(shares) - alpha) < 3 * np.std(shares, ddof=1) / math.sqrt(40)


class TestImages:
    def test_of_held_out_images(self):
        held_out, train = uniform(80, 6, "held out").float(), uniform(100, 6, "train").float()
        to_train = torch.cdist(held_out.double(), train.double()).amin(dim=1)
        expected = anchored(held_out.double(), train.double())
        found = anchor_of(to_train, held_out.view(80, 1, 2, 3), L2(), seed=0)
        assert len(found) == 80
        assert found.held_out
        assert found.whose == "held-out images"
        assert (found.to_train == to_train).all()
        assert (found.indices == expected.indices).all()
        assert torch.allclose(found.distances, expected.distances, rtol=1e-6)
        assert (found.to_others == found.distances[:, 0]).all()

    def test_the_unit_of_the_distance_is_left(self):
        images = uniform(70, 12, "angles").float().view(70, 3, 2, 2) - 0.3
        cosine = load_distance("cosine")
        to_train = torch.linspace(0.1, 0.9, 70, dtype=torch.float64)
        found = anchor_of(to_train, images, cosine, seed=0)
        assert torch.allclose(found.to_train, cosine.radius(to_train), rtol=1e-12)
        flat = torch.nn.functional.normalize(images.double().flatten(1), dim=1)
        expected = torch.cdist(flat, flat).fill_diagonal_(torch.inf).amin(dim=1)
        assert torch.allclose(cosine.value(found.to_others), expected.square() / 2, rtol=1e-4)

    @pytest.mark.parametrize(("images", "there"), [(59, False), (60, True)])
    def test_sixty_images_are_enough(self, images, there):
        held_out = uniform(images, 4, "few").float().view(-1, 1, 2, 2)
        to_train = torch.ones(images, dtype=torch.float64)
        assert (anchor_of(to_train, held_out, L2(), seed=0) is not None) == there
        assert (anchor_among(held_out, L2(), seed=0) is not None) == there

    def test_none_is_said(self):
        found = null_thresholds(0.01, None)
        assert (found.memorized, found.spurious, found.null) == (None, None, None)
        assert found.notes == (
            "The memorized threshold is not identifiable: there are fewer than 60 different held-out images, "
            "and fewer than 60 different training images; give more held-out images.",
        )

    def test_training_images_each_against_all_others(self):
        train = uniform(90, 4, "among").float().view(90, 1, 2, 2)
        found = anchor_among(train, L2(), seed=0)
        flat = train.double().flatten(1)
        apart = torch.cdist(flat, flat).fill_diagonal_(torch.inf).amin(dim=1)
        assert not found.held_out
        assert found.whose == "training images among themselves"
        assert torch.allclose(found.to_train, apart, rtol=1e-6)
        assert (found.to_others == found.to_train).all()

    def test_some_of_very_many(self, monkeypatch):
        monkeypatch.setattr(module, "MOST", 70)
        train = uniform(200, 4, "among").float().view(200, 1, 2, 2)
        found = anchor_among(train, L2(), seed=0)
        flat = train.double().flatten(1)
        apart = torch.cdist(flat, flat).fill_diagonal_(torch.inf).amin(dim=1)
        assert len(found) == 70
        # nearest of all 200, but neighbors among the 70
        assert all(float((apart - one).abs().min()) < 1e-6 for one in found.to_train)
        assert int(found.indices.max()) < 70
        assert (found.to_others >= found.to_train).all()
        assert float(found.to_others.mean()) > 1.1 * float(found.to_train.mean())
        held_out = anchor_of(apart, train, L2(), seed=1)
        assert len(held_out) == 70
        again = anchor_of(apart, train, L2(), seed=1)
        assert (held_out.to_train == again.to_train).all()
        other = anchor_of(apart, train, L2(), seed=2)
        assert (held_out.to_train != other.to_train).any()

    @pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1])
    def test_a_bad_share_is_refused(self, alpha):
        with pytest.raises(ValueError, match="null thresholds: `alpha`"):
            null_thresholds(alpha, None)


def test_distances_that_do_not_fit_are_one_sentence():
    images = uniform(100, 3, "fit").reshape(100, 1, 1, 3)
    for to_train in (
        -torch.ones(100, dtype=torch.float64),
        torch.full((100,), math.nan, dtype=torch.float64),
    ):
        with pytest.raises(ValueError, match="a finite distance of at least 0 for each of 100 images"):
            anchor_of(to_train, images, L2(), seed=0)
    with pytest.raises(ValueError, match="`sample_size` must be at least 2, got 1"):
        null_thresholds(0.01, anchor_among(images, seed=0), sample_size=1)

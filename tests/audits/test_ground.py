"""What classes stand on: which real images, what is planted and found, and what is no copy."""

import numpy as np
import pytest
import torch
from scipy.stats import false_discovery_control

from spurion import audit
from spurion.audits.beyond import FALSE_DISCOVERIES, beyond_honest, p_values
from spurion.audits.ground import ALPHAS, all_shares, ground_for, real_images
from spurion.audits.measurement import measure
from spurion.core.random import generator
from spurion.neighbors.distances.l2 import L2
from spurion.phases.anchor import Anchor

DIM = 4


def images(points):
    """Points as images of 4 x 4 pixels, at the same distances of each other, in [-1, 1]."""
    turned = torch.linalg.qr(torch.randn(16, 16, generator=generator(0, "turn"), dtype=torch.float64))[0]
    return (points @ turned[: points.shape[1]]).float().view(-1, 1, 4, 4)


def cube(n, *path, dim=DIM):
    """Points spread evenly, within .5 of 0 in every coordinate."""
    random = generator(0, "ground", *path)
    return torch.rand(n, dim, generator=random, dtype=torch.float64) - 0.5


def jittered(points, radius, *path):
    """Points moved by a distance in a random direction."""
    random = generator(0, "jitter", *path)
    steps = torch.randn(points.shape, generator=random, dtype=torch.float64)
    return points + radius * torch.nn.functional.normalize(steps, dim=1)


def grounded(train, samples, holdout=None, *, rule="null:0.01", seed=0, against_held_out=False):
    """The ground, the measurement and the shares of sets of points; the null test only where it is asked."""
    train, samples = images(train), images(samples)
    holdout = None if holdout is None else images(holdout)
    found = measure(train, samples, holdout if against_held_out else None)
    anchor = real_images(train, holdout, None, L2(), seed=seed)
    ground = ground_for(rule, found, anchor=anchor, distance=L2(), seed=seed)
    return ground, found, all_shares(found, ground, seed=seed)


def values(shares):
    return [getattr(shares.fractions, name).value for name in ("memorized", "spurious", "generalized")]


class TestRealImages:
    def test_held_out_images_where_there_are_enough(self):
        train, holdout = images(cube(200, "t")), images(cube(60, "h"))
        found = real_images(train, holdout, None, L2(), seed=0)
        assert (found.held_out, len(found)) == (True, 60)
        expected = torch.cdist(cube(60, "h"), cube(200, "t")).amin(dim=1)
        assert torch.allclose(found.to_train, expected, rtol=1e-5)
        known = real_images(train, holdout, found.to_train, L2(), seed=0)
        assert (known.to_train == found.to_train).all()

    @pytest.mark.parametrize("count", [0, 59])
    def test_else_training_images(self, count):
        train = images(cube(90, "t"))
        for holdout in (None, images(cube(count, "h"))):
            found = real_images(train, holdout, None, L2(), seed=0)
            assert (found.held_out, len(found)) == (False, 90)

    def test_else_none(self):
        assert real_images(images(cube(59, "t")), images(cube(59, "h")), None, L2(), seed=0) is None

    def test_held_out_images_that_are_training_images_do_not_count(self):
        train, holdout = cube(200, "t"), cube(100, "h")
        mixed = torch.cat([holdout[:50], train[:30], holdout[50:]])
        found = real_images(images(train), images(mixed), None, L2(), seed=0)
        plain = real_images(images(train), images(holdout), None, L2(), seed=0)
        assert (found.to_train == plain.to_train).all()
        assert (found.distances == plain.distances).all()

    def test_repeated_held_out_images_count_once(self):
        train, holdout = cube(200, "t"), cube(100, "h")
        found = real_images(images(train), images(holdout).repeat(3, 1, 1, 1), None, L2(), seed=0)
        plain = real_images(images(train), images(holdout), None, L2(), seed=0)
        assert len(found) == 100
        assert (found.to_train == plain.to_train).all()
        assert (found.distances == plain.distances).all()

    def test_sixty_different_ones_are_asked(self):
        train, holdout = cube(200, "t"), cube(59, "h")
        for more in (holdout[:5], train[:5]):
            found = real_images(images(train), images(torch.cat([holdout, more])), None, L2(), seed=0)
            assert not found.held_out

    def test_repeated_training_images_count_once(self):
        train = images(cube(100, "t"))
        found = real_images(train.repeat(2, 1, 1, 1), None, None, L2(), seed=0)
        plain = real_images(train, None, None, L2(), seed=0)
        assert len(found) == 100
        assert (found.to_train == plain.to_train).all()
        assert float(found.to_train.min()) > 0


class TestGround:
    def test_without_an_anchor(self):
        ground, found, shares = grounded(cube(59, "t"), cube(80, "s"))
        assert (ground.thresholds.memorized, ground.replicates, ground.others) == (None, None, ())
        assert (shares.main, shares.others, shares.arrays()) == (None, (), {})
        assert beyond_honest(found, ground, L2()) == {}
        assert p_values(found, ground, L2()) is None

    def test_shares_beside_each_other(self):
        ground, _, shares = grounded(cube(300, "t"), cube(300, "s"), cube(200, "h"))
        assert [alpha for alpha, _ in ground.others] == list(ALPHAS)
        assert [alpha for alpha, *_ in shares.others] == list(ALPHAS)
        assert ground.others[1][1] == ground.thresholds
        assert ground.thresholds.sample_size == 300
        assert sorted(shares.arrays()) == ["main", "null:0.001", "null:0.01", "null:0.05"]
        assert (shares.arrays()["main"] == shares.arrays()["null:0.01"]).all()
        memorized = [one.memorized for _, one in ground.others]
        spurious = [one.spurious for _, one in ground.others]
        assert memorized == sorted(memorized, reverse=True)
        assert spurious == sorted(spurious, reverse=True)
        generalized = [values(found)[2] for *_, found in shares.others]
        assert generalized == sorted(generalized)

    @pytest.mark.parametrize("rule", ["fixed:0.1,0.1", "holdout:0.05", "valley"])
    def test_other_rules_stand_alone(self, rule):
        sets = (cube(200, "t"), cube(200, "s"), cube(200, "h"))
        ground, found, shares = grounded(*sets, rule=rule, against_held_out=True)
        assert (ground.anchor, ground.others, shares.others) == (None, (), ())
        assert p_values(found, ground, L2()) is None
        assert "listed" not in beyond_honest(found, ground, L2())

    def test_training_images_stand_in_for_honest_ones(self):
        ground, found, _ = grounded(cube(300, "t"), cube(300, "s"))
        honest = ground.anchor.to_train <= ground.thresholds.memorized
        excess = beyond_honest(found, ground, L2())["excess"]
        ours = float((found.distance_train <= ground.thresholds.memorized).double().mean())
        theirs = float(honest.double().mean())
        assert excess.value == pytest.approx((ours - theirs) / (1 - theirs), abs=1e-12)

    def test_nothing_is_told_where_all_honest_images_lie_below(self):
        sets = (cube(80, "t"), cube(80, "s"), cube(70, "h"))
        ground, found, _ = grounded(*sets, rule="fixed:9,9", against_held_out=True)
        assert len(found.holdout_train) == 70
        assert beyond_honest(found, ground, L2()) == {}


class TestList:
    def test_by_the_step_up_procedure(self):
        train = cube(400, "t")
        samples = torch.cat([jittered(train[:40], 0.01), cube(160, "s")])
        ground, found, _ = grounded(train, samples, cube(300, "h"))
        p = p_values(found, ground, L2()).numpy()
        order, count = np.argsort(p, kind="stable"), len(p)
        passed = np.nonzero(p[order] <= FALSE_DISCOVERIES * np.arange(1, count + 1) / count)[0]
        expected = np.sort(order[: passed.max() + 1])
        listed = beyond_honest(found, ground, L2())["listed"]
        assert list(listed) == expected.tolist()
        assert set(range(40)) <= set(listed)
        assert len(listed) <= 45

    def test_rarely_wrong(self):
        """At most one in twenty listed samples is no copy on average; without copies, lists are empty."""
        wrong, listed, none = [], [], 0
        for trial in range(60):
            train, fresh = cube(200, "t", trial), cube(100, "s", trial)
            near = torch.cdist(cube(300, "h", trial), train).sort(dim=1).values[:, :10]
            apart = torch.cdist(cube(300, "h", trial), cube(300, "h", trial)).sort(dim=1)
            anchor = Anchor(near[:, 0], apart.values[:, 1:11], apart.indices[:, 1:11], held_out=True)
            samples = torch.cat([jittered(train[:20], 0.02, trial), fresh[:80]])
            lists = [
                false_discovery_control(anchor.p_values(torch.cdist(some, train).amin(dim=1)).numpy())
                <= FALSE_DISCOVERIES
                for some in (samples, fresh)
            ]
            wrong.append(lists[0][20:].sum() / max(1, lists[0].sum()))
            listed.append(lists[0][:20].sum())
            none += bool(lists[1].any())
        assert np.mean(wrong) <= FALSE_DISCOVERIES + 2 * np.std(wrong) / 60**0.5
        assert np.mean(listed) == 20
        assert none <= 7  # P(8 or more of 60) is .01 where a list without a copy has a chance of .05


def uniform_weights(count):
    return torch.full((count,), 1 / count)


def zipf_weights(count):
    weights = 1 / torch.arange(1, count + 1)
    return weights / weights.sum()


class TestWhatIsPlanted:
    @pytest.mark.parametrize("jitter", [0.0, 0.6])
    @pytest.mark.parametrize("weights", [uniform_weights, zipf_weights])
    def test_is_found_at_every_number_of_samples(self, weights, jitter):
        """30 % copies and 30 % of eight atoms; the jitter is a part of the real spacing, the threshold."""
        train, holdout, atoms = cube(500, "t"), cube(400, "h"), cube(8, "atoms")
        random, found = generator(0, "planted"), {}
        anchor = real_images(images(train), images(holdout), None, L2(), seed=0)
        for count in (500, 1000, 2000):
            part = int(0.3 * count)
            near, apart = anchor.nearness(0.01).value, anchor.spacing(0.01, min(1000, count)).value
            copied = train[torch.multinomial(weights(500), part, replacement=True, generator=random)]
            drawn = atoms[torch.multinomial(weights(8), part, replacement=True, generator=random)]
            honest = cube(count - 2 * part, "honest", count)
            # in 4 dimensions jitters in two directions lie 1.4 jitters apart, on average
            samples = [jittered(copied, jitter * near, count), jittered(drawn, jitter * apart, count), honest]
            ground, _, shares = grounded(train, torch.cat(samples), holdout)
            found[count] = values(shares.main)
            assert ground.thresholds.null.held_out
            assert found[count] == pytest.approx([0.3, 0.3, 0.4], abs=0.02)
        assert np.ptp(list(found.values()), axis=0).max() < 0.02

    def test_no_samples_but_copies(self):
        train = cube(200, "t")
        _, _, shares = grounded(train, train[:100].repeat(2, 1), cube(100, "h"))
        assert values(shares.main) == [1.0, 0.0, 0.0]
        assert shares.main.fractions.memorized.high == 1.0

    def test_one_image_again_and_again(self):
        _, _, shares = grounded(cube(200, "t"), cube(1, "one").repeat(50, 1), cube(100, "h"))
        assert values(shares.main) == pytest.approx([0.0, 1.0, 0.0], abs=1e-12)


def honest(shares):
    """Whether a share of copies, or of repetitions, of 3 % is not exceeded, nor 2 % by the interval."""
    found = (shares.fractions.memorized, shares.fractions.spurious)
    return all(share.value <= 0.03 and share.low <= 0.02 for share in found)


@pytest.mark.parametrize("held_out", [True, False])
class TestWhatIsNoCopy:
    def test_two_kinds_of_images(self, held_out):
        """Flat and busy images: the gap between the kinds is none between copies and the rest."""
        random = generator(0, "two kinds")

        def draw(n):
            amplitude = torch.where(torch.rand(n, generator=random) < 0.5, 0.02, 0.3)[:, None]
            return torch.randn(n, 16, generator=random, dtype=torch.float64) * amplitude

        train, samples, holdout = draw(500), draw(500), draw(500)
        ground, found, shares = grounded(train, samples, holdout if held_out else None)
        assert ground.thresholds.null.held_out == held_out
        assert honest(shares.main)
        anchor = real_images(images(train), None, None, L2(), seed=0)
        valley = ground_for("valley", found, anchor=anchor, distance=L2()).thresholds
        assert valley.memorized is None
        assert "training images lie as near to each other" in valley.notes[0]
        assert ground_for("valley", found, anchor=None, distance=L2()).thresholds.memorized is not None

    def test_images_shrunk_by_a_fifth(self, held_out):
        # samples lie 0.8^-3 = 1.95 times as dense, and meet each other so much more often
        holdout = cube(900, "h", dim=3) if held_out else None
        _, _, shares = grounded(cube(900, "t", dim=3), 0.8 * cube(700, "s", dim=3), holdout)
        assert honest(shares.main)

    def test_real_near_copies(self, held_out):
        """One real image in twenty is a near copy of another one, as of one scene: honest samples too."""
        world = cube(1800, "world")
        pairs = torch.randperm(1800, generator=generator(0, "near copies"))
        world[pairs[:90]] = jittered(world[pairs[90:180]], 0.003)
        train, holdout, samples = world.split(600)
        _, _, shares = grounded(train, samples, holdout if held_out else None)
        assert honest(shares.main)


def test_two_kinds_of_images_never_fail_an_audit():
    random = torch.Generator().manual_seed(0)
    amplitude = torch.where(torch.rand(900, generator=random) < 0.5, 0.02, 0.3)[:, None, None, None]
    train, samples, holdout = (
        (torch.randn(900, 1, 4, 4, generator=random) * amplitude).clamp(-1, 1).split(300)
    )
    for given in (holdout, None):
        found = audit(train, samples, given, fail_if="memorized > 0.03")
        assert found.verdict.outcome != "fail"
        assert {one.alpha for one in found.by_alpha} >= {0.05, 0.01}

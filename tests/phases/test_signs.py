"""Signs of copying: silent for honest samples, loud for copies, by closed forms and simulation."""

import math

import pytest
import torch
from scipy import stats

from spurion.core.random import generator
from spurion.neighbors import as_distance, nearest
from spurion.phases.null import NullTest
from spurion.phases.signs import LEVEL, MOST, Approach, among_themselves, signs

L2 = as_distance("l2")


def plain(n, random):
    return torch.rand(n, 24, generator=random)


def kinds(n, random):
    return plain(n, random) * torch.where(torch.rand(n, 1, generator=random) < 0.5, 0.05, 1.0)


def read(train, samples):
    """The signs of samples against a training set of different images, without held-out images."""
    found = nearest(samples, train, min(50, len(train)))
    firsts = torch.arange(len(train))
    others, gaps = among_themselves(train, firsts, found.indices[:, 0], distance=L2, seed=0)
    return signs(Approach(found.distances, found.distances[:, 1], gaps), others, None)


@pytest.mark.parametrize("draw", [plain, kinds])
def test_honest_samples_are_rarely_suspected(draw):
    """Four signs at 1 % each: of 50 sets at most 2, and 2 standard errors of 1.4 more."""
    suspected = 0
    for seed in range(50):
        random = generator(seed, "signs")
        suspected += any(
            sign.p_value < LEVEL and sign.copy_rate > 0 for sign in read(draw(40, random), draw(150, random))
        )
    assert suspected <= 5


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_copies_give_every_sign_and_their_rate(share):
    random = generator(0, "signs", "copies")
    train, samples = plain(60, random), plain(400, random)
    count = round(share * len(samples))
    samples[:count] = train[torch.randint(60, (count,), generator=random)]
    samples[:count] += 0.01 * torch.randn(count, 24, generator=random)
    found = {sign.name: sign for sign in read(train, samples)}
    assert set(found) == {"nearness", "authpct", "ratio", "local_scale"}
    for sign in found.values():
        assert sign.copy_rate == pytest.approx(share, abs=0.08)
        assert "training" in sign.sentence
        assert sign.p_value < 1e-3


def test_training_images_among_themselves_leave_out_equal_ones():
    """Of 0, 0, 1, 3 the different ones are 0, 1, 3: 1 from 0, 1 from 1, and 2; gaps around 0 and 1 are 1."""
    train, first = torch.tensor([[0.0], [0.0], [1.0], [3.0]]), torch.tensor([0, 0, 2, 3])
    found, gaps = among_themselves(train, first, torch.tensor([1, 3]), distance=L2, seed=0)
    assert sorted(found.near.tolist()) == [[1.0, 2.0], [1.0, 3.0], [2.0, 3.0]]
    assert found.second.tolist() == found.near[:, 1].tolist()
    assert gaps.tolist() == [1.0, 2.0]
    by_first = dict(zip(map(tuple, found.near.tolist()), found.gaps.tolist(), strict=True))
    assert by_first == {(1.0, 3.0): 1.0, (1.0, 2.0): 1.0, (2.0, 3.0): 1.0}
    assert found.crowding.sum() == 2  # 3 is nearest to 1, and not the other way round
    assert among_themselves(train[:3], first[:3], torch.tensor([0]), distance=L2, seed=0) is None


def test_of_many_training_images_some_are_looked_up():
    train = torch.arange(MOST + 5.0)[:, None]
    found, _ = among_themselves(train, torch.arange(MOST + 5), torch.zeros(2).long(), distance=L2, seed=0)
    assert found.near.shape == (MOST, 50)


def test_nearness_is_the_rank_test_with_half_of_the_others():
    ours, theirs = torch.tensor([1.0, 2.0, 4.0]).double(), torch.tensor([3.0, 5.0, 2.0, 6.0]).double()
    sides = [Approach(values[:, None], values + 1) for values in (ours, theirs)]
    (found,) = [sign for sign in signs(*sides, None) if sign.name == "nearness"]
    share = (4 + 3.5 + 2) / 12
    assert found.copy_rate == pytest.approx(2 * share - 1)
    spread = math.sqrt((2 + 3 + 1) / (12 * 2 * 3))
    assert found.p_value == pytest.approx(stats.norm.sf((share - 0.5) / spread))
    assert "79% of all pairs" in found.sentence


def a_null(**given):
    values = dict.fromkeys(NullTest.model_fields)
    given = {"share_closer_to_train": {"value": 0.76, "low": 0.7, "high": 0.8}, "share_p_value": 1e-4} | given
    return NullTest.model_validate({**values, "set_size": 9, "notes": (), **given})


def test_the_held_out_null_gives_its_readings_in_words():
    flat = Approach(torch.ones(8, 3).double(), torch.ones(8).double())
    null = a_null(ct=-30.2, ct_p_value=1e-200, authpct=20.0, authpct_holdout=60.0, authpct_p_value=0.002)
    found = {sign.name: sign for sign in signs(flat, flat, null)}
    assert list(found) == ["closer_to_train", "nearness", "authpct", "ratio", "local_scale"]
    assert found["closer_to_train"].copy_rate == pytest.approx(0.52)
    assert found["closer_to_train"].sentence == (
        "76% of the samples are closer to the training set than to as many held-out images, half of them by "
        "chance (p = 0.0001)"
    )
    assert found["nearness"].sentence.startswith(
        "C_T is -30.2, a sample is nearer to the training set than a "
    )
    assert (found["nearness"].p_value, found["nearness"].copy_rate) == (1e-200, 0.0)
    assert found["authpct"].copy_rate == pytest.approx((0.8 - 0.4) / 0.6)
    assert "80% of the samples" in found["authpct"].sentence
    assert "of held-out images 40% (p = 0.0020)" in found["authpct"].sentence
    assert found["ratio"].p_value == found["local_scale"].p_value == 1.0


def test_what_could_not_be_read_is_no_sign():
    lonely = Approach(torch.ones(8, 1).double(), torch.full((8,), torch.inf).double())
    null = a_null(share_closer_to_train=None)
    assert [sign.name for sign in signs(lonely, lonely, null)] == ["local_scale"]
    assert [sign.name for sign in signs(lonely, lonely, None)] == ["nearness", "local_scale"]


def test_a_rule_is_compared_by_fishers_test():
    near = torch.tensor([[1.0, 9.0, 9.0]] * 5 + [[8.0, 9.0, 9.0]] * 5).double()
    far = torch.tensor([[1.0, 9.0, 9.0]] * 2 + [[8.0, 9.0, 9.0]] * 18).double()
    sides = [Approach(values, values[:, 1]) for values in (near, far)]
    for null, second in ((a_null(), [2, 18]), (None, [1, 9])):
        found = {sign.name: sign for sign in signs(*sides, null)}
        expected = stats.fisher_exact([[5, 5], second], alternative="greater").pvalue
        for name in ("ratio", "local_scale"):
            assert found[name].p_value == pytest.approx(expected)
            assert found[name].copy_rate == pytest.approx((0.5 - 0.1) / 0.9)

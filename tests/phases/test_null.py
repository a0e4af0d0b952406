"""The held-out null end to end, on planted leaks and on none."""

from itertools import combinations

import pytest
import torch

from spurion.core.random import generator
from spurion.neighbors import Neighbors, nearest
from spurion.phases.exposed import duplicate_groups
from spurion.phases.null import DEPTH, NullTest, Searches, null_test, searches


def images(count, *path, shape=(1, 2, 3)):
    return torch.randn(count, *shape, generator=generator(0, "null", *path))


def share(samples, train, holdout):
    """The share with sets of equal size, by brute force."""
    near, far = (torch.cdist(samples.flatten(1), s.flatten(1)).min(dim=1).values for s in (train, holdout))
    return ((near < far).double() + 0.5 * (near == far).double()).mean().item()


def test_a_model_that_copies_nothing_passes():
    found = null_test(images(400, "samples"), images(100, "train"), images(100, "holdout"), seed=0)
    assert found.share_closer_to_train.value == share(
        images(400, "samples"), images(100, "train"), images(100, "holdout")
    )
    assert found.share_closer_to_train.low < 0.5 < found.share_closer_to_train.high
    assert min(found.share_p_value, found.ct_p_value, found.authpct_p_value) > 0.01
    assert abs(found.ct) < 3
    assert abs(found.authpct - found.authpct_holdout) < 20
    assert found.set_size == 100
    assert found.notes == ()


def test_a_model_that_copies_fails_every_test():
    train = images(100, "train")
    samples = train.repeat(4, 1, 1, 1) + 0.01 * images(400, "whisper")
    found = null_test(samples, train, images(100, "holdout"), seed=0)
    assert found.share_closer_to_train.value == 1.0
    assert found.share_closer_to_train.low > 0.95
    assert found.ct < -8
    assert found.authpct == 0.0
    assert found.authpct_holdout > 20
    assert max(found.share_p_value, found.ct_p_value, found.authpct_p_value) <= 1e-4


@pytest.mark.parametrize(("train_size", "holdout_size"), [(8, 3), (3, 8)])
def test_the_larger_set_is_cut_to_the_size_of_the_smaller(train_size, holdout_size):
    samples, train, holdout = images(30, "s"), images(train_size, "t"), images(holdout_size, "h")
    values = torch.tensor(
        [null_test(samples, train, holdout, seed=seed).share_closer_to_train.value for seed in range(25)]
    )
    if train_size > holdout_size:
        exact = [share(samples, train[list(s)], holdout) for s in combinations(range(8), 3)]
    else:
        exact = [share(samples, train, holdout[list(s)]) for s in combinations(range(8), 3)]
    assert values.std() > 0
    assert abs(values.mean() - sum(exact) / len(exact)) < 4 * values.std() / 25**0.5


def test_authpct_by_brute_force():
    samples, train, holdout = images(50, "s"), images(20, "t"), images(30, "h")
    between = torch.cdist(train.flatten(1), train.flatten(1)).fill_diagonal_(torch.inf).min(dim=1).values
    expected = []
    for queries in (samples, holdout):
        near = torch.cdist(queries.flatten(1), train.flatten(1)).min(dim=1)
        expected.append(100 * (near.values > between[near.indices]).double().mean().item())
    found = null_test(samples, train, holdout, seed=0)
    assert [found.authpct, found.authpct_holdout] == pytest.approx(expected)


def test_training_duplicates_count_once_in_authpct():
    samples, train, holdout = images(50, "s"), images(20, "t"), images(30, "h")
    doubled = torch.cat([train, train[:7], train[:7]])[torch.randperm(34, generator=generator(0, "order"))]
    once, twice = (null_test(samples, t, holdout, seed=0) for t in (train, doubled))
    assert twice.authpct == once.authpct < 100
    assert twice.authpct_p_value == once.authpct_p_value
    assert "14 training images are copies of others; the held-out null counts each image once." in twice.notes


def test_images_that_are_there_several_times_count_once_in_all_readings():
    samples, train, holdout = images(50, "s"), images(20, "t"), images(30, "h")
    once = null_test(samples, train, holdout, seed=0)
    for copies in ((5, 1), (1, 5), (3, 2)):
        many = null_test(
            samples, train.repeat(copies[0], 1, 1, 1), holdout.repeat(copies[1], 1, 1, 1), seed=0
        )
        assert many.model_copy(update={"notes": once.notes}) == once
        parts = [
            f"{(n - 1) * c} {name} images"
            for n, c, name in zip(copies, (20, 30), ("training", "held-out"), strict=True)
            if n > 1
        ]
        said = f"{' and '.join(parts)} are copies of others; the held-out null counts each image once."
        assert many.notes == (said, *once.notes)


@pytest.mark.parametrize("copies", [1, 3])
def test_authpct_needs_two_different_training_images(copies):
    train = images(1, "t").repeat(copies, 1, 1, 1)
    found = null_test(images(10, "s"), train, images(5, "h"), seed=0)
    assert (found.authpct, found.authpct_holdout, found.authpct_p_value) == (None, None, None)
    assert "AuthPct needs at least two different training images." in found.notes


def test_two_different_training_images_are_enough_for_authpct():
    train = torch.tensor([0.0, 1.0, 1.0]).reshape(3, 1, 1, 1)
    samples, holdout = (torch.tensor(v).reshape(-1, 1, 1, 1) for v in ([0.1, 1.2, 2.5], [0.4, -1.5]))
    found = null_test(samples, train, holdout, seed=0)
    assert (found.authpct, found.authpct_holdout) == (pytest.approx(100 / 3), 50.0)


def test_one_image_a_side_has_no_interval():
    found = null_test(images(10, "s"), images(1, "t"), images(5, "h"), seed=0)
    assert (found.share_closer_to_train.low, found.share_closer_to_train.high) == (0.0, 1.0)
    assert found.set_size == 1
    assert "With a single image a side, the share closer to the training set has no interval." in found.notes


def test_held_out_images_inside_the_training_set_are_reported():
    train = images(30, "t")
    found = null_test(images(10, "s"), train, train[:4], seed=0)
    assert "4 held-out images are also in the training set, which hides copying." in found.notes


def test_small_sets_have_one_cell():
    found = null_test(images(30, "s"), images(30, "t"), images(30, "h"), seed=0)
    assert "A set is too small for cells, so C_T was computed in one cell." in found.notes


def test_the_same_seed_gives_the_same_answer_and_it_survives_json():
    sets = images(100, "s"), images(90, "t"), images(70, "h")
    found = null_test(*sets, seed=1)
    assert null_test(*sets, seed=1) == found
    assert NullTest.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("empty", ["samples", "train", "holdout"])
def test_an_empty_set_is_refused(empty):
    sets = {name: images(0 if name == empty else 5, name) for name in ("samples", "train", "holdout")}
    with pytest.raises(ValueError, match=f"`{empty}` must hold at least one image, got none"):
        null_test(**sets, seed=0)


def shallow(found):
    return Neighbors(found.distances[:, :1], found.indices[:, :1])


@pytest.mark.parametrize("sizes", [(200, 40), (40, 200), (60, 60)])
@pytest.mark.parametrize("whisper", [0.01, 2.0])
def test_searches_of_any_depth_give_the_same_answer(sizes, whisper):
    train, holdout = images(sizes[0], "deep train"), images(sizes[1], "deep holdout")
    train[5] = train[9] = train[17]
    samples = train[torch.arange(90) % len(train)] + whisper * images(90, "deep samples")
    deep = searches(samples, train, holdout)
    once = Searches(shallow(deep.to_train), shallow(deep.to_holdout), shallow(deep.holdout_to_train))
    found = null_test(samples, train, holdout, seed=3)
    groups = duplicate_groups(train)
    assert null_test(samples, train, holdout, seed=3, known=deep, groups=groups) == found
    assert null_test(samples, train, holdout, seed=3, known=once) == found
    assert 0 < found.authpct_holdout < 100


def test_the_searches_are_as_deep_as_the_sets_allow():
    found = searches(images(9, "s"), images(70, "t"), images(3, "h"))
    assert found.to_train.indices.shape == (9, DEPTH)
    assert found.to_holdout.indices.shape == (9, 3)
    assert len(found.holdout_to_train.indices) == 3


def test_the_work_is_little_more_than_three_searches():
    pairs = []

    def counted(queries, reference, *args, **kwargs):
        pairs.append(len(queries) * len(reference))
        return nearest(queries, reference, *args, **kwargs)

    train, holdout, samples = images(2000, "t"), images(400, "h"), images(400, "s")
    null_test(samples, train, holdout, seed=0, search=counted)
    searched = 400 * 2000 + 400 * 400 + 400 * 2000
    assert sum(pairs[:3]) == searched
    # without the shortcuts five blocks of 400 and the gaps around 560 training images make 1.9 million pairs
    assert sum(pairs[3:]) < 0.5 * searched  # all for gaps: near pairs tell little in six dimensions

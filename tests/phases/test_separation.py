"""Thresholds that part copies from the rest, and thresholds that part two kinds of honest images."""

import pytest
import torch
from scipy import stats

from spurion.core.random import generator
from spurion.neighbors import Neighbors, as_distance, nearest
from spurion.phases.separation import LEVEL, by_held_out, by_others

L2 = as_distance("l2")
DIM = 24


def kinds(n, random, share=0.5):
    faint = torch.rand(n, 1, generator=random) < share
    return torch.randn(n, DIM, generator=random) * torch.where(faint, 0.02, 0.3)


def plain(n, random):
    return torch.randn(n, DIM, generator=random)


def copying(train, count, samples, random, images=None):
    """Samples of which so many are copies with a little noise, of the first `images` training images."""
    source = torch.randint(images or len(train), (count,), generator=random)
    found = samples.clone()
    found[:count] = train[source] + 0.01 * torch.randn(count, DIM, generator=random)
    return found


def others(train, samples, threshold):
    among = nearest(train, train, exclude_self=True).distances[:, 0] if len(train) > 1 else None
    distances = nearest(samples, train).distances[:, 0]
    return by_others(distances, among, train, samples, threshold, distance=L2, seed=0)


def held_out(train, samples, new, threshold):
    found = nearest(samples, train), nearest(samples, new)
    near = nearest(new, train).distances[:, 0]
    return by_held_out(*found, near, threshold, (len(train), len(new)), seed=0)


@pytest.mark.parametrize("size", [1, 2, 3, 20, 300])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_two_kinds_of_images_are_not_called_copies(size, share):
    for seed in range(6):
        random = generator(seed, "kinds", size)
        train, samples, new = (kinds(n, random, share) for n in (size, 400, 300))
        found = others(train, samples, 0.5)
        assert not found.supported
        assert not held_out(train, samples, new, 0.5).supported


@pytest.mark.parametrize("size", [20, 100, 500])
@pytest.mark.parametrize("share", [0.05, 0.25, 0.75, 1.0])
def test_copies_are_supported(size, share):
    random = generator(0, "copies", size)
    train, new, fresh = (plain(n, random) for n in (size, 200, 400))
    samples = copying(train, round(400 * share), fresh, random)
    for found in (others(train, samples, 0.5), held_out(train, samples, new, 0.5)):
        assert found.supported
        assert (found.samples, found.others) == (share, 0.0)


def test_copies_of_one_image_are_supported_among_many():
    random = generator(0, "one")
    train, new, fresh = (plain(n, random) for n in (500, 200, 400))
    samples = copying(train, 20, fresh, random, images=1)
    assert others(train, samples, 0.5).often_p_value < LEVEL / 2 < others(train, samples, 0.5).near_p_value
    assert held_out(train, samples, new, 0.5).supported


def test_smooth_samples_lie_near_both_sets():
    """Every sample lies nearer to images than these to each other, and not one is a copy."""
    random = generator(0, "smooth")
    train, new, samples = (plain(n, random) for n in (200, 200, 400))
    found = held_out(train, 0.1 * samples, new, 4.0)
    assert found.samples > 0.9 > 0.3 > found.others
    assert not found.supported


def test_the_first_question_is_fishers_test():
    random = generator(0, "often")
    train, samples = plain(40, random), plain(60, random)
    found = others(train, samples, 5.0)
    ours = int((nearest(samples, train).distances <= 5.0).sum())
    theirs = int((nearest(train, train, exclude_self=True).distances <= 5.0).sum())
    table = [[ours, 60 - ours], [theirs // 2, (40 - theirs) // 2]]
    assert found.often_p_value == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue)
    assert 0 < theirs < 40


def test_half_of_the_near_samples_must_be_beyond_chance():
    """Of 40 samples 30 or 29 are nearer to the training set: 20 by chance, and half of the other 20."""
    far, near = torch.full((40, 1), 3.0).double(), torch.full((40, 1), 0.1).double()
    same = torch.zeros(40, 1).long()
    honest = torch.full((40,), 9.0)
    for wins, supported in ((30, True), (29, False)):
        to_train = Neighbors(torch.cat([near[:wins], 2 * near[wins:]]), same)
        to_holdout = Neighbors(torch.cat([far[:wins], near[wins:]]), same)
        found = by_held_out(to_train, to_holdout, honest, 0.5, (50, 50), seed=0)
        assert found.supported == supported
        assert found.near_p_value > LEVEL
    nothing = by_held_out(Neighbors(far, same), Neighbors(far, same), honest, 0.5, (50, 50), seed=0)
    assert (nothing.near_p_value, nothing.samples) == (1.0, 0.0)


def test_it_is_told_in_words():
    random = generator(0, "words")
    train = kinds(200, random)
    found = others(train, kinds(400, random), 0.5)
    for samples, end in ((0.2, "so the threshold does not separate copies"), (0.4, "which does not tell")):
        told = found.model_copy(update={"others": 0.3, "samples": samples}).sentence
        assert told.startswith(
            f"30.0% of training images among themselves lie as near to a training image as {samples:.1%} of "
            f"the samples do, {end}"
        )
    one = others(train[:1], kinds(400, random), 0.5)
    assert (one.others, one.sentence) == (
        None,
        "nothing says how near images of this kind come to each other by chance",
    )
    new = held_out(train, kinds(400, random), kinds(100, random), 0.5)
    assert "of held-out images lie as near" in new.sentence

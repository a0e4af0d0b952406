"""What the samples of a prompt are, on planted copies and repetitions."""

import pytest
import torch

from spurion.neighbors import as_distance
from spurion.phases.thresholds import fixed
from spurion.prompts.nearness import Distances, answered, ground, measure_distances

NAN = float("nan")
RULE = fixed(1.0, 0.5)


def found(to_train, among, to_own=None):
    own = [NAN] * len(to_train) if to_own is None else to_own
    return Distances(*(torch.tensor(v, dtype=torch.float64) for v in (to_train, own, among)))


@pytest.mark.parametrize(
    ("to_train", "among", "outcome", "training", "repeated"),
    [
        ([0.0, 0.5, 1.0, 2.0], [9.0] * 4, "memorized", 0.75, 0.0),
        ([0.0, 0.5, 2.0, 2.0], [9.0] * 4, "generalized", 0.5, 0.0),
        ([2.0] * 4, [0.5, 0.5, 0.1, 9.0], "spurious", 0.0, 0.75),
        ([2.0] * 4, [0.51] * 4, "generalized", 0.0, 0.0),
        ([0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 0.1, 9.0], "spurious", 0.5, 0.25),
        ([2.0], [NAN], "generalized", 0.0, None),
        ([0.0], [NAN], "memorized", 1.0, None),
    ],
)
def test_outcomes(to_train, among, outcome, training, repeated):
    one = answered(found(to_train, among), RULE)
    assert (one.outcome, one.training, one.repeated) == (outcome, training, repeated)
    assert one.own is None
    assert one.nearest == min(to_train)


def test_own_images_are_counted_apart():
    one = answered(found([0.0, 0.0], [9.0, 9.0], [0.2, 3.0]), RULE)
    assert (one.own, one.training) == (0.5, 1.0)
    assert answered(found([0.0], [9.0], [1.0]), RULE).own == 1.0  # at the threshold is within it


@pytest.mark.parametrize("missing", ["memorized", "spurious"])
def test_without_both_thresholds_nothing_is_said(missing):
    assert answered(found([0.0], [0.0]), RULE.model_copy(update={missing: None})) is None


def test_two_samples_are_held_against_each_other():
    samples = torch.tensor([0.0, 3.0]).view(2, 1, 1, 1)
    both = measure_distances([samples], [None], [True], samples + 9, as_distance("l2"))[0]
    assert both.among.tolist() == [3, 3]


def test_distances_are_those_of_every_prompt_alone():
    generator = torch.Generator().manual_seed(0)
    train = torch.randn(7, 1, 2, 2, generator=generator)
    samples = [torch.randn(3, 1, 2, 2, generator=generator) for _ in range(2)]
    samples[1][0] = samples[1][2]
    own = [None, train[:2] + 5]
    first, second = measure_distances(samples, own, [True, True], train, as_distance("l2"))
    apart = torch.cdist(samples[0].flatten(1).double(), train.flatten(1).double())
    assert torch.allclose(first.to_train, apart.min(1).values, atol=1e-6)  # float32 differences of size 1
    assert first.to_own.isnan().all()
    among = torch.cdist(samples[0].flatten(1).double(), samples[0].flatten(1).double()) + torch.eye(3) * 99
    assert torch.allclose(first.among, among.min(1).values, atol=1e-6)
    assert second.among[0] == second.among[2] == 0
    mine = torch.cdist(samples[1].flatten(1).double(), own[1].flatten(1).double()).min(1).values
    assert torch.allclose(second.to_own, mine, atol=1e-6)
    lone = measure_distances([samples[0][:1]], [train[:1]], [True], train, as_distance("l2"))[0]
    assert lone.among.isnan().all()


def test_an_own_image_that_the_training_set_lacks_is_a_training_image():
    sample = torch.zeros(2, 1, 2, 2)
    trained, held_out = (
        measure_distances([sample], [sample[:1]], [held], sample[:1] + 3, as_distance("l2"))[0]
        for held in (True, False)
    )
    assert trained.to_train.tolist() == [0, 0]
    assert held_out.to_train.tolist() == [6, 6]
    assert held_out.to_own.tolist() == [0, 0]


def test_thresholds_call_one_of_a_hundred_new_images_a_copy():
    """Gaussian images in 6 dimensions: the share of new ones below the threshold is 1 %, to sampling error.

    4,000 new images: standard error .16 %, and as much again from 500 training images that set it.
    """
    generator = torch.Generator().manual_seed(1)
    train, new = (torch.randn(n, 1, 2, 3, generator=generator) / 9 for n in (500, 4000))
    rule = ground(train, as_distance("l2"), seed=0)
    near = torch.cdist(new.flatten(1), train.flatten(1)).min(1).values
    assert 0.004 < float((near <= rule.memorized).double().mean()) < 0.018
    few = ground(train[:10], as_distance("l2"), seed=0)
    assert few.memorized is None
    assert answered(found([0.0], [NAN]), few) is None

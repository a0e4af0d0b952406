import pytest
import torch
from pydantic import ValidationError

from curved import SCHEDULE, Faulty
from spurion.core.random import generator
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.geometry.destinations import DESTINATIONS
from spurion.geometry.groups.flow import FlowConfig, SampleFlow, sample_flow
from spurion.neighbors.distances.l2 import L2

TRAIN = torch.tensor([[0.9, 0.9], [-0.9, -0.9], [-0.9, 0.9]])
STORED = torch.cat([TRAIN, torch.tensor([[0.9, -0.9]])])


def run(samples=TRAIN, labels=None, *, model=None, train=TRAIN, **config):
    model = model or ExactDenoiser(STORED, SCHEDULE)
    return sample_flow(model, samples, labels, train, 0.4, FlowConfig(**config), distance=L2(), seed=0)


def test_classes_and_destinations_are_counted_together():
    # The model stores a fourth image that is none of the training set: two samples share it.
    samples = torch.tensor([[0.8, 0.8], [-0.7, -0.9], [0.7, -0.9], [0.9, -0.6], [-0.9, 0.8]])
    found, ends = run(samples, torch.tensor([0, 0, 1, 2, 2]))
    arrived, shared = "training image", "shared state"
    assert [DESTINATIONS[end] for end in ends.tolist()] == [arrived, arrived, shared, shared, arrived]
    rows = {name: list(row.model_dump().values()) for name, row in found.classes.items()}
    assert rows == {"memorized": [2, 0, 0, 0], "spurious": [0, 1, 0, 0], "generalized": [1, 1, 0, 0]}
    assert list(found.total.model_dump().values()) == [3, 2, 0, 0]
    assert (found.basins, found.chains) == (1, 0)
    assert found.into_training.value == 0.6
    assert (found.images, found.recalled, found.recall.value) == (3, 3, 1.0)
    assert found.tolerance == 0.2
    assert (found.steps, round(found.noise, 2), found.time) == (300, 0.1, SCHEDULE.nearest(0.1))
    assert SampleFlow.model_validate_json(found.model_dump_json()) == found


def test_some_are_followed_by_a_choice_of_the_seed():
    samples = torch.rand(30, 2, generator=generator(0, "samples")) * 2 - 1
    found, ends = run(samples)
    few, some = run(samples, images=2)
    assert found.total.followed == 30
    assert (ends >= 0).all()
    assert (few.images, list(few.classes)) == (2, ["unclassified"])
    assert torch.equal(ends, some)


def test_samples_that_were_not_followed_are_marked():
    samples = torch.rand(30, 2, generator=generator(0, "samples")) * 2 - 1
    _, every = run(samples)
    config = FlowConfig(samples=7)
    model = ExactDenoiser(STORED, SCHEDULE)
    few, some = sample_flow(model, samples, None, TRAIN, 0.4, config, distance=L2(), seed=0)
    chosen = some >= 0
    assert few.total.followed == int(chosen.sum()) == 7
    into = DESTINATIONS.index("training image")
    assert torch.equal(some[chosen] == into, every[chosen] == into)


def test_nothing_that_can_be_followed_has_no_shares():
    far = torch.full((3, 2), 9.0)
    found, ends = run(far, model=Faulty(ExactDenoiser(STORED, SCHEDULE)), train=far[:1])
    assert (found.recall, found.into_training, found.images, found.images_failed) == (None, None, 0, 1)
    assert found.total.failed == 3
    assert [DESTINATIONS[end] for end in ends.tolist()] == ["failed"] * 3


def test_a_stored_flow_must_add_up():
    values = run()[0].model_dump()
    with pytest.raises(ValidationError, match="`recalled` must be among the 3 images, got 4"):
        SampleFlow.model_validate(values | {"recalled": 4})
    with pytest.raises(ValidationError, match="must hold at least two samples each"):
        SampleFlow.model_validate(values | {"basins": 1})

"""Exposure and duplicate groups on planted copies."""

import sys

import pytest
import torch

from spurion.core.random import generator
from spurion.neighbors import Features, nearest
from spurion.phases.classification import classify_by_ratio
from spurion.phases.exposed import duplicate_groups, exposure, likened
from spurion.phases.partition import second_outside

module = sys.modules["spurion.phases.exposed"]  # the package has a function of this name


def planted(shape=(1, 4, 4)):
    """20 images of which 3, 7 and 11 are equal, 5 and 19 are equal, and 2 is a near copy of 8."""
    images = torch.rand(20, *shape, generator=generator(0, "images"))
    images[7] = images[11] = images[3]
    images[19] = images[5]
    images[8] = images[2] + 0.001
    return images


def test_exact_duplicates_are_grouped():
    assert duplicate_groups(planted()) == ((3, 7, 11), (5, 19))


def test_near_duplicates_are_grouped():
    # 16 pixels that differ by 0.001 are 0.004 apart
    assert duplicate_groups(planted(), 0.005) == ((2, 8), (3, 7, 11), (5, 19))
    assert duplicate_groups(planted(), 0.003) == ((3, 7, 11), (5, 19))


def test_duplicates_of_duplicates_are_duplicates():
    assert duplicate_groups(torch.tensor([[0.0], [0.2], [0.9], [0.1]]), 0.11) == ((0, 1, 3),)


def test_equal_numbers_are_equal_whatever_the_sign_of_zero_or_the_layout():
    images = torch.tensor([[[0.0, 1.0]], [[-0.0, 1.0]], [[0.0, 2.0]]])
    assert duplicate_groups(images) == ((0, 1),)
    transposed = torch.stack([images[..., 0], images[..., 1]]).movedim(0, -1)
    assert duplicate_groups(transposed) == ((0, 1),)


def test_a_set_without_duplicates():
    assert duplicate_groups(torch.rand(10, 3, generator=generator(0, "images"))) == ()
    assert duplicate_groups(torch.rand(1, 3, generator=generator(0, "images"))) == ()


def test_a_negative_radius_is_refused():
    with pytest.raises(ValueError, match="`radius` must be at least 0, got -1"):
        duplicate_groups(planted(), -1.0)


def test_exposure_counts_copies_only_and_ranks_them():
    nearest = torch.tensor([3, 1, 3, 2, 1, 3, 9, 2])
    classes = torch.tensor([0, 0, 0, 0, 0, 1, 2, 0])
    ranked = exposure(nearest, classes)
    assert [(image.train_index, image.count) for image in ranked] == [(1, 2), (2, 2), (3, 2)]
    assert {(image.name, image.duplicates) for image in ranked} == {(None, 0)}
    first = exposure(torch.tensor([3, 1, 3]), torch.tensor([0, 0, 0]))
    assert [(image.train_index, image.count) for image in first] == [(3, 2), (1, 1)]


def test_duplicates_count_as_their_first():
    nearest, classes = torch.tensor([7, 3, 11, 5, 0]), torch.zeros(5, dtype=torch.int64)
    ranked = exposure(nearest, classes, groups=[(3, 7, 11), (5, 19)])
    assert [(image.train_index, image.count, image.duplicates) for image in ranked] == [
        (3, 3, 2),
        (0, 1, 0),
        (5, 1, 1),
    ]


def test_images_have_names():
    ranked = exposure(torch.tensor([1]), torch.tensor([0]), names=["a.png", "b.png"])
    assert ranked[0].name == "b.png"


def test_nothing_memorized_exposes_nothing():
    assert exposure(torch.tensor([0, 1]), torch.tensor([1, 2])) == ()


def test_images_that_are_like_a_more_copied_one_name_it():
    """A chain 0 - 0.1 - 0.2, a pair 5 - 5.1 and one alone; copies decide which comes first."""
    train = torch.tensor([[0.0], [0.1], [0.2], [5.0], [5.1], [9.0]])
    copies = torch.tensor([2] * 5 + [4] * 4 + [3] * 3 + [0] * 2 + [5] * 2 + [1])
    exposed = exposure(copies, torch.zeros(len(copies), dtype=torch.int64))
    found = likened(exposed, train, 0.15)
    assert [(image.train_index, image.like) for image in found] == [
        *((2, None), (4, None), (3, 4), (0, 2), (5, None), (1, 2))
    ]
    assert [image.count for image in found] == [image.count for image in exposed]
    assert likened(exposed, train, 0.05) == exposed
    without_middle = tuple(image for image in exposed if image.train_index != 1)
    assert {image.like for image in likened(without_middle, train, 0.15)} == {None, 4}
    halved = Features(lambda images: images.flatten(1) / 2, "halves")
    assert likened(exposed, train, 0.075, distance=halved) == found
    assert likened(exposed[:1], train, 9.0) == exposed[:1]
    assert likened((), train, 9.0) == ()


def test_only_the_most_copied_images_are_compared(monkeypatch):
    monkeypatch.setattr(module, "MOST_LIKENED", 2)
    exposed = exposure(torch.tensor([0, 0, 0, 1, 1, 2]), torch.zeros(6, dtype=torch.int64))
    assert [image.like for image in likened(exposed, torch.zeros(3, 1), 1.0)] == [None, 0, None]


@pytest.mark.parametrize("depth", [1, 2, 3, 20])
def test_the_second_neighbor_is_no_duplicate_of_the_first(depth):
    train = planted()
    samples = train + 1e-4 * torch.randn(train.shape, generator=generator(0, "noise"))
    groups = duplicate_groups(train)
    found = second_outside(nearest(samples, train, depth), groups, samples, train)
    for i in range(20):
        same = next((group for group in groups if i in group), (i,))
        others = [j for j in range(20) if j not in same]
        expected = torch.linalg.vector_norm(samples[i].double() - train[others].double(), dim=(1, 2, 3))
        assert found[i] == pytest.approx(expected.min().item(), rel=1e-12)


def test_without_duplicates_it_is_the_second_neighbor():
    samples, train = (torch.rand(9, 5, generator=generator(0, name)) for name in ("s", "t"))
    two = nearest(samples, train, 2)
    assert torch.equal(second_outside(two, (), samples, train), two.distances[:, 1])
    one = nearest(samples, train, 1)
    assert torch.equal(second_outside(one, (), samples, train), two.distances[:, 1])


def test_nothing_is_outside_of_the_only_group():
    train = torch.ones(3, 4)
    samples = torch.zeros(2, 4)
    found = second_outside(nearest(samples, train, 2), duplicate_groups(train), samples, train)
    assert torch.equal(found, torch.full((2,), torch.inf, dtype=torch.float64))


def test_near_copies_of_a_duplicated_image_are_memorized_by_the_corrected_ratio():
    train = planted()
    samples = train[[3, 5, 7]] + 0.001
    two, far = nearest(samples, train, 2), torch.full((3,), torch.inf, dtype=torch.float64)
    naive = classify_by_ratio(two.distances[:, 0], two.distances[:, 1], far)
    assert naive.tolist() == [2, 2, 2]
    second = second_outside(two, duplicate_groups(train), samples, train)
    assert classify_by_ratio(two.distances[:, 0], second, far).tolist() == [0, 0, 0]

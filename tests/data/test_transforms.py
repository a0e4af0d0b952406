"""Every transform does what it is called, and a search looks at what a control may draw."""

import pytest
import torch

from spurion.core.random import generator
from spurion.data.transforms import TRANSFORMS, parse_transforms, versions

EVEN = {"mirror", "flip", "transpose", "invert"}
"""Transforms that undo themselves."""


def images(n=4, channels=1, height=16, width=16):
    """Smooth images, as crops and rescaling leave them much alike."""
    coarse = torch.rand(n, channels, 4, 4, generator=generator(0, "transforms")) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 16, 16), (2, 8, 12), (1, 1, 1)])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_keeps_shape_type_and_range_and_each_image_by_itself(name, shape):
    given = images(4, *shape)
    before = given.clone()
    for version in versions([name], shape):
        changed = version.apply(given)
        assert (changed.shape, changed.dtype) == (given.shape, given.dtype)
        assert changed.abs().max() <= 1
        assert torch.allclose(version.apply(given[1:2]), changed[1:2], atol=1e-6)
        assert version.name == name
    assert torch.equal(given, before)
    drawn = TRANSFORMS[name].drawn(given, generator(1))
    assert (drawn is None) == (not versions([name], shape))
    if drawn is not None:
        assert torch.equal(drawn, TRANSFORMS[name].drawn(given, generator(1)))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_what_a_control_draws_is_near_what_a_search_looks_at(name):
    """Far nearer than the image itself, but for those that hardly change it."""
    given = images(64)
    drawn = TRANSFORMS[name].drawn(given, generator(2))
    looked_at = torch.stack([version.apply(given) for version in versions([name], (1, 16, 16))])
    nearest = (looked_at - drawn).flatten(2).norm(dim=2).amin(0)
    untouched = (given - drawn).flatten(1).norm(dim=1)
    assert nearest.mean() <= {"jpeg": 0.95}.get(name, 0.6) * untouched.mean()
    if name in EVEN | {"shift"}:
        assert nearest.max() == 0


@pytest.mark.parametrize("name", sorted(EVEN))
def test_turning_twice_is_turning_back(name):
    given = images()
    (version,) = versions([name], (1, 16, 16))
    assert not torch.equal(version.apply(given), given)
    assert torch.equal(version.apply(version.apply(given)), given)


def test_closed_forms():
    small = torch.tensor([[[[0.1, 0.2], [0.3, 0.4]]]])
    expected = {
        "mirror": [[0.2, 0.1], [0.4, 0.3]],
        "flip": [[0.3, 0.4], [0.1, 0.2]],
        "transpose": [[0.1, 0.3], [0.2, 0.4]],
        "invert": [[-0.1, -0.2], [-0.3, -0.4]],
    }
    for name, values in expected.items():
        (version,) = versions([name], (1, 2, 2))
        assert torch.equal(version.apply(small)[0, 0], torch.tensor(values))
    shift = TRANSFORMS["shift"].apply
    row = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    assert shift(row, (0, 1, 0)).flatten().tolist() == [1.0, 1.0, 2.0]
    assert shift(row, (0, 1, 1)).flatten().tolist() == [3.0, 1.0, 2.0]
    assert shift(row, (0, -1, 0)).flatten().tolist() == [2.0, 3.0, 3.0]
    assert shift(row.mT, (1, 0, 0)).flatten().tolist() == [1.0, 1.0, 2.0]


@pytest.mark.parametrize(("side", "farthest"), [(8, 1), (16, 1), (32, 2), (64, 4), (256, 4)])
def test_all_offsets_are_looked_at(side, farthest):
    grid = TRANSFORMS["shift"].grid(side, side)
    span = range(-farthest, farthest + 1)
    assert set(grid) == {(y, x, wrap) for y in span for x in span for wrap in (0, 1) if (y, x) != (0, 0)}
    assert len(grid) == 2 * ((2 * farthest + 1) ** 2 - 1)


def test_crops_reach_an_eighth_of_the_side():
    assert TRANSFORMS["crop"].grid(64, 64) == [(1,), (3,), (6,), (8,)]
    assert TRANSFORMS["crop"].whole(64, 64) == [(margin,) for margin in range(1, 9)]
    assert TRANSFORMS["crop"].grid(2, 2) == []
    marked = torch.zeros(1, 1, 16, 16)
    marked[:, :, 2:14, 2:14] = 1.0
    assert torch.equal(TRANSFORMS["crop"].apply(marked, (2,)), torch.ones(1, 1, 16, 16))


def test_names_are_read():
    assert parse_transforms("all") == tuple(TRANSFORMS)
    assert parse_transforms("invert,shift") == parse_transforms(["shift", "invert"]) == ("shift", "invert")
    with pytest.raises(ValueError, match=r"`all` or names among shift, .* got `turn`"):
        parse_transforms("mirror,turn")
    with pytest.raises(ValueError, match="`transforms` must be"):
        parse_transforms([])

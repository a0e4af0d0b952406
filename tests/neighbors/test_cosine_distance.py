import pytest
import torch
from scipy.spatial.distance import cdist

from spurion.core.random import generator
from spurion.neighbors import load_distance, nearest

COSINE = load_distance("cosine")


def rows(count, *path):
    return torch.randn(count, 2, 3, 4, generator=generator(0, "cosine", *path), dtype=torch.float64)


def test_it_is_one_minus_the_cosine():
    # The reference cancels to about 1e-16 of 1; distances here are of order 1.
    x, y = rows(20, "x"), rows(30, "y")
    expected = torch.from_numpy(cdist(x.flatten(1), y.flatten(1), "cosine"))
    torch.testing.assert_close(COSINE.pairwise(x, y), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("angle", [1e-12, 1e-6, 1e-3, 1.0, 3.0])
def test_small_angles_keep_their_digits(angle):
    # 1 - cos(a) = 2 sin(a / 2)^2. The coordinates are rounded at 1e-16, which an angle of 1e-12 sees as 1e-4.
    a = torch.tensor(angle, dtype=torch.float64)
    x, y = torch.tensor([[1.0, 0.0]]).double(), torch.stack([a.cos(), a.sin()])[None]
    found = COSINE.pairwise(x, y)
    torch.testing.assert_close(found[0, 0], 2 * (a / 2).sin() ** 2, rtol=4e-16 / angle + 1e-15, atol=0)


@pytest.mark.parametrize("scale", [1e-200, 1e-3, 2.0, 1e140])
def test_contrast_does_not_count(scale):
    x = rows(3)
    torch.testing.assert_close(COSINE.pairwise(x, scale * x), COSINE.pairwise(x, x), rtol=0, atol=1e-15)


def test_an_image_without_direction_is_orthogonal_to_all_others():
    x = torch.cat([torch.zeros(2, 2, 3, 4, dtype=torch.float64), rows(3)])
    values = COSINE.pairwise(x, x)
    assert values[:2, :2].eq(0).all()
    torch.testing.assert_close(values[:2, 2:], torch.ones(2, 3).double(), rtol=1e-15, atol=0)
    assert nearest(x, x, exclude_self=True, distance="cosine").indices[:2, 0].tolist() == [1, 0]


def test_opposite_images_are_at_two():
    x = rows(1)
    torch.testing.assert_close(COSINE.pairwise(x, -x).item(), 2.0, rtol=1e-15, atol=0)


def test_a_lone_long_image_is_embedded_like_any_other():
    x = torch.randn(3, 50_000, generator=generator(0, "long"))
    assert torch.equal(COSINE.embed(x)[:1], COSINE.embed(x[:1]))

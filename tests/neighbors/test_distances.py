"""The contract of every distance: exact zeros, symmetry, and the arithmetic that the search shares."""

import pytest
import torch

from spurion.core.random import generator
from spurion.neighbors import DISTANCES, Distance, Features, load_distance, nearest, within
from spurion.neighbors.distances.distance import subtracted


def local_means(images):
    return torch.nn.functional.avg_pool2d(images, 4).flatten(1)


@pytest.fixture(params=sorted(DISTANCES), scope="module")
def distance(request):
    if request.param == "features":
        return Features(local_means, "local means")
    return load_distance(request.param, "random:0" if "lpips" in request.param else None)


def images(count, *path):
    return 2 * torch.rand(count, 3, 32, 32, generator=generator(0, "distances", *path)) - 1


def test_registry_holds_distances_under_their_names(distance):
    assert isinstance(distance, Distance)
    assert DISTANCES[distance.name] is type(distance)
    assert distance.unit
    assert distance.info.name.startswith(distance.name)
    assert distance.info.unit == distance.unit


def test_equal_images_are_at_exactly_zero(distance):
    x = images(40)
    values = distance.pairwise(x, x.clone())
    assert (values.diagonal() == 0).all()
    assert (values[~torch.eye(40, dtype=torch.bool)] > 0).all()


def test_symmetric_and_finite_with_planted_copies(distance):
    x, y = images(20, "x"), images(30, "y")
    y[[3, 17]] = x[[0, 0]]
    values = distance.pairwise(x, y)
    assert values.dtype == torch.float64
    assert values.shape == (20, 30)
    assert values.isfinite().all()
    assert torch.equal(values, distance.pairwise(y, x).T)
    assert values[0, 3] == values[0, 17] == 0


def test_a_value_does_not_depend_on_its_neighbors(distance):
    x, y = images(5, "x"), images(7, "y")
    together = distance.pairwise(x, y)
    alone = torch.cat([distance.pairwise(x[i : i + 1], y[j : j + 1]) for i in range(5) for j in range(7)])
    assert torch.equal(together.flatten(), alone.flatten())


def test_search_returns_the_same_bits(distance):
    x, y = images(6, "x"), images(9, "y")
    y[[2, 4]] = y[7].clone()
    values, order = distance.pairwise(x, y).sort(dim=1, stable=True)
    found = nearest(x, y, k=9, distance=distance)
    assert torch.equal(found.distances, values)
    assert torch.equal(found.indices, order)


def test_range_search_agrees_to_the_last_bit(distance):
    # At a radius equal to a distance that pair is within; at the next smaller number it is not.
    x, y = images(6, "x"), images(9, "y")
    y[1] = x[0]
    values = distance.pairwise(x, y)
    zero = torch.zeros((), dtype=torch.float64)
    for radius in [zero, *values[2], *(values[3] * (1 + 1e-9)), *torch.nextafter(values[4], zero)]:
        found = within(x, y, float(radius), distance=distance)
        assert torch.equal(found.counts, (values <= radius).sum(dim=1))


def test_a_radius_undoes_a_value(distance):
    euclidean = torch.tensor([0.0, 1e-9, 0.3, 1.9, torch.inf], dtype=torch.float64)
    value = distance.value(euclidean)
    assert value[0] == 0
    assert (value.diff() > 0).all()
    torch.testing.assert_close(distance.radius(value), euclidean, rtol=1e-15, atol=0)


def test_no_images(distance):
    assert distance.pairwise(images(0), images(3)).shape == (0, 3)
    assert distance.pairwise(images(3), images(0)).shape == (3, 0)
    assert len(within(images(3), images(0), 1.0, distance=distance).indices) == 0


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_images_that_are_not_finite_are_refused(distance, value):
    bad = images(3, "bad")
    bad[1, 0, 5, 5] = value
    with pytest.raises(ValueError, match="`reference` must hold finite numbers"):
        nearest(images(2), bad, distance=distance)


def test_results_say_what_they_are_in(distance):
    x = images(3)[:, :, :20, :20]
    for found in (nearest(x, x, distance=distance), within(x, x, 1.0, distance=distance)):
        assert found.distance == distance.info
        assert found.notes == distance.notes((3, 20, 20))
        if "lpips" in distance.name:
            assert "random weights, seed 0" in found.distance.name
            assert "enlarged to 32 x 32" in found.notes[0]
            assert "random weights" in found.notes[1]


@pytest.mark.parametrize("types", [(torch.float64, torch.float32), (torch.float16, torch.float64)])
def test_copies_of_another_type_are_at_zero(distance, types):
    x = images(3).half()  # every number is one of both types
    queries, reference = (x.to(dtype) for dtype in types)
    assert (distance.pairwise(queries, reference).diagonal() == 0).all()
    assert (nearest(queries, reference, distance=distance).distances == 0).all()


def test_subtracted_known_answers():
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    y = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
    assert subtracted(x, y).tolist() == [5.0, 1.0]


def test_subtracted_sums_a_lone_long_row_like_any_other():
    # With two threads and more than 32,768 numbers, torch sums a lone row in two pieces.
    x = torch.rand(3, 40_000, generator=generator(0, "long"))
    zero = torch.zeros(3, 40_000)
    assert torch.equal(subtracted(x, zero)[:1], subtracted(x[:1], zero[:1]))
    assert subtracted(x[:1], x[:1].clone()).tolist() == [0.0]


def test_a_distance_is_made_once():
    assert load_distance("lpips-alex", "random:0") is load_distance("lpips-alex", "random:0")


def test_unknown_names_and_idle_weights():
    with pytest.raises(ValueError, match=r"`distance` must be one of l2, .*features, got 'l3'\."):
        load_distance("l3")
    with pytest.raises(ValueError, match="The distance `l2` has no weights, got 'random:0'; leave them out"):
        load_distance("l2", "random:0")

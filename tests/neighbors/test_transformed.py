"""A search among transformed versions is brute force over all of them."""

import pytest
import torch

from spurion.core.random import generator
from spurion.data.transforms import TRANSFORMS, versions
from spurion.neighbors import TransformedSearch, as_distance, nearest

ALL = tuple(TRANSFORMS)


def images(n, name):
    return torch.rand(n, 1, 6, 6, generator=generator(0, "transformed", name)) * 2 - 1


@pytest.mark.parametrize("names", [("mirror",), ("shift", "invert"), ALL])
@pytest.mark.parametrize("k", [1, 3, 7])
def test_it_is_brute_force_over_all_versions(names, k):
    queries, reference = images(9, "queries"), images(7, "reference")
    shown = [reference, *(version.apply(reference) for version in versions(names, (1, 6, 6)))]
    distances = torch.stack([as_distance("l2").pairwise(queries, some) for some in shown]).amin(0)
    expected = distances.sort(dim=1, stable=True)
    found = TransformedSearch(names)(queries, reference, k)
    assert torch.equal(found.distances, expected.values[:, :k])
    assert torch.equal(found.indices, expected.indices[:, :k])


def test_ties_go_to_the_lowest_index_and_no_image_comes_twice():
    same = torch.zeros(3, 1, 4, 4)
    found = TransformedSearch(ALL)(same[:1], same, 3)
    assert found.indices.tolist() == [[0, 1, 2]]
    assert found.distances.tolist() == [[0.0, 0.0, 0.0]]


def test_which_transform_brings_nearest():
    reference = images(3, "which")
    queries = torch.cat([reference[:1], reference[1:2].flip(3), -reference[2:]])
    search = TransformedSearch(ALL)
    assert search.which(queries, reference) == ["", "mirror", "invert"]
    assert search.which(queries[:0], reference[:0]) == []
    assert torch.equal(search(queries, reference).distances, torch.zeros(3, 1).double())
    steps = []
    search(queries, reference, progress=lambda done, total: steps.append((done, total)))
    count = len(versions(ALL, (1, 6, 6)))
    assert steps == [(done, count) for done in range(count + 1)]


def test_without_versions_it_is_the_search():
    queries, reference = images(9, "queries"), images(7, "reference")
    assert torch.equal(
        TransformedSearch(())(queries, reference, 4).indices, nearest(queries, reference, 4).indices
    )

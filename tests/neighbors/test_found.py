"""What searches return, from the pairs they found."""

import sys
from pathlib import Path

import pytest
import torch

from spurion.core.random import generator
from spurion.neighbors import within
from spurion.neighbors.found import as_pairs, merged, nobody


def test_pairs_in_any_order_become_sparse_rows():
    found = [torch.tensor([3 * 5 + 4, 0 * 5 + 2]), torch.tensor([3 * 5 + 1, 0 * 5 + 0, 1 * 5 + 4])]
    pairs = as_pairs(found, 5, 5)
    assert pairs.indptr.tolist() == [0, 2, 3, 3, 5, 5]
    assert pairs.indices.tolist() == [0, 2, 4, 1, 4]
    assert pairs.counts.tolist() == [2, 1, 0, 2, 0]
    assert as_pairs([torch.empty(0, dtype=torch.int64)], 2, 0).indptr.tolist() == [0, 0, 0]


def test_pairs_are_sorted_where_they_are():
    found = [torch.tensor([7, 3, 1])]
    place = found[0].data_ptr()
    assert as_pairs(found, 2, 5).indices.data_ptr() == place
    assert found == []


def test_merged_by_distance_and_then_by_index():
    known = nobody(2, 2, torch.device("cpu"))
    rows, columns = torch.tensor([1, 1, 0, 1]), torch.tensor([8, 3, 5, 4])
    found = merged(known, rows, columns, torch.tensor([1.0, 1.0, 2.0, 0.5], dtype=torch.float64))
    assert found.distances.tolist() == [[2.0, torch.inf], [0.5, 1.0]]
    assert found.indices.tolist() == [[5, -1], [4, 3]]
    again = merged(found, rows[:1], torch.tensor([2]), torch.tensor([1.0], dtype=torch.float64))
    assert again.indices.tolist() == [[5, -1], [4, 2]]


def megabytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
@pytest.mark.parametrize("copies", [1, 2])
def test_a_pair_takes_sixteen_bytes(copies):
    """At the most, while they are sorted, in parts and as a whole; and the memory limit."""
    images = torch.randn(2000, 4, generator=generator(0, "found"))
    reference = images[: 2000 // copies].repeat(copies, 1)
    within(images[:100], reference, 1e3, memory_limit=2**22)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak
    before = megabytes("VmRSS")
    assert len(within(images, reference, 1e3, memory_limit=2**22).indices) == 4e6
    assert megabytes("VmHWM") - before < 4 * 16 + 4.2 + 16  # 16 for what the allocator keeps

"""Which prompts a page shows, and how their images are kept."""

import numpy as np
import torch

from spurion.prompts.gallery import FIRST, LARGEST, chosen, write_gallery
from spurion.prompts.results import PromptReading


def reading(rank, label=None, part=""):
    return PromptReading(prompt=f"{rank}", label=label, part=part, values={}, rank=rank)


def test_what_ranks_first_comes_first():
    prompts = [reading(rank) for rank in np.random.default_rng(0).permutation(40) + 1.0]
    assert [prompts[i].rank for i in chosen(prompts)] == [*range(1, FIRST + 1)]


def test_every_kind_is_shown_from_its_first_to_its_last():
    prompts = [reading(rank, "memorized") for rank in range(1, 21)]
    prompts += [reading(rank, "generalized", "single") for rank in range(21, 62)]
    ranks = [prompts[i].rank for i in chosen(prompts)]
    assert ranks[:FIRST] == [*range(1, FIRST + 1)]
    assert {21, 41, 61} <= set(ranks)
    assert 20 in ranks
    assert len(ranks) == len(set(ranks))


def test_images_are_eight_bits_and_large_ones_are_averaged(tmp_path):
    samples = torch.linspace(-1, 1, 2 * LARGEST * LARGEST).view(1, 1, 2 * LARGEST, LARGEST)
    write_gallery(tmp_path / "g.npz", [3], [samples], [None])
    with np.load(tmp_path / "g.npz") as found:
        assert found["samples"].shape == (1, 1, 1, LARGEST, LARGEST // 2)
        assert found["known"].tolist() == [0]
        assert found["image"].max() == 0
        mean = samples.view(LARGEST, 2, LARGEST // 2, 2).mean((1, 3))
        expected = ((mean + 1) * 127.5).round().numpy()
        assert np.abs(found["samples"][0, 0, 0] - expected).max() <= 1

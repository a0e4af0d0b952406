import math

import pytest
import torch

from curved import SCHEDULE, Faulty
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.geometry.destinations import DESTINATIONS, flows, half, recall
from spurion.neighbors import load_distance
from spurion.neighbors.distances.cosine import Cosine
from spurion.neighbors.distances.features import Features

TRAIN = torch.tensor([[0.0, 1.0], [0.0, -1.0]])


class Towards(Denoiser):
    """A map that puts every state in a place that is written down for its first coordinate."""

    def __init__(self, places):
        self.schedule, self.shape, self.dtype = SCHEDULE, (2,), torch.float64
        self.places = torch.tensor(places, dtype=torch.float64)

    def denoise(self, x_t, t):
        x = x_t / SCHEDULE.alpha(t[:1])
        return self.places[x[:, 0].round().long()] * torch.tensor([0.0, 1.0]) + x.round() * torch.tensor(
            [1.0, 0.0]
        )


def ends(*heights):
    """A model, and samples (i, 0) that it sends to (i, heights[i])."""
    places = [[0.0, height] for height in heights]
    return Towards(places), torch.tensor([[float(i), 0.0] for i in range(len(heights))])


def named(found):
    return [DESTINATIONS[index] for index in found.destination.tolist()]


def test_half_is_half_of_the_radius():
    assert half(load_distance("l2"), 3.0) == 1.5
    assert half(load_distance("lpips-alex", "random:0"), 0.4) == pytest.approx(0.1)
    assert half(Cosine(), 0.0) == 0.0
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="`delta` must be a distance"):
            half(Cosine(), wrong)


def test_stored_patterns_are_recalled_and_close_ones_merge():
    # At noise 0.1 two patterns 0.1 apart are one state in the middle, 0.05 from either; 4 apart they are two.
    patterns = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [-2.0, 0.1]], dtype=torch.float64)
    for delta, expected in ((0.2, [True, True, True]), (0.08, [True, False, False])):
        found = recall(ExactDenoiser(patterns, SCHEDULE), patterns, delta)
        assert found.recalled.tolist() == expected
        assert found.tolerance == delta / 2
    assert found.distances.tolist() == pytest.approx([0.0, 0.05, 0.05], abs=1e-9)


def test_the_border_belongs_to_the_image():
    model, x = ends(1.0, 1.0 + 2**-30)
    train = torch.tensor([[0.0, 0.5], [1.0, 0.5]])
    assert recall(model, train, 1.0).recalled.tolist() == [True, False]
    assert named(flows(model, x, train, 1.0)) == ["training image", "own state"]


def test_destinations_of_planted_ends():
    class Line(Towards):
        def denoise(self, x_t, t):
            return super().denoise(x_t, t) * torch.tensor([1e-9, 1.0])

    # Two at the first image, a pair, a lone one, and a chain of five, 4 of whose 10 pairs join.
    heights = [1.0, 1.2, 5.0, 5.1, 9.0, 20.0, 20.5, 21.0, 21.5, 22.0]
    model = Line([[0.0, height] for height in heights])
    x = torch.tensor([[float(i), 0.0] for i in range(len(heights))])
    found = flows(model, x, TRAIN, 1.0, steps=1)
    expected = ["training image"] * 2 + ["shared state"] * 2 + ["own state"] + ["shared state"] * 5
    assert named(found) == expected
    assert (found.basins, found.chains) == (1, 1)
    assert found.nearest.tolist() == [0] * 10
    assert found.distances.tolist() == pytest.approx([h - 1 for h in heights])
    assert found.state.tolist() == [-1, -1, 0, 0, 1, 2, 2, 2, 2, 2]
    assert found.reach("shared state").sum() == 7
    assert found.tolerance == 0.5


def test_all_at_training_images_and_one_of_everything():
    patterns = torch.tensor([[1.0, 1.0]])
    model = ExactDenoiser(patterns, SCHEDULE)
    found = flows(model, torch.zeros(3, 2), patterns, 0.1)  # K = 1
    assert named(found) == ["training image"] * 3
    assert (found.basins, found.chains, found.state.tolist()) == (0, 0, [-1, -1, -1])
    copies = torch.cat([patterns, patterns])
    assert recall(model, copies, 0.0).recalled.all()
    assert flows(model, torch.zeros(1, 2), copies, 0.0).nearest.tolist() == [0]  # ties by lowest index
    other = flows(model, torch.zeros(1, 2), -patterns, 0.1)
    assert named(other) == ["own state"]


def test_failed_states_are_counted_and_hurt_nobody():
    model = Faulty(ExactDenoiser(TRAIN, SCHEDULE))
    x = torch.tensor([[0.1, 0.9], [9.0, 0.0], [math.nan, 0.0]])
    found = flows(model, x, TRAIN, 0.1)
    assert named(found) == ["training image", "failed", "failed"]
    assert found.nearest.tolist() == [0, -1, -1]
    assert found.distances.isnan().tolist() == [False, True, True]
    known = recall(model, x, 0.1)
    assert known.recalled.tolist() == [False, False, False]
    assert known.distances.isnan().tolist() == [False, True, True]
    lost = flows(model, x[1:], TRAIN, 0.1)
    assert named(lost) == ["failed", "failed"]
    assert not recall(model, x[1:], 0.1).recalled.any()


def test_the_distance_decides():
    # Cosine sees no length: a state at twice an image is the image.
    model, x = ends(0.0, 2.0)
    train = torch.tensor([[0.5, 1.0]])
    assert named(flows(model, x[1:], train, 0.1)) == ["own state"]
    assert named(flows(model, x[1:], train, 0.1, distance=Cosine())) == ["training image"]


def test_vectors_from_a_file_are_refused():
    class Fixed(Features):
        def __init__(self):
            self.embeds_any_image, self.mark = False, ""

    with pytest.raises(ValueError, match="has no vectors of the states in which a model ends"):
        recall(ExactDenoiser(TRAIN, SCHEDULE), TRAIN, 0.1, distance=Fixed())

"""Shift-tolerant LPIPS against the pairwise formula, written in another way, and published numbers."""

import numpy as np
import pytest
import torch
from torch import nn

from spurion.core.random import generator
from spurion.neighbors import load_distance, nearest
from spurion.neighbors.distances.st_lpips import STLPIPSAlex
from spurion.neighbors.lpips.packaged import find_packaged, load_packaged
from spurion.neighbors.lpips.shift_tolerant import BlurPool

CASES = [("alex", (21, 22)), ("alex", (28, 28)), ("alex", (37, 53)), ("vgg", (21, 22)), ("vgg", (28, 25))]
PLANS = {
    "alex": "c2 b t p3 b c2 t p3 b c1 t c1 t c1 t",
    "vgg": "c1 r c1 t p2 b c1 r c1 t p2 b c1 r c1 r c1 t p2 b c1 r c1 r c1 t p2 b c1 r c1 r c1 t",
}
"""Layers in the order of the published files: convolution with padding, blur, relu, pool; t marks a tap."""

PUBLISHED = {
    ("alex", (21, 21)): (0.05810052847663076, 0.01027563741509318),
    ("alex", (28, 28)): (0.04486502862328744, 0.01136743987323533),
    ("alex", (32, 32)): (0.07475456152895504, 0.016371495359784466),
    ("alex", (48, 37)): (0.036953980586402986, 0.00954550140703744),
    ("vgg", (28, 28)): (0.0678530801270564, 0.04671074597066065),
}
"""What stlpips-pytorch 0.0.2 answers in float64 for `published_pairs`; its constants are of float32."""


def published_pairs(size):
    """Two pairs from a random stream that numpy has frozen: unlike images, and an image moved by a pixel."""
    random = np.random.RandomState(size[0])
    x, y = (torch.from_numpy(random.uniform(-1, 1, (2, 3, *size))) for _ in range(2))
    y[1] = x[1].roll(1, -1)
    return x, y


def images(count, size, *path, channels=3):
    return (
        2 * torch.rand(count, channels, *size, generator=generator(0, "st", *path), dtype=torch.float64) - 1
    )


def blurred(x):
    """Mirror by index, filter by a convolution of each channel, drop every other place."""
    for dim in (2, 3):
        n = x.shape[dim]
        x = x.index_select(dim, torch.tensor([2, 1, *range(n), n - 2, n - 3]))
    row = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype)
    kernel = row.outer(row).expand(x.shape[1], 1, 3, 3)
    return nn.functional.conv2d(x, kernel, groups=x.shape[1])[:, :, ::2, ::2]


def activations(network, state, x):
    """What comes out of the taps, from functional calls alone."""
    taps = []
    for number, layer in enumerate(PLANS[network].split()):
        if layer[0] == "c":
            weight, bias = (state[f"{number}.{part}"].to(x) for part in ("weight", "bias"))
            x = nn.functional.conv2d(x, weight, bias, padding=int(layer[1]))
        elif layer == "b":
            x = blurred(x)
        elif layer[0] == "p":
            x = nn.functional.max_pool2d(x, int(layer[1]), stride=1)
        else:
            x = x.clamp_min(0)
        if layer == "t":
            taps.append(x)
    return taps


def pairwise(network, weights, x, y):
    """The distance of x[i] and y[i] as published: normalize, subtract, square, weigh, average, add."""

    def prepared(z):
        mean, std = (z.new_tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        return ((z.expand(-1, 3, -1, -1) + 1) / 2 - mean) / std

    total = x.new_zeros(len(x))
    pairs = zip(*(activations(network, weights.features, prepared(z)) for z in (x, y)), strict=True)
    for (f, g), w in zip(pairs, weights.linear, strict=True):
        f, g = (h / ((h**2).sum(dim=1, keepdim=True) ** 0.5 + 1e-10) for h in (f, g))
        total = total + nn.functional.conv2d((f - g) ** 2, w.to(x)[None, :, None, None]).mean(dim=(1, 2, 3))
    return total


def test_the_blur_by_hand():
    # Five rows 0 to 4 mirrored by two are 2 1 0 1 2 3 4 3 2; windows of three begin at every other of them.
    odd = torch.tensor([[1, 2, 1, 0, 0], [1, 2, 1, 0, 0], [0, 0, 1, 2, 1], [0, 0, 1, 2, 1]]) / 4
    even = torch.tensor([[1, 2, 1, 0], [1, 2, 1, 0], [0, 0, 2, 2]]) / 4  # 2 1 0 1 2 3 2 1
    x = images(2, (5, 4), "blur").float()
    torch.testing.assert_close(BlurPool()(x), odd @ x @ even.T)  # the rounding of float32
    assert torch.equal(BlurPool()(torch.ones(1, 2, 6, 7)), torch.ones(1, 2, 4, 5))


@pytest.mark.parametrize(("network", "size"), CASES, ids=str)
def test_the_embedding_is_the_pairwise_formula(network, size):
    # In float64 the two ways round differently at 1e-16 times some hundreds of terms.
    weights, distance = load_packaged(network, "random:1"), load_distance(f"st-lpips-{network}", "random:1")
    x, y = images(2, size, "x"), images(2, size, "y")
    expected = pairwise(network, weights, x, y)
    assert expected.min() > 0.01
    torch.testing.assert_close(distance.pairwise(x, y).diagonal(), expected, rtol=1e-12, atol=0)
    found = distance.pairwise(x.float(), y.float()).diagonal()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)  # float32 convolutions, thousands of terms


@pytest.mark.parametrize(("network", "size"), PUBLISHED, ids=str)
def test_the_published_distances(network, size):
    distance = published(network)
    x, y = published_pairs(size)
    expected = torch.tensor(PUBLISHED[network, size], dtype=torch.float64)
    # The package's constants are rounded at 6e-8, ours are not; a float32 vector of norm 1 at 6e-8 a number.
    torch.testing.assert_close(distance.pairwise(x, y).diagonal(), expected, rtol=1e-7, atol=0)
    found = distance.pairwise(x.float(), y.float()).diagonal()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    independent = pairwise(network, load_packaged(network), x, y)
    torch.testing.assert_close(distance.pairwise(x, y).diagonal(), independent, rtol=1e-6, atol=0)


def published(network):
    try:
        find_packaged(network)
    except ValueError as error:
        pytest.skip(str(error))
    return load_distance(f"st-lpips-{network}")


def test_results_name_the_published_file():
    distance = published("alex")
    assert distance.info.name == "st-lpips-alex"
    assert distance.info.weights == "alex_shift_tolerant.pth (sha256 b356b382f96010f7)"
    assert type(distance).state() == "ready"
    assert distance.notes((3, 28, 28)) == ()


@pytest.mark.parametrize(("network", "numbers"), [("alex", 36_288), ("vgg", 140_672)])
def test_size_of_the_embedding(network, numbers):
    distance = load_distance(f"st-lpips-{network}", "random:1")
    assert distance.embed(images(1, (32, 32))).shape == (1, numbers)


def test_small_sides_are_enlarged_and_gray_is_three_equal_channels():
    distance = load_distance("st-lpips-alex", "random:1")
    x = images(3, (8, 21), channels=1)
    expected = x.repeat_interleave(4, dim=2).expand(-1, 3, -1, -1)
    assert torch.equal(distance.embed(x), distance.embed(expected))
    first, second = distance.notes((1, 8, 21))
    assert first == "For st-lpips-alex, images of 8 x 21 pixels were enlarged to 32 x 21 (nearest-exact)."
    assert second.startswith("st-lpips-alex has random weights, seed 1: its distances are not those of the")
    assert "published shift-tolerant LPIPS" in second


def test_it_forgives_what_lpips_does_not():
    # Moved by a pixel within a wide plain border: networks with strides see other images, these hardly.
    x = torch.zeros(4, 3, 64, 64)
    x[:, :, 16:48, 16:48] = images(4, (32, 32), "inside").float()
    moved, other = x.roll(1, dims=-1), x[[1, 2, 3, 0]]
    shares = {}
    for name in ("lpips-alex", "st-lpips-alex"):
        distance = load_distance(name, "random:1")
        values = (distance.pairwise(x, y).diagonal().mean() for y in (moved, other))
        shares[name] = float(next(values) / next(values))
    assert shares["st-lpips-alex"] < 0.6 * shares["lpips-alex"], shares


def test_kept_vectors_are_made_once(tmp_path, monkeypatch):
    x, y = images(6, (21, 21), "x").float(), images(9, (21, 21), "y").float()
    distance = STLPIPSAlex.load("random:1")
    expected = nearest(x, y, distance=distance)
    kept = STLPIPSAlex.load("random:1").kept(tmp_path)
    assert torch.equal(nearest(x, y, distance=kept).distances, expected.distances)
    again = STLPIPSAlex.load("random:1").kept(tmp_path)
    embedded = []
    monkeypatch.setattr(again, "embed", lambda images: embedded.append(len(images)) or kept.embed(images))
    assert torch.equal(nearest(x, y, distance=again).distances, expected.distances)
    assert sum(embedded) <= 2  # a look at whether the vectors in the folder are those of this distance

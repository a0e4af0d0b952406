"""LPIPS as an embedding against the pairwise formula, written here once more and in another way."""

import pytest
import torch
from torch import nn

from spurion.core.random import generator
from spurion.neighbors import DISTANCES, load_distance, nearest
from spurion.neighbors.distances.lpips import LPIPSAlex
from spurion.neighbors.lpips.backbones import BACKBONES
from spurion.neighbors.lpips.reading import Weights
from spurion.neighbors.lpips.weights import load_weights

NETWORKS = sorted(BACKBONES)
SIZES = [(28, 28), (32, 32), (64, 64), (37, 53)]


def images(count, size, *path, channels=3, dtype=torch.float64):
    values = torch.rand(count, channels, *size, generator=generator(0, "lpips", *path), dtype=torch.float64)
    return (2 * values - 1).to(dtype)


def fire(x, state, number):
    def convolved(x, name, padding):
        weight, bias = state[f"{number}.{name}.weight"], state[f"{number}.{name}.bias"]
        return nn.functional.conv2d(x, weight.to(x), bias.to(x), padding=padding).clamp_min(0)

    x = convolved(x, "squeeze", 0)
    return torch.cat([convolved(x, "expand1x1", 0), convolved(x, "expand3x3", 1)], dim=1)


ALEX = "c4/2 t p c1/2 t p c1/1 t c1/1 t c1/1 t"
VGG = "c1/1 r c1/1 t p2 c1/1 r c1/1 t p2 c1/1 r c1/1 r c1/1 t p2 c1/1 r c1/1 r c1/1 t p2 c1/1 r c1/1 r c1/1 t"
SQUEEZE = "c2/0 t pc f ft pc f ft pc ft ft ft ft"
PLANS = {"alex": ALEX, "vgg": VGG, "squeeze": SQUEEZE}
"""Layers in the order of torchvision's: convolution stride/padding, relu, pool, fire; t marks a tap."""


def activations(network, state, x):
    """What comes out of the taps, from functional calls alone."""
    taps = []
    for number, layer in enumerate(PLANS[network].split()):
        if layer[0] == "c":
            stride, padding = map(int, layer[1:].split("/"))
            weight, bias = (state[f"{number}.{part}"].to(x) for part in ("weight", "bias"))
            x = nn.functional.conv2d(x, weight, bias, stride=stride, padding=padding)
        elif layer[0] in "rt":
            x = x.clamp_min(0)
        elif layer[0] == "p":
            kernel = 2 if layer == "p2" else 3
            x = nn.functional.max_pool2d(x, kernel, stride=2, ceil_mode=layer == "pc")
        else:
            x = fire(x, state, number)
        if layer.endswith("t"):
            taps.append(x)
    return taps


def pairwise(network, weights, x, y):
    """LPIPS of x[i] and y[i] as published: normalize, subtract, square, weigh, average over places, add."""

    def prepared(z):
        z = z.repeat(1, 3 // z.shape[1], 1, 1)
        if min(z.shape[2:]) < 32:
            z = nn.functional.interpolate(z, size=(32, 32), mode="nearest-exact")
        mean, std = (z.new_tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        return ((z + 1) / 2 - mean) / std

    total = x.new_zeros(len(x))
    pairs = zip(
        activations(network, weights.features, prepared(x)),
        activations(network, weights.features, prepared(y)),
        weights.linear,
        strict=True,
    )
    for f, g, w in pairs:
        f, g = (h / ((h**2).sum(dim=1, keepdim=True) ** 0.5 + 1e-10) for h in (f, g))
        total = total + nn.functional.conv2d((f - g) ** 2, w.to(x)[None, :, None, None]).mean(dim=(1, 2, 3))
    return total


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("network", NETWORKS)
def test_the_embedding_is_lpips(network, size):
    # In float64 the two ways round differently at 1e-16 times some hundreds of terms. In float32 the
    # difference of two vectors of norm 1 carries their rounding, 6e-8 a number, against differences of the
    # same order as the numbers.
    weights = load_weights(network, "random:1")
    distance = load_distance(f"lpips-{network}", "random:1")
    x, y = images(3, size, "x"), images(3, size, "y")
    with torch.no_grad():
        expected = pairwise(network, weights, x, y)
        single = pairwise(network, weights, x.float(), y.float())
    assert expected.min() > 0.05
    torch.testing.assert_close(distance.pairwise(x, y).diagonal(), expected, rtol=1e-12, atol=0)
    found = distance.pairwise(x.float(), y.float()).diagonal()
    torch.testing.assert_close(found, single.double(), rtol=1e-6, atol=0)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)  # float32 convolutions, thousands of terms


@pytest.mark.parametrize("network", NETWORKS)
def test_close_images_keep_their_digits(network):
    x = images(4, (32, 32), "x")
    y = x + 1e-4 * images(4, (32, 32), "y")
    weights = load_weights(network, "random:1")
    found = load_distance(f"lpips-{network}", "random:1").pairwise(x, y).diagonal()
    # Differences of 1e-4 in numbers rounded at 1e-16 keep 1e-12 of themselves.
    torch.testing.assert_close(found, pairwise(network, weights, x, y), rtol=1e-9, atol=0)
    assert 0 < found.max() < 1e-4


@pytest.mark.parametrize(("network", "numbers"), [("alex", 5760), ("vgg", 124_928), ("squeeze", 24_768)])
def test_size_of_the_embedding(network, numbers):
    assert load_distance(f"lpips-{network}", "random:1").embed(images(1, (32, 32))).shape == (1, numbers)


def test_channels_without_weight_drop_out():
    weights = load_weights("alex", "random:1")
    linear = [w.clone() for w in weights.linear]
    linear[0][10:] = 0
    linear[3][:] = 0
    distance = LPIPSAlex(Weights(weights.features, tuple(linear), "test", ""))
    x, y = images(3, (32, 32), "x"), images(3, (32, 32), "y")
    assert distance.embed(x).shape == (3, 10 * 49 + 192 * 9 + 384 + 256)
    expected = pairwise("alex", Weights(weights.features, tuple(linear), "", ""), x, y)
    torch.testing.assert_close(distance.pairwise(x, y).diagonal(), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("network", NETWORKS)
def test_constant_and_gray_images(network):
    distance = load_distance(f"lpips-{network}", "random:1")
    gray = torch.stack([torch.full((1, 8, 8), value) for value in (-1.0, 0.0, 0.0, 1.0)])
    values = distance.pairwise(gray, gray)
    assert values.isfinite().all()
    assert values[1, 2] == 0
    assert values[0, 3] > 0
    assert torch.equal(distance.embed(gray), distance.embed(gray.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_place_in_a_batch_makes_no_difference(network, threads):
    # Without batches of one size it does: a convolution of one image rounds otherwise than one of 64.
    count = 20 if network == "vgg" else 70
    x = images(count, (37, 53) if network == "squeeze" else (32, 32), dtype=torch.float32)
    order = torch.randperm(count, generator=generator(0, "order"))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        first, second, third = (DISTANCES[f"lpips-{network}"].load("random:1") for _ in range(3))
        together = first.embed(x)
        assert torch.equal(together[order], second.embed(x[order]))
        assert torch.equal(together[:2], torch.cat([third.embed(image[None]) for image in x[:2]]))
    finally:
        torch.set_num_threads(before)


def test_global_precision_makes_no_difference():
    x = images(2, (32, 32), dtype=torch.float32)
    expected = load_distance("lpips-alex", "random:1").embed(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(LPIPSAlex.load("random:1").embed(x), expected)


def test_half_precision_is_embedded_in_single():
    x = images(2, (32, 32), dtype=torch.float16)
    distance = load_distance("lpips-alex", "random:1")
    assert torch.equal(distance.embed(x), distance.embed(x.float()))


def test_shapes_that_are_refused():
    distance = load_distance("lpips-alex", "random:1")
    with pytest.raises(
        ValueError, match=r"`lpips-alex` needs images of 1 or 3 channels, .* got \(2, 4, 32, 32\)"
    ):
        distance.embed(images(2, (32, 32), channels=4))
    with pytest.raises(ValueError, match=r"got \(2, 64\)"):
        nearest(torch.eye(2, 64), torch.eye(2, 64), distance=distance)


def test_notes_name_what_was_enlarged():
    distance = load_distance("lpips-alex", "random:1")
    weights = load_weights("alex", "random:1")
    published = LPIPSAlex(Weights(weights.features, weights.linear, "published", ""))
    assert published.notes((3, 32, 32)) == ()
    (note,) = published.notes((1, 28, 40))
    assert note == "For lpips-alex, images of 28 x 40 pixels were enlarged to 32 x 40 (nearest-exact)."
    (note,) = distance.notes((3, 64, 64))
    assert note.startswith("lpips-alex has random weights, seed 1: its distances are not those of")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
@pytest.mark.parametrize("network", NETWORKS)
def test_on_an_accelerator(network):
    x = images(70, (32, 32), dtype=torch.float32)
    on_cpu = load_distance(f"lpips-{network}", "random:1").embed(x)
    distances = [DISTANCES[f"lpips-{network}"].load("random:1") for _ in range(2)]
    found = distances[0].embed(x.cuda())
    torch.testing.assert_close(found.cpu(), on_cpu, rtol=0, atol=1e-5 * float(on_cpu.max()))
    assert torch.equal(found[:3].flip(0), distances[1].embed(x[:3].flip(0).cuda()))

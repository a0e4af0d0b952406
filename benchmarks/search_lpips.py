"""What `search.py` compares under LPIPS: images embedded once and searched, and the pairwise ways.

- spurion: every image through the network once, then `nearest`;
- pairs: queries and reference images broadcast against each other, both images of every pair through the
  network, as the code that comes with LPIPS is used;
- kept features: every image through the network once, the differences of every pair broadcast.

All on the same random images and random weights: no weight changes the cost.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from spurion.neighbors import DISTANCES, nearest

CHUNK = 64


DEFAULT = "lpips-alex"


def fresh(name=DEFAULT):
    """A distance that remembers nothing yet."""
    return DISTANCES[name].load("random:0")


def color_images(count, size, seed, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.rand(count, 3, size, size, generator=generator) - 1).to(device)


def embed_and_search(queries, reference, name=DEFAULT):
    return nearest(queries, reference, distance=fresh(name))


def operations(queries, reference, name=DEFAULT):
    """Multiplications and additions of `embed_and_search`: the network on every image, then the products."""
    with FlopCounterMode(display=False) as counter:
        vectors = fresh(name).embed(torch.cat([queries, reference]))
    return counter.get_total_flops() + 2 * len(queries) * len(reference) * vectors.shape[1]


@torch.no_grad()
def by_pairs(queries, reference, name=DEFAULT):
    """LPIPS of all pairs, every pair through the network; the distance to the nearest."""
    network, nearest_so_far = _network(queries, name), []
    for query in queries:
        values = [_lpips(network, query.expand_as(part), part) for part in reference.split(CHUNK)]
        nearest_so_far.append(torch.cat(values).min())
    return torch.stack(nearest_so_far)


@torch.no_grad()
def keep_features(reference, name=DEFAULT):
    network = _network(reference, name)
    return [_activations(network, part) for part in reference.split(CHUNK)]


@torch.no_grad()
def by_features(queries, kept, name=DEFAULT):
    """LPIPS of all pairs from features that are kept; the distance to the nearest."""
    network, found = _network(queries, name), []
    for query in queries:
        x = _activations(network, query[None])
        found.append(torch.cat([_weighted(network, x, y) for y in kept]).min())
    return torch.stack(found)


def _network(images, name):
    distance = fresh(name)
    distance.embed(images[:1])
    return next(iter(distance._placed.values()))


def _activations(network, images):
    """Normalized outputs of the taps."""
    x = (images - network.get_buffer("shift")) / network.get_buffer("scale")
    taps = []
    for number, layer in enumerate(network.features):
        x = layer(x)
        if number in network.taps:
            taps.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
    return taps


def _lpips(network, x, y):
    return _weighted(network, _activations(network, x), _activations(network, y))


def _weighted(network, x, y):
    total = 0
    for index, (f, g) in enumerate(zip(x, y, strict=True)):
        weight = network.get_buffer(f"root_{index}").square()[:, None, None]
        total = total + ((f - g).square() * weight).sum(dim=1).mean(dim=(1, 2))
    return total

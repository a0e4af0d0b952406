"""Laws that the benchmarks of the `null` rule draw images from: `draw(count, generator)`, independent draws.

Some are points in the plane or in a few dimensions, which the rule must not mind; `photos` are color images
with a spectrum like that of photographs, and `digits` real ones, drawn without replacement.
"""

import torch

from spurion.data import open_images
from spurion.neighbors import DISTANCES, Features, as_distance


def uniform(count, random):
    return torch.rand(count, 2, generator=random)


def curved(count, random):
    """A manifold of three dimensions in five."""
    t = torch.rand(count, 3, generator=random)
    bent = [(4 * t[:, 0]).cos(), (4 * t[:, 0]).sin(), t[:, 1] ** 2, (3 * t[:, 2]).sin(), t[:, 0] * t[:, 2]]
    return torch.stack(bent, dim=1) + 1e-3 * torch.randn(count, 5, generator=random)


def clusters(small, scale):
    """Two clusters in four dimensions: of a share of the points, and of a scale beside 1."""

    def draw(count, random):
        points = torch.randn(count, 4, generator=random)
        there = torch.rand(count, 1, generator=random) < small
        return torch.where(there, scale * points, points + 20)

    return draw


def student(count, random):
    """Student's t with three degrees of freedom, in five dimensions."""
    squares = torch.randn(count, 5, 3, generator=random).square().sum(dim=2)
    return torch.randn(count, 5, generator=random) / (squares / 3).sqrt()


def gauss(dimensions):
    def draw(count, random):
        return torch.randn(count, dimensions, generator=random)

    return draw


def photos(side):
    """Color images whose power falls off with the square of their frequency, in [-1, 1]."""

    def draw(count, random):
        rows, columns = torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)[None]
        frequency = torch.hypot(rows, columns).clamp(min=1 / side)
        white = torch.randn(count, 3, side, side, generator=random)
        colored = torch.fft.irfft2(torch.fft.rfft2(white) / frequency, s=(side, side))
        return (0.35 * colored / colored.std(dim=(1, 2, 3), keepdim=True)).clamp(-1, 1)

    return draw


def digits(count, random):
    """Different ones of the 1,797 digits, in random order."""
    images = torch.cat([open_images(name).images for name in ("digits", "digits:holdout")])
    return images[torch.randperm(len(images), generator=random)[:count]]


def random_features(images):
    """The means over space, and over quarters, of a random convolutional network of two layers."""
    random = torch.Generator().manual_seed(0)
    for width in (32, 64):
        weight = torch.randn(width, images.shape[1], 3, 3, generator=random) / images.shape[1] ** 0.5 / 3
        images = torch.nn.functional.conv2d(images, weight, stride=2, padding=1).relu()
    return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)


def distance_of(name):
    """A distance; of networks with random weights."""
    if name == "features":
        return Features(random_features, "a random network")
    return DISTANCES[name].load("random:0") if name.startswith("lpips") else as_distance(name)


LAWS = {
    "uniform, 2-d": uniform,
    "curved, 3-d in 5-d": curved,
    "clusters, sizes 1:7": clusters(1 / 8, 1.0),
    "clusters, scales 1:7": clusters(1 / 2, 1 / 7),
    "clusters, both 1:7": clusters(1 / 8, 1 / 7),
    "Student t3, 5-d": student,
    "Gauss, 16-d": gauss(16),
    "Gauss, 768-d": gauss(768),
    "photos 3x16x16": photos(16),
    "photos 3x32x32": photos(32),
    "digits": digits,
}

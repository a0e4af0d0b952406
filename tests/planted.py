"""Sets of images whose answer is known."""

from dataclasses import dataclass

import torch

from spurion.core.random import generator


@dataclass
class Planted:
    """Training images, held-out images, and samples with their classes and sources."""

    train: torch.Tensor
    holdout: torch.Tensor
    samples: torch.Tensor
    labels: torch.Tensor
    source: torch.Tensor
    group: torch.Tensor


def planted(seed=0, *, train=20, copies=30, groups=3, members=5, unique=25, shape=(1, 4, 6), noise=0.01):
    """Noisy copies of training images, groups of mutual duplicates and unique images, shuffled.

    Coordinates are uniform on [-0.9, 0.9], so that different images are at least about 2 apart in l2 at
    D = 24, and copies about noise * sqrt(D) = 0.05.
    """
    random = generator(seed, "planted")

    def fresh(count):
        return torch.rand(count, *shape, generator=random) * 1.8 - 0.9

    def noisy(images):
        return (images + noise * torch.randn(images.shape, generator=random)).clamp(-1, 1)

    reference, holdout = fresh(train), fresh(train)
    source = torch.randint(train, (copies,), generator=random)
    centers = fresh(groups)
    samples = torch.cat(
        [noisy(reference[source]), noisy(centers.repeat_interleave(members, 0)), fresh(unique)]
    )
    absent = torch.full((groups * members + unique,), -1)
    source = torch.cat([source, absent])
    group = torch.full((len(samples),), -1)
    group[copies : copies + groups * members] = torch.arange(groups).repeat_interleave(members)
    labels = torch.tensor([0] * copies + [1] * (groups * members) + [2] * unique)
    order = torch.randperm(len(samples), generator=random)
    return Planted(reference, holdout, samples[order], labels[order], source[order], group[order])

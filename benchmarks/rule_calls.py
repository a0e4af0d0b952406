"""What `rule.py` measures of calls: false ones among exchangeable draws, and planted copies and atoms."""

import torch
from rule_laws import LAWS, distance_of

from spurion.neighbors import as_distance, nearest
from spurion.phases.anchor import anchor_among, anchor_of
from spurion.phases.classification import class_shares
from spurion.phases.repetition import depth, repeats
from spurion.phases.thresholds import null_thresholds

ALPHA = 0.01
"""The share of new images that may be called copies."""

TRAIN = 1000
"""Training images of every case."""

COMMON = 1000
"""Number of samples at which repetitions are counted, or all where there are fewer."""

ATOMS = 25
"""Images that the generator of planted ones makes again and again."""

COPIED, REPEATED = 0.4, 0.25
"""Shares of copies and of repeated images among its samples."""


def false_calls(law, name, held_out, samples, random):
    """The false shares of one draw, for every number of held-out images and of samples.

    Yields (h or None, samples, dimension, whether both thresholds stand on the law of distances, memorized,
    spurious); without thresholds the last three are None.
    """
    draw, distance = LAWS[law], distance_of(name).kept()
    train, real, drawn = (draw(count, random) for count in (TRAIN, max(held_out), max(samples)))
    to_train = nearest(real, train, distance=distance).distances[:, 0]
    anchors = {h: anchor_of(to_train[:h], real[:h], distance, seed=0) for h in held_out}
    anchors[None] = anchor_among(train, distance, seed=0)
    copies = nearest(drawn, train, distance=distance).distances[:, 0]
    for count in samples:
        some, size = drawn[:count], min(COMMON, count)
        near = nearest(some, some, depth(count, size), distance=distance, exclude_self=True).distances
        for h, anchor in anchors.items():
            found = null_thresholds(ALPHA, anchor, sample_size=size, distance=distance)
            shares = (None, None, None)
            if found.memorized is not None:
                shares = all(found.null.lawful), *class_shares(copies[:count], near, found)[:2]
            yield h, count, anchor and anchor.dimension, *shares


class Planted:
    """Samples of which it is known what they are.

    Copies of training images and repetitions of atoms, which are new images, are moved in random directions:
    `jitter` is how far a copy lies from its image, and two samples of an atom from each other (in many
    dimensions), in units of the spacing: the median distance of a training image to its nearest other one.

    Attributes:
        samples: The samples, in random order.
        spacing: The spacing.
        copied: Whether each is a copy.
        kind: What each of the others comes from: the number of its atom, or one of its own.
        atoms: How probable each atom is.
    """

    def __init__(self, train, new, jitter, masses, count, random, shares=(COPIED, REPEATED)):
        spacing = self.spacing = float(nearest(train, train, exclude_self=True).distances[:, 0].median())
        weights = torch.tensor([*shares, 1 - sum(shares)])
        which = torch.multinomial(weights, count, replacement=True, generator=random)
        copies, repetitions, rest = which.bincount(minlength=3).tolist()
        of_train, self.atoms = _masses(masses, len(train)), shares[1] * _masses(masses, ATOMS)
        copied = torch.multinomial(of_train, max(1, copies), replacement=True, generator=random)[:copies]
        repeated = torch.multinomial(self.atoms, repetitions, replacement=True, generator=random)
        honest, atoms = new[:rest], new[rest : rest + ATOMS]
        near = (
            _moved(train[copied], jitter * spacing, random),
            _moved(atoms[repeated], jitter * spacing / 2**0.5, random),
        )
        self.copied = which == 0
        self.samples = torch.empty(count, *train.shape[1:])
        self.kind = torch.full((count,), -1)
        for number, images in enumerate((*near, honest)):
            self.samples[which == number] = images
        self.kind[which == 1] = repeated
        self.kind[which == 2] = torch.arange(ATOMS, ATOMS + rest)  # every honest sample is a kind of its own

    def true_shares(self, count, size):
        """The shares of copies, and of samples whose atom is met again among `size` of the first `count`."""
        copied, kind = self.copied[:count], self.kind[:count]
        again = (kind[:, None] == kind[None]).sum(dim=1) - 1
        others = torch.where(torch.arange(depth(count, size)) < again[:, None], 0.0, 2.0).double()
        met = repeats(others, 1.0, size) * ~copied
        return float(copied.double().mean()), float(met.mean())

    def expected_repeated(self, size):
        """The share of samples of an atom that is met again among `size`, of all such samples."""
        return float((self.atoms * (1 - (1 - self.atoms) ** (size - 1))).sum())


def _masses(name, count):
    masses = torch.ones(count) if name == "uniform" else 1 / torch.arange(1.0, count + 1)
    return masses / masses.sum()


def _moved(images, length, random):
    moves = torch.randn(images.shape, generator=random).flatten(1)
    return images + (length * moves / moves.norm(dim=1, keepdim=True)).float().reshape(images.shape)


SPLIT = (600, 400, 797)
"""Training, held-out and new images: as many digits as there are."""


def planted_shares(law, masses, jitter, samples, random):
    """Errors of both shares for every number of samples, all at the smallest of them.

    Yields (samples, dimension, reach, memorized, true memorized, spurious, true spurious); the reach is the
    smaller threshold in units of the spacing.
    """
    train, real, new = LAWS[law](sum(SPLIT), random).split(SPLIT)
    distance, size = as_distance("l2"), min(samples)
    planted = Planted(train, new, jitter, masses, max(samples), random)
    anchor = anchor_of(nearest(real, train).distances[:, 0], real, distance, seed=0)
    found = null_thresholds(ALPHA, anchor, sample_size=size)
    reach = min(found.memorized, found.spurious) / planted.spacing
    copies = nearest(planted.samples, train).distances[:, 0]
    for count in samples:
        some = planted.samples[:count]
        near = nearest(some, some, depth(count, size), exclude_self=True).distances
        memorized, spurious, _ = class_shares(copies[:count], near, found)
        true = planted.true_shares(count, size)
        yield count, anchor.dimension, reach, memorized, true[0], spurious, true[1]

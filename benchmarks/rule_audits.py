"""What `rule.py` measures of whole audits that must not accuse: honest images of awkward kinds, no copies."""

from collections import Counter

import torch
from rule_calls import SPLIT
from rule_laws import digits, photos

import spurion
from spurion.neighbors import nearest

GATE = "memorized > 0.02"

NEAR = 0.05
"""The share of real images that are near copies of others."""

SHRUNK = 0.8

SIZES = (600, 300, 1000)
"""Training, held-out and sampled images where there are enough."""


def as_they_are(random):
    return photos(8)(sum(SIZES), random).split(SIZES)


def two_kinds(random):
    """Noise of two amplitudes, far apart."""
    count = sum(SIZES)
    amplitude = torch.where(torch.rand(count, generator=random) < 0.5, 0.02, 0.3)[:, None, None, None]
    return (torch.randn(count, 1, 8, 8, generator=random) * amplitude).clamp(-1, 1).split(SIZES)


def two_inks(random):
    """Digits, half of them with half the ink."""
    images = digits(sum(SPLIT), random)
    ink = torch.where(torch.rand(len(images), generator=random) < 0.5, 0.5, 1.0)[:, None, None, None]
    return (ink * (images + 1) - 1).split(SPLIT)


def shrunk_photos(random):
    """Photographs, of which the samples have less contrast."""
    train, real, drawn = as_they_are(random)
    return train, real, SHRUNK * drawn


def shrunk_digits(random):
    """Digits, of which the samples have less ink."""
    train, real, drawn = digits(sum(SPLIT), random).split(SPLIT)
    return train, real, SHRUNK * (drawn + 1) - 1


def near_copies(random):
    """A twentieth of all images, training images too, lies a fifth of the spacing from a training image."""
    train, real, drawn = as_they_are(random)
    spacing = nearest(train, train, exclude_self=True).distances[:, 0].median()
    near = round(NEAR * len(train))
    train[:near] = _beside(train[near : 2 * near], 0.2 * spacing, random)
    for images in (real, drawn):
        chosen = torch.rand(len(images), generator=random) < NEAR
        of = torch.randint(len(train), (int(chosen.sum()),), generator=random)
        images[chosen] = _beside(train[of], 0.2 * spacing, random)
    return train, real, drawn


def _beside(images, length, random):
    moves = torch.randn(images.shape, generator=random)
    norms = moves.flatten(1).norm(dim=1)[:, None, None, None]
    return (images + (length * moves / norms).float()).clamp(-1, 1)


SCENES = {
    "photos, as they are": as_they_are,
    "two kinds: noise, faint and strong": two_kinds,
    "two kinds: digits, half of half ink": two_inks,
    "photos, contrast shrunk by 20 %": shrunk_photos,
    "digits, ink shrunk by 20 %": shrunk_digits,
    "photos, 5 % near copies among real ones": near_copies,
}


def honest_audits(scene, held_out, runs, seed):
    """Audit honest samples of a scene several times.

    Returns the outcomes of the gate, the shares of both calls in each run, and how often every warning and
    doubt was said.
    """
    outcomes, said, shares = Counter(), Counter(), []
    for run in range(runs):
        random = torch.Generator().manual_seed(seed + run)
        train, real, drawn = SCENES[scene](random)
        found = spurion.audit(train, drawn, real if held_out else None, fail_if=GATE, seed=seed + run)
        outcomes[found.verdict.outcome] += 1
        kinds = {claim.kind for claim in found.claims if claim.severity in ("warning", "doubt")}
        said.update(kinds)
        if found.fractions is not None:
            shares.append((found.fractions.memorized.value, found.fractions.spurious.value))
    return dict(outcomes), shares, dict(said.most_common())

r"""What the samples of a prompt are: copies of training images, repetitions of each other, or neither.

The thresholds are those of the `null` rule (`spurion.phases.anchor`) at 1 %, from the training images among
themselves: a sample within :math:`\delta_m` of a training image is as near as a new image is in one of a
hundred cases, one within :math:`\delta_s` of the sample of another seed is nearer than an image to its
nearest of a thousand others in 99 of a hundred cases. A prompt is memorized if more than half of its samples
are copies; spurious if it is not, and more than half are copies or repetitions; else generalized.
"""

__all__ = ["Distances", "answered", "ground", "measure_distances"]

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from spurion.audits.ground import real_images
from spurion.core.random import derive_seed
from spurion.neighbors import Distance, nearest
from spurion.phases.repetition import USUAL
from spurion.phases.rules import ThresholdInfo
from spurion.phases.thresholds import null_thresholds
from spurion.prompts.results import Answered, Outcome

ALPHA = 0.01


class Distances(NamedTuple):
    """Distances of the samples of one prompt, in image space.

    Attributes:
        to_train: To the nearest training image, with shape (m,).
        to_own: To the nearest image of the prompt, with shape (m,); NaN where none is known.
        among: To the nearest sample of another seed, with shape (m,); NaN for one seed.
    """

    to_train: Float64[Tensor, " m"]
    to_own: Float64[Tensor, " m"]
    among: Float64[Tensor, " m"]


def ground(train: Float32[Tensor, "k C H W"], distance: Distance, *, seed: int) -> ThresholdInfo:
    """The thresholds of copies and repetitions; none where there are too few training images.

    Arguments:
        train: The training images.
        distance: The distance.
        seed: Seed of the choice of images where there are many.
    """
    anchor = real_images(train, None, None, distance, seed=derive_seed(seed, "ground"))
    return null_thresholds(ALPHA, anchor, sample_size=USUAL, distance=distance)


def measure_distances(
    samples: Sequence[Float32[Tensor, "m C H W"]],
    own: Sequence[Float32[Tensor, "o C H W"] | None],
    trained: Sequence[bool],
    train: Float32[Tensor, "k C H W"],
    distance: Distance,
) -> list[Distances]:
    """Distances of the samples of several prompts, which are looked up together.

    Arguments:
        samples: They, decoded, as many of each prompt.
        own: The images of each prompt; None where none is known.
        trained: Whether the images of each are training images: not those of a prompt with no copies.
        train: All training images that are known.
        distance: The distance.
    """
    together = nearest(torch.cat(list(samples)), train, distance=distance).distances[:, 0]
    found = []
    parts = together.split(len(samples[0]))
    for mine, images, held, to_train in zip(samples, own, trained, parts, strict=True):
        to_own, among = torch.full((2, len(mine)), torch.nan, dtype=torch.float64)
        if images is not None:
            to_own = nearest(mine, images, distance=distance).distances[:, 0]
        if len(mine) > 1:
            among = nearest(mine, mine, distance=distance, exclude_self=True).distances[:, 0]
        # a training image of the prompt is one, whether the set of them holds it or not
        to_any = torch.fmin(to_train, to_own) if held else to_train
        found.append(Distances(to_any, to_own, among))
    return found


def answered(found: Distances, thresholds: ThresholdInfo) -> Answered | None:
    """What the samples of one prompt are; None without thresholds."""
    if thresholds.memorized is None or thresholds.spurious is None:
        return None
    copies = found.to_train <= thresholds.memorized
    again = (found.among <= thresholds.spurious) & ~copies
    alone = bool(found.among.isnan().any())
    outcome: Outcome = "generalized"
    if _share(copies | again) > 0.5:
        outcome = "memorized" if _share(copies) > 0.5 else "spurious"
    return Answered(
        outcome=outcome,
        own=None if bool(found.to_own.isnan().any()) else _share(found.to_own <= thresholds.memorized),
        training=_share(copies),
        repeated=None if alone else _share(again),
        nearest=float(found.to_train.min()),
    )


def _share(found: Tensor) -> float:
    return float(found.double().mean())

r"""Held-out images that are near copies of training images, told from their distances alone.

A threshold from held-out images is only as good as these: a few that the model was trained on, saved again
by another program, lie far closer to the training set than new images do, and pull the threshold below
every copy. They show as a gap. Let :math:`x_1 \leq \dots \leq x_h` be the distances of the held-out images
to the training set. Where distances follow a power law, as near their lower end
(:math:`P(x \leq r) \propto r^m` in m dimensions), the normalized spacings

.. math:: s_i = i \, (\log x_{i+1} - \log x_i)

are independent and exponential with one rate m. So a spacing is compared with the k above it:

.. math:: P(s_i \geq s) = \left(1 + \frac{s}{s_{i+1} + \dots + s_{i+k}}\right)^{-k} ,

whatever m is. A gap that is too wide by this law, for all places where one is looked for together, and over
which the distance at least doubles, has near copies below it.

Or the images are of two kinds, one much denser than the other, and nothing is wrong. Then training images lie
as near to each other: the gap counts only if held-out images lie below it more often than training images
(Fisher's exact test), or no training image does.

References:
    | On the theory of order statistics (Renyi, 1953): normalized spacings
"""

__all__ = ["near_leaks"]

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spurion.statistics.counts import more_often

SPACINGS = 20
"""Spacings above a gap, k, that say how wide it may be."""

CHANCE = 0.01
"""Probability of a gap in honest images, over all places together."""

NATURAL = 0.01
"""A smaller p-value says that held-out images lie below the gap more often than training images do."""

FACTOR = 2.0
"""Over a gap the distance grows at least so many times."""


def near_leaks(
    distances: Float[Tensor, " h"], among_train: Callable[[], Float[Tensor, " n"]] | None = None
) -> Int64[Tensor, " leaks"]:
    """Find held-out images that lie closer to the training set than the others allow.

    Arguments:
        distances: The distance of each held-out image to its nearest training image, with shape (h,), finite.
            Those at distance 0 are equal to a training image, which is another matter: they are left out.
        among_train: Gives the distance of training images to their nearest other training image that is no
            copy of them; called only if there is a gap. None: every gap counts.

    Returns:
        The indices of the images below the uppermost gap, nearest first; none if there is no gap, or fewer
        than `SPACINGS` + 2 images.

    Example:
        >>> honest = torch.linspace(1.0, 1.5, 99)
        >>> near_leaks(torch.cat([honest, torch.tensor([0.01, 0.0])])).tolist()
        [99]
    """
    ordered, order = distances.double().sort(stable=True)
    equal = int((ordered == 0).sum())
    logs = ordered[equal:].log()
    places = len(logs) - 1 - SPACINGS
    if places < 1:
        return order[:0]
    gaps = logs.diff()
    spacings = gaps * torch.arange(1, len(logs))
    above = spacings.unfold(0, SPACINGS, 1)[1 : places + 1].sum(1)
    chance = torch.pow(1 + spacings[:places] / above, -SPACINGS)
    wide = (chance * places <= CHANCE) & (gaps[:places] >= torch.tensor(FACTOR).log())
    below = int(wide.nonzero().max()) + 1 if wide.any() else 0
    if not below or (among_train is not None and _natural(below, ordered[equal:], among_train())):
        return order[:0]
    return order[equal : equal + below]


def _natural(below: int, ordered: Float[Tensor, " h"], among_train: Float[Tensor, " n"]) -> bool:
    """Whether training images lie as near to each other as the lowest held-out images to them."""
    radius = ordered[below - 1]
    alike = among_train <= radius
    return bool(alike.any()) and more_often(ordered <= radius, alike) >= NATURAL

r"""Two tests of data copying from distances to the training set: Meehan's C_T and AuthPct.

**C_T.** Within a cell :math:`\pi` of space with m samples and n held-out images, let L be the distance to
the nearest training image *of that cell*. U counts the pairs with L(sample) > L(held-out), ties as half, and

.. math:: Z_U = \frac{U - (nm/2 - 1/2)}{\sqrt{nm (n + m + 1) / 12}}, \qquad
          C_T = \sum_\pi w_\pi Z_U(\pi), \quad w_\pi \propto \text{held-out mass of } \pi .

The cells are k-means clusters of the training set; one with less than :math:`\tau = 20/M` of the samples
is left out, and if that leaves nothing there is one cell. Far below 0: copying; far above: under-fitting.
The cells and the distances look at nothing but the training set, so when samples are distributed as held-out
images those of one cell are exchangeable: given the cells each :math:`Z_U` is standard normal (1/2, the
continuity correction, above 0 in units of U), so :math:`C_T / \sqrt{\sum w_\pi^2}` is too, and its lower
tail is the p-value. :math:`C_T` itself has variance :math:`\sum w_\pi^2`, which is 1 in one cell alone.

**AuthPct.** A sample is authentic if it is farther from its nearest training image than that image is from
its own nearest other training image; AuthPct is 100 times the share of authentic samples. Even honest
samples are not all authentic, so the share among held-out images stands beside it and Fisher's exact test
compares the two.

Both ask whether samples are *as near as held-out images are*. Samples that are smoother than images, or
all alike, can be nearer to any image without copying one; the share of samples closer to the training set
than to held-out images (`spurion.phases.share`) does not have this weakness.

References:
    | A Non-Parametric Test to Detect Data-Copying in Generative Models (Meehan et al., 2020)
    | https://arxiv.org/abs/2004.05675

    | How Faithful is your Synthetic Data? (Alaa et al., 2022)
    | https://arxiv.org/abs/2102.08921
"""

__all__ = ["CopyTest", "authenticity", "c_t", "nearest_cells"]

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Int64
from scipy import stats
from torch import Tensor

from spurion.core.config import Config
from spurion.core.random import derive_seed, generator
from spurion.statistics.counts import more_often

CELLS = 3
"""Cells of C_T, where there are enough images."""

CELL_MINIMUM = 20
"""Samples that a cell must hold: M tau."""

COMPONENTS = 64
"""Principal components in which cells are formed."""

FITTED = 10_000
"""Training images, at most, from which cells are formed."""

FITTED_ELEMENTS = 2**26
"""Numbers that these images may have: of images larger than 46 x 46 in color there are fewer."""

PART_ELEMENTS = 2**24
"""Numbers of images that are put into cells at once."""


class CopyTest(Config):
    """A statistic of copying with its one-sided p-value."""

    value: float
    p_value: float


def c_t(
    samples: Float[Tensor, " m"],
    holdout: Float[Tensor, " n"],
    cells: tuple[Int[Tensor, " m"], Int[Tensor, " n"]] | None = None,
) -> CopyTest:
    r"""Meehan's C_T from distances to the training set; see the module.

    Arguments:
        samples: The distance of each sample to the nearest training image of its cell, with shape (M,).
        holdout: The same of each held-out image, with shape (N,).
        cells: The cell of each sample and of each held-out image, from `nearest_cells`; one cell if None.

    Returns:
        C_T, and the probability of one as low if samples were distributed as held-out images.

    Example:
        >>> c_t(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1.0, 1.1, 1.2])).value
        -1.7457431218879391
    """
    inside = [(samples, holdout)]
    if cells is not None:
        split = [(samples[cells[0] == cell], holdout[cells[1] == cell]) for cell in cells[1].unique()]
        inside = [cell for cell in split if len(cell[0]) >= CELL_MINIMUM] or inside
    weights = [len(theirs) / sum(len(theirs) for _, theirs in inside) for _, theirs in inside]
    value = sum(w * _z_score(*cell) for w, cell in zip(weights, inside, strict=True))
    return CopyTest(value=value, p_value=float(stats.norm.cdf(value / math.hypot(*weights))))


def authenticity(
    samples: tuple[Float[Tensor, " m"], Int[Tensor, " m"]],
    holdout: tuple[Float[Tensor, " n"], Int[Tensor, " n"]],
    gaps: Float[Tensor, " k"],
) -> tuple[CopyTest, float]:
    """AuthPct of samples with its p-value, and AuthPct of held-out images; see the module.

    Arguments:
        samples: The distance of each sample to its nearest training image, and the index of that image,
            each with shape (M,).
        holdout: The same of each held-out image, each with shape (N,).
        gaps: The distance of each training image to the nearest other one, with shape (K,). Of equal
            images only one must be in the set, else a copy of a duplicated image passes as authentic.

    Returns:
        AuthPct from 0 to 100 with the probability of one as low were samples as authentic as held-out
        images, and AuthPct of the held-out images.
    """
    ours, theirs = (distances > gaps[indices] for distances, indices in (samples, holdout))
    return CopyTest(value=_percent(ours), p_value=more_often(~ours, ~theirs)), _percent(theirs)


def nearest_cells(
    train: Float[Tensor, "k *shape"],
    samples: Float[Tensor, "m *shape"],
    holdout: Float[Tensor, "n *shape"],
    *,
    seed: int,
) -> tuple[Int64[Tensor, " k"], Int64[Tensor, " m"], Int64[Tensor, " n"]] | None:
    """Cells of space from k-means on the training set, in principal components of the pixels.

    Arguments:
        train: The training images, with shape (K, *shape).
        samples: The samples, with shape (M, *shape).
        holdout: The held-out images, with shape (N, *shape).
        seed: Seed of the choice of training images, of k-means and of the principal components.

    Returns:
        The cell of each training image, each sample and each held-out image, or None if a set has fewer than
        60 images.
    """
    if min(len(train), len(samples), len(holdout)) < CELLS * CELL_MINIMUM:
        return None
    from sklearn.cluster import KMeans  # a second of import time that only cells need
    from sklearn.decomposition import PCA

    most = min(FITTED, max(CELLS * CELL_MINIMUM, FITTED_ELEMENTS // train[0].numel()))
    chosen = torch.randperm(len(train), generator=generator(seed, "null", "fitted"))[:most]
    state = derive_seed(seed, "null", "cells") % 2**32
    projection = None
    if train[0].numel() > COMPONENTS:
        projection = PCA(min(COMPONENTS, len(chosen)), copy=False, random_state=state).fit(
            _pixels(train[chosen])
        )
    means = KMeans(CELLS, n_init=10, random_state=state).fit(_projected(train[chosen], projection))
    trained, ours, theirs = (
        torch.from_numpy(means.predict(_projected(images, projection))).to(torch.int64)
        for images in (train, samples, holdout)
    )
    return trained, ours, theirs


def _projected(images: Float[Tensor, "n *shape"], projection: Any) -> Float64[np.ndarray, "n d"]:
    """The coordinates in which cells are formed, of some images at a time; pixels if there is no PCA."""
    parts = map(_pixels, images.split(max(1, PART_ELEMENTS // images[0].numel())))
    return np.concatenate([part if projection is None else projection.transform(part) for part in parts])


def _pixels(images: Float[Tensor, "n *shape"]) -> Float64[np.ndarray, "n d"]:
    return images.flatten(1).cpu().double().numpy()


def _z_score(samples: Float[Tensor, " m"], holdout: Float[Tensor, " n"]) -> float:
    m, n = len(samples), len(holdout)
    ordered = holdout.sort().values
    values = samples.contiguous()
    below = torch.searchsorted(ordered, values) + torch.searchsorted(ordered, values, right=True)
    u = float(below.sum()) / 2
    return (u - (n * m / 2 - 0.5)) / math.sqrt(n * m * (n + m + 1) / 12)


def _percent(flags: Tensor) -> float:
    return 100.0 * float(flags.double().mean())

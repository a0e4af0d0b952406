r"""Whether samples have less contrast than training images, and which are near copies all the same.

Images of less contrast lie nearer to each other and to all others, so that honest ones fall below thresholds
that real images set. The contrast of an image is the standard deviation of its values; that of sets is
compared by ranks. Where samples are fainter, only those surely are copies that differ from their nearest
training image by a small part of their own contrast (`ALIKE`).
"""

__all__ = ["Contrast", "contrast"]

from collections.abc import Iterator

import torch
from jaxtyping import Float, Float64, Int64
from pydantic import Field
from torch import Tensor

from spurion.core.config import Config
from spurion.core.quantities import Count, Distance, PValue
from spurion.data.storage import taken
from spurion.phases.spans import ALIKE
from spurion.statistics.ranks import compare

AT_ONCE = 1 << 18
"""Values that are looked at together, so that sets in files stay there."""


class Contrast(Config):
    """The contrasts of two sets, and which samples are near copies at the contrast that they have."""

    samples: Distance = Field(description="Median standard deviation of the values of a sample.")
    train: Distance = Field(description="The same of a training image.")
    p_value: PValue = Field(description="Small if samples have less.")
    alike: Count = Field(description="Samples that differ from their nearest training image by little.")

    @property
    def ratio(self) -> float:
        """The contrast of samples in units of that of training images; 1 where these have none."""
        return self.samples / self.train if self.train > 0 else 1.0


def contrast(
    train: Float[Tensor, "k *train_shape"],
    samples: Float[Tensor, "m *sample_shape"],
    nearest_train: Int64[Tensor, " m"],
) -> Contrast:
    """Compare the contrasts of samples and training images.

    Arguments:
        train: The training images, with shape (K, *shape).
        samples: The samples, with shape (M, *shape).
        nearest_train: The index of the training image nearest to each sample.
    """
    ours, theirs = _contrasts(samples), _contrasts(train)
    alike = 0
    for rows in _parts(samples):
        x, y = samples[rows].flatten(1).double(), taken(train, nearest_train[rows]).flatten(1).double()
        spread = ours[rows].square() * x.shape[1]
        alike += int(((x - y).square().sum(dim=1) <= ALIKE * spread).sum())
    return Contrast(
        samples=float(ours.median()),
        train=float(theirs.median()),
        p_value=compare(theirs, ours).p_value,
        alike=alike,
    )


def _contrasts(images: Float[Tensor, "n *shape"]) -> Float64[Tensor, " n"]:
    found = torch.empty(len(images), dtype=torch.float64)  # small results between parts would scatter memory
    for rows in _parts(images):
        found[rows] = images[rows].flatten(1).double().std(dim=1, correction=0)
    return found


def _parts(images: Float[Tensor, "n *shape"]) -> Iterator[slice]:
    step = max(1, AT_ONCE // max(1, images[0].numel()))
    for start in range(0, len(images), step):
        yield slice(start, min(start + step, len(images)))

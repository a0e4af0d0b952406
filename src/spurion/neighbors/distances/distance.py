r"""What a distance is: a name, a unit and an embedding.

Every distance of Spurion is the Euclidean distance of embedded images,

.. math:: d(x, y) = \lVert \phi(x) - \phi(y) \rVert_2 ,

so that one exact search serves all of them. The distance itself is always computed by `subtracted`:
subtraction first, in float64. The shortcut :math:`|x|^2 + |y|^2 - 2 x \cdot y` loses every digit
where copies live, so it may propose neighbors (`spurion.neighbors.screen`) but never decides.
"""

__all__ = ["Distance", "subtracted"]

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor


class Distance(ABC):
    """A distance between images: one file, one line in `DISTANCES`.

    Attributes:
        name: The name a user types.
        unit: The unit of its values, for axes and tables.
    """

    name: ClassVar[str]
    unit: ClassVar[str]

    @abstractmethod
    def embed(self, images: Float[Tensor, "n *shape"]) -> Float[Tensor, "n d"]:
        """The vectors whose Euclidean distance this is, one row for each image."""

    def pairwise(self, x: Float[Tensor, "n *shape"], y: Float[Tensor, "m *shape"]) -> Float64[Tensor, "n m"]:
        """All distances between two sets, by subtraction.

        Arguments:
            x: Images with shape (n, C, H, W), or any (n, ...).
            y: Images of the same shape, with shape (m, C, H, W).

        Returns:
            The distances, at least 0, float64, with shape (n, m): exactly 0 between equal images,
            and bit-identical to what the search returns.
        """
        x, y = self.embed(x), self.embed(y)
        if not len(x):
            return torch.zeros(0, len(y), dtype=torch.float64, device=x.device)
        return torch.stack([subtracted(row.expand_as(y), y) for row in x])


def subtracted(x: Float[Tensor, "p d"], y: Float[Tensor, "p d"]) -> Float64[Tensor, " p"]:
    """Euclidean distance of row i of `x` and row i of `y`, by subtraction in float64, with shape (p,).

    The value of a row does not depend on the rows beside it.
    """
    difference = x.double() - y.double()
    if len(difference) == 1:  # torch sums a lone long row in pieces, one a thread: other rounding
        difference = difference.expand(2, -1)
        return difference.square().sum(dim=1).sqrt()[:1]
    return difference.square_().sum(dim=1).sqrt()

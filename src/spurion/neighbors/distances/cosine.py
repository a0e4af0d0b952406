r"""Cosine distance of pixels: blind to contrast, sensitive to form.

With :math:`u = x / \lVert x \rVert` and :math:`v = y / \lVert y \rVert`,

.. math:: d(x, y) = 1 - \frac{x \cdot y}{\lVert x \rVert \lVert y \rVert}
          = \tfrac12 \lVert u - v \rVert^2 ,

and the second form keeps its digits where the first has none left. An image that is zero everywhere
(mid-gray) has no direction; it counts as orthogonal to every other image, at distance 1, and is at 0 from
another such image. An extra coordinate, 1 for such an image and 0 for all others, makes it so.
"""

__all__ = ["Cosine"]

from typing import ClassVar, final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from spurion.neighbors.distances.distance import Distance, subtracted


@final
class Cosine(Distance):
    """One minus the cosine of the angle between two images, in [0, 2]; see the module.

    Example:
        >>> x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])
        >>> Cosine().pairwise(x, y).round(decimals=9)
        tensor([[0., 1., 2.]], dtype=torch.float64)
    """

    name: ClassVar[str] = "cosine"
    unit: ClassVar[str] = "1 − cosine, from 0 to 2"
    square_factor: ClassVar[float | None] = 0.5
    costly: bool = False

    def embed(self, images: Float[Tensor, "n *shape"]) -> Float64[Tensor, "n d"]:
        """The directions, and a coordinate for images without one, with shape (n, C H W + 1).

        They are float64: rounding them to float32 would cost near copies all of their digits.
        """
        rows = images.flatten(start_dim=1).double()
        largest = rows.abs().amax(dim=1, keepdim=True)
        rows = rows / torch.where(largest > 0, largest, 1)  # no square over- or underflows
        norms = subtracted(rows, torch.zeros_like(rows[:1]).expand_as(rows))[:, None]
        directions = rows / torch.where(norms > 0, norms, 1)
        return torch.cat([directions, (norms == 0).double()], dim=1)

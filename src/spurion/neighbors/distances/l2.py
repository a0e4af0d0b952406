"""Euclidean distance of pixels, the paper's distance for MNIST and Fashion-MNIST."""

__all__ = ["L2"]

from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor

from spurion.neighbors.distances.distance import Distance


@final
class L2(Distance):
    r"""Euclidean norm :math:`\lVert x - y \rVert_2` over all channels and pixels.

    For images in [-1, 1] with D coordinates it lies in :math:`[0, 2 \sqrt D]`.

    Example:
        >>> import torch
        >>> L2().pairwise(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
        tensor([[2.]], dtype=torch.float64)
    """

    name: ClassVar[str] = "l2"
    unit: ClassVar[str] = "pixel values in [-1, 1]"
    costly: bool = False

    def embed(self, images: Float[Tensor, "n *shape"]) -> Float[Tensor, "n d"]:
        """The pixels in one row, with shape (n, C H W)."""
        return images.flatten(start_dim=1)

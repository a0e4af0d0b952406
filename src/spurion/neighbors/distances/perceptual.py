"""Distances by the layers of a network: the images' way through it, in one place for all of them.

The mathematics is in `spurion.neighbors.lpips.embedding`.
"""

__all__ = ["Perceptual"]

import copy
from abc import abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.backends import cudnn

from spurion.neighbors.distances.distance import Distance
from spurion.neighbors.distances.embedder import Embedder
from spurion.neighbors.lpips.backbones import Backbone
from spurion.neighbors.lpips.embedding import Embedding, enlarged_shape
from spurion.neighbors.lpips.reading import Weights


class Perceptual(Distance):
    r"""LPIPS over one network, without a root: :math:`d = \lVert \Phi(x) - \Phi(y) \rVert^2`.

    Arguments:
        weights: The weights of the network and of its taps.

    Attributes:
        network: The name of the network.
        published: What the distance is called with the published weights.
    """

    network: ClassVar[str]
    published: ClassVar[str]
    unit: ClassVar[str] = "no unit"
    square_factor: ClassVar[float | None] = 1.0

    def __init__(self, weights: Weights) -> None:
        backbone = self.backbone()
        self.weights = weights.source
        self.mark = weights.mark
        self._original = Embedding(backbone, weights.features, weights.linear)
        self._placed: dict[tuple[torch.device, torch.dtype], Embedding] = {}
        self._embedder = Embedder(self._embed, batch_pixels=backbone.batch_pixels)

    @classmethod
    @abstractmethod
    def backbone(cls) -> Backbone:
        """The network."""

    def notes(self, shape: tuple[int, ...]) -> tuple[str, ...]:
        """Enlarged images, and weights that are not the published ones."""
        notes = []
        size = (shape[-2], shape[-1])
        larger = enlarged_shape(size, self.backbone().least_side)
        if larger != size:
            notes.append(
                f"For {self.name}, images of {size[0]} x {size[1]} pixels were enlarged to {larger[0]} x "
                f"{larger[1]} (nearest-exact)."
            )
        if self.mark:
            notes.append(
                f"{self.name} has {self.mark}: its distances are not those of the published "
                f"{self.published} and cannot be compared with them."
            )
        return tuple(notes)

    def embed(self, images: Float[Tensor, "n *shape"]) -> Float[Tensor, "n d"]:
        """The vectors of images in [-1, 1] with 1 or 3 channels, float64 for float64, else float32.

        Raises:
            ValueError: If images are not of shape (n, C, H, W) with C = 1 or 3.
        """
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(
                f"`{self.name}` needs images of 1 or 3 channels, as (n, C, H, W), got {tuple(images.shape)}."
            )
        return self._embedder(images if images.dtype == torch.float64 else images.float())

    def _embed(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        place = (images.device, images.dtype)
        if place not in self._placed:
            self._placed[place] = copy.deepcopy(self._original).to(*place)
        with cudnn.flags(enabled=True, deterministic=True, allow_tf32=False, fp32_precision="ieee"):
            answer: Float[Tensor, "b d"] = self._placed[place](images)
            return answer

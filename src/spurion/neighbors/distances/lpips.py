"""LPIPS, the paper's distance for CIFAR-10 and LSUN Church: how different two images look to a network.

The mathematics is in `spurion.neighbors.lpips.embedding`.
"""

__all__ = ["LPIPS", "LPIPSVGG", "LPIPSAlex", "LPIPSSqueeze"]

import copy
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.backends import cudnn

from spurion.neighbors.distances.distance import Distance
from spurion.neighbors.distances.embedder import Embedder
from spurion.neighbors.lpips.backbones import BACKBONES
from spurion.neighbors.lpips.embedding import Embedding, enlarged_shape
from spurion.neighbors.lpips.weights import Weights, find_weights, load_weights


class LPIPS(Distance):
    r"""LPIPS 0.1 over one network, without a root: :math:`d = \lVert \Phi(x) - \Phi(y) \rVert^2`.

    Arguments:
        weights: The weights of the network and of its taps.
    """

    network: ClassVar[str]
    unit: ClassVar[str] = "no unit"
    square_factor: ClassVar[float | None] = 1.0

    def __init__(self, weights: Weights) -> None:
        self.weights = weights.source
        self.mark = weights.mark
        self._original = Embedding(BACKBONES[self.network], weights.features, weights.linear)
        self._placed: dict[tuple[torch.device, torch.dtype], Embedding] = {}
        self._embedder = Embedder(self._embed, batch_pixels=BACKBONES[self.network].batch_pixels)

    @classmethod
    def load(cls, weights: str | None = None, allow_download: bool = False) -> "LPIPS":
        """Make the distance; see `load_weights`."""
        return cls(load_weights(cls.network, weights, allow_download))

    @classmethod
    def state(cls) -> str:
        """Whether the published weights are there."""
        try:
            find_weights(cls.network, None)
        except ValueError as error:
            return str(error)
        return "ready"

    def notes(self, shape: tuple[int, ...]) -> tuple[str, ...]:
        """Enlarged images, and weights that are not the published ones."""
        notes = []
        size = (shape[-2], shape[-1])
        larger = enlarged_shape(size)
        if larger != size:
            notes.append(
                f"For {self.name}, images of {size[0]} x {size[1]} pixels were enlarged to {larger[0]} x "
                f"{larger[1]} (nearest-exact)."
            )
        if self.mark:
            notes.append(
                f"{self.name} has {self.mark}: its distances are not those of the published LPIPS and cannot "
                "be compared with them."
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


@final
class LPIPSAlex(LPIPS):
    """LPIPS over AlexNet, the paper's choice."""

    name: ClassVar[str] = "lpips-alex"
    network: ClassVar[str] = "alex"


@final
class LPIPSVGG(LPIPS):
    """LPIPS over VGG-16: 125,000 numbers for an image of 32 x 32 pixels."""

    name: ClassVar[str] = "lpips-vgg"
    network: ClassVar[str] = "vgg"


@final
class LPIPSSqueeze(LPIPS):
    """LPIPS over SqueezeNet 1.1, the lightest."""

    name: ClassVar[str] = "lpips-squeeze"
    network: ClassVar[str] = "squeeze"

"""LPIPS, the paper's distance for CIFAR-10 and LSUN Church: how different two images look to a network."""

__all__ = ["LPIPS", "LPIPSVGG", "LPIPSAlex", "LPIPSSqueeze"]

from typing import ClassVar, final

from spurion.neighbors.distances.perceptual import Perceptual
from spurion.neighbors.lpips.backbones import BACKBONES, Backbone
from spurion.neighbors.lpips.weights import find_weights, load_weights


class LPIPS(Perceptual):
    """LPIPS 0.1 over one network."""

    published: ClassVar[str] = "LPIPS"

    @classmethod
    def backbone(cls) -> Backbone:
        """The network."""
        return BACKBONES[cls.network]

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

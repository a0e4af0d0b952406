"""Shift-tolerant LPIPS: LPIPS whose networks answer alike to an image and the same moved by a pixel.

Its published weights come from a package registry. What differs: `spurion.neighbors.lpips.shift_tolerant`.
"""

__all__ = ["STLPIPS", "STLPIPSVGG", "STLPIPSAlex"]

from typing import ClassVar, final

from spurion.neighbors.distances.perceptual import Perceptual
from spurion.neighbors.lpips.backbones import Backbone
from spurion.neighbors.lpips.packaged import find_packaged, load_packaged
from spurion.neighbors.lpips.shift_tolerant import SHIFT_TOLERANT


class STLPIPS(Perceptual):
    """Shift-tolerant LPIPS over one network."""

    published: ClassVar[str] = "shift-tolerant LPIPS"

    @classmethod
    def backbone(cls) -> Backbone:
        """The network."""
        return SHIFT_TOLERANT[cls.network]

    @classmethod
    def load(cls, weights: str | None = None, allow_download: bool = False) -> "STLPIPS":
        """Make the distance; see `load_packaged`. Nothing is downloaded, whether allowed or not."""
        return cls(load_packaged(cls.network, weights))

    @classmethod
    def state(cls) -> str:
        """Whether the published weights are there."""
        try:
            find_packaged(cls.network)
        except ValueError as error:
            return str(error)
        return "ready"


@final
class STLPIPSAlex(STLPIPS):
    """Shift-tolerant LPIPS over AlexNet."""

    name: ClassVar[str] = "st-lpips-alex"
    network: ClassVar[str] = "alex"


@final
class STLPIPSVGG(STLPIPS):
    """Shift-tolerant LPIPS over VGG-16: 140,000 numbers for an image of 32 x 32 pixels."""

    name: ClassVar[str] = "st-lpips-vgg"
    network: ClassVar[str] = "vgg"

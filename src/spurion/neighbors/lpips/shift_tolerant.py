r"""The networks under shift-tolerant LPIPS: AlexNet and VGG-16 without aliasing.

A layer that keeps every other place only (a stride of 2) answers otherwise to an image moved by one pixel.
Here such layers compute every place, and a low-pass filter goes before what is left out (Zhang, 2019):
`BlurPool`, after every maximum and in AlexNet after the first convolution as well, whose stride is 1 here.

Layers have the numbers of the published files. What is compared comes out of the ReLUs listed as `taps`.

References:
    | Shift-tolerant Perceptual Similarity Metric (Ghildyal & Liu, 2022), sections 4 and 5
    | https://arxiv.org/abs/2207.13686

    | Making Convolutional Networks Shift-Invariant Again (Zhang, 2019)
    | https://arxiv.org/abs/1904.11486
"""

__all__ = ["BINOMIAL", "SHIFT_TOLERANT", "BlurPool", "PackagedBackbone"]

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spurion.neighbors.lpips.backbones import Backbone
from spurion.neighbors.lpips.backbones import vgg16 as usual_vgg16

BINOMIAL = torch.tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
"""The filter: that of (1, 2, 1) / 4 along both sides, the coefficients of (1 + z)^2 / 4."""

MIRRORED = 2
"""Pixels that are mirrored beyond each border before the filter, without the border pixel itself."""


class BlurPool(nn.Module):
    r"""Filter by `BINOMIAL`, and keep every other place of every other row.

    With :math:`\bar x` the image mirrored at its borders by 2 pixels, :math:`\bar x_{i} = x_{i - 2}` inside,

    .. math:: y_{ij} = \tfrac{1}{16} \sum_{a, b = 0}^{2} \tbinom{2}{a} \tbinom{2}{b} \,
              \bar x_{2i + a, 2j + b} ,

    so that h rows become :math:`\lfloor (h + 1) / 2 \rfloor + 1`. A plane that is constant stays so.
    """

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c i j"]:
        """The filtered planes; sides of 3 or more."""
        x = nn.functional.pad(x, 4 * (MIRRORED,), mode="reflect")
        x = x[:, :, 0:-2:2] + 2 * x[:, :, 1:-1:2] + x[:, :, 2::2]
        x = x[..., 0:-2:2] + 2 * x[..., 1:-1:2] + x[..., 2::2]
        return x / 16


def alexnet() -> nn.Sequential:
    """The features of the shift-tolerant AlexNet up to the last ReLU."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, padding=2),
        BlurPool(),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=1),
        BlurPool(),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=1),
        BlurPool(),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
    )


def vgg16() -> nn.Sequential:
    """The features of the shift-tolerant VGG-16 up to the last ReLU."""
    return usual_vgg16(lambda: [nn.MaxPool2d(2, stride=1), BlurPool()])


@dataclass(frozen=True, kw_only=True)
class PackagedBackbone(Backbone):
    """A network whose weights, linear ones included, are in the package stlpips-pytorch.

    Attributes:
        file: Name of the published file.
        sha256: Its SHA-256.
    """

    least_side: int = 21
    file: str
    sha256: str


SHIFT_TOLERANT = {
    "alex": PackagedBackbone(
        build=alexnet,
        taps=(2, 6, 10, 12, 14),
        channels=(64, 192, 384, 256, 256),
        file="alex_shift_tolerant.pth",
        sha256="b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
        batch_pixels=2**15,
    ),
    "vgg": PackagedBackbone(
        build=vgg16,
        taps=(3, 9, 17, 25, 33),
        channels=(64, 128, 256, 512, 512),
        file="vgg_shift_tolerant.pth",
        sha256="44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250",
        batch_pixels=2**13,
    ),
}
"""The networks, by the names that LPIPS gives them. On 20 pixels AlexNet's last filter has none to mirror."""

r"""The convolutional layers under LPIPS: AlexNet, VGG-16 and SqueezeNet 1.1, in plain torch.

Layers have the numbers they have in torchvision (``features.0.weight``...), so that its published files
load unchanged. LPIPS compares what comes out of the layers listed as `taps`, all of them after a ReLU.

References:
    | One weird trick for parallelizing convolutional neural networks (Krizhevsky, 2014)
    | Very Deep Convolutional Networks for Large-Scale Image Recognition (Simonyan & Zisserman, 2015)
    | SqueezeNet: AlexNet-level accuracy with 50x fewer parameters (Iandola et al., 2016)
"""

__all__ = ["BACKBONES", "Backbone", "TorchvisionBackbone"]

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Fire(nn.Module):
    """Squeeze to few channels, then expand by 1x1 and 3x3 convolutions side by side."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b e h w"]:
        """Both expansions in one row of channels."""
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], dim=1)


def alexnet() -> nn.Sequential:
    """The features of AlexNet up to the last ReLU."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
    )


def vgg16(pool: Callable[[], list[nn.Module]] = lambda: [nn.MaxPool2d(2)]) -> nn.Sequential:
    """The features of VGG-16 up to the last ReLU, with what halves them."""
    layers: list[nn.Module] = []
    channels = 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        if layers:
            layers += pool()
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers)


def squeezenet() -> nn.Sequential:
    """The features of SqueezeNet 1.1."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, stride=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        Fire(64, 16, 64),
        Fire(128, 16, 64),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        Fire(128, 32, 128),
        Fire(256, 32, 128),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        Fire(256, 48, 192),
        Fire(384, 48, 192),
        Fire(384, 64, 256),
        Fire(512, 64, 256),
    )


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """One network of LPIPS.

    Attributes:
        build: Makes the layers, with weights of no meaning.
        taps: Numbers of the layers whose output is compared.
        channels: Number of channels that come out of each tap.
        least_side: Pixels of a side from which on images are compared as they are.
        batch_pixels: Pixels of a batch from which on larger batches are no faster.
    """

    build: Callable[[], nn.Sequential]
    taps: tuple[int, ...]
    channels: tuple[int, ...]
    least_side: int
    batch_pixels: int


@dataclass(frozen=True, kw_only=True)
class TorchvisionBackbone(Backbone):
    """A network whose weights are torchvision's.

    Attributes:
        file: Name of torchvision's published weights; it ends in the first 8 digits of their SHA-256.
        linear_file: Name of the published linear weights of LPIPS 0.1.
        linear_sha256: Their SHA-256.
    """

    least_side: int = 32
    file: str
    linear_file: str
    linear_sha256: str


BACKBONES = {
    "alex": TorchvisionBackbone(
        build=alexnet,
        taps=(1, 4, 7, 9, 11),
        channels=(64, 192, 384, 256, 256),
        file="alexnet-owt-7be5be79.pth",
        linear_file="alex.pth",
        linear_sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        batch_pixels=2**16,
    ),
    "vgg": TorchvisionBackbone(
        build=vgg16,
        taps=(3, 8, 15, 22, 29),
        channels=(64, 128, 256, 512, 512),
        file="vgg16-397923af.pth",
        linear_file="vgg.pth",
        linear_sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        batch_pixels=2**13,
    ),
    "squeeze": TorchvisionBackbone(
        build=squeezenet,
        taps=(1, 4, 7, 9, 10, 11, 12),
        channels=(64, 128, 256, 384, 384, 512, 512),
        file="squeezenet1_1-b8a52dc0.pth",
        linear_file="squeeze.pth",
        linear_sha256="4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
        batch_pixels=2**16,
    ),
}
"""The networks, by the names that LPIPS gives them."""

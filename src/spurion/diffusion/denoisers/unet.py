"""The paper's network: the U-Net of DDPM, built as diffusers' `UNet2DModel`.

Residual blocks at every resolution, single-head self-attention at 16x16 and between the two halves,
group normalization, SiLU, sinusoidal time embedding, strided convolutions to go down. Images of 28x28 pass
through 28, 14 and 7 pixels, so that their only attention is the one in the middle.

References:
    | Memorization to Generalization (Pham et al., 2025), Table 3
    | Denoising Diffusion Probabilistic Models (Ho et al., 2020), Appendix B
"""

__all__ = ["PAPER_UNETS", "UNetConfig"]

from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from spurion.core.config import Config
from spurion.diffusion.denoisers.dropout import Dropout
from spurion.diffusion.denoisers.initialize import initialized
from spurion.diffusion.denoisers.network import NetworkDenoiser, Prediction
from spurion.diffusion.schedule import Schedule


class UNetConfig(Config):
    """A U-Net; the defaults are the paper's network for MNIST and Fashion-MNIST.

    Attributes:
        kind: "unet".
        channels: Channels at full resolution, a multiple of `groups`.
        multipliers: Channels at each resolution, as multiples of `channels`; one halving between neighbors.
        blocks: Residual blocks at each resolution on the way down (one more on the way up).
        attention: The resolutions, in pixels of a side, that have self-attention besides the middle.
        groups: Groups of the group normalization.
        dropout: Dropout rate of the residual blocks.
        prediction: What the network predicts.
    """

    kind: Literal["unet"] = "unet"
    channels: PositiveInt = 128
    multipliers: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 2, 2)
    blocks: PositiveInt = 2
    attention: tuple[PositiveInt, ...] = (16,)
    groups: PositiveInt = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    prediction: Prediction = "epsilon"

    @model_validator(mode="after")
    def _check(self) -> "UNetConfig":
        if self.channels % self.groups:
            raise ValueError(f"`channels` must be a multiple of {self.groups} `groups`, got {self.channels}")
        return self

    def network(self, shape: tuple[int, ...]) -> nn.Module:
        """Make the network, as torch initializes it.

        Arguments:
            shape: The image shape (C, H, W), with H = W divisible by the total down-scaling.

        Raises:
            ValueError: If the images are not square or do not halve often enough.
        """
        from diffusers.models.resnet import ResnetBlock2D
        from diffusers.models.unets.unet_2d import UNet2DModel

        halvings = len(self.multipliers) - 1
        if len(shape) != 3 or shape[1] != shape[2] or shape[1] % 2**halvings:
            raise ValueError(
                f"A U-Net with {halvings} halvings needs square images (C, H, H) with H a multiple of "
                f"{2**halvings}, got {tuple(shape)}: resize them or set `multipliers`."
            )
        attentive = [shape[1] // 2**level in self.attention for level in range(halvings + 1)]
        answer: nn.Module = UNet2DModel(
            sample_size=shape[1],
            in_channels=shape[0],
            out_channels=shape[0],
            block_out_channels=tuple(self.channels * multiplier for multiplier in self.multipliers),
            down_block_types=tuple("AttnDownBlock2D" if here else "DownBlock2D" for here in attentive),
            up_block_types=tuple("AttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attentive)),
            layers_per_block=self.blocks,
            dropout=self.dropout,
            norm_num_groups=self.groups,
            norm_eps=1e-6,
            attention_head_dim=None,
            downsample_padding=0,
            flip_sin_to_cos=False,
            freq_shift=1,
        )
        for block in answer.modules():
            if isinstance(block, ResnetBlock2D):
                block.dropout = Dropout(self.dropout)
        return answer

    def build(
        self, images: Float[Tensor, "n *shape"], schedule: Schedule, *, generator: torch.Generator
    ) -> NetworkDenoiser:
        """Make a denoiser with freshly initialized weights for images of this shape.

        Arguments:
            images: Images, with shape (n, C, H, H); only the shape is read.
            schedule: The noise schedule.
            generator: Where the initial weights come from.

        Raises:
            ValueError: If the images are not square or do not halve often enough.
        """
        shape = tuple(images.shape[1:])
        network = initialized(lambda: self.network(shape), generator=generator)
        return NetworkDenoiser(network, schedule, shape, self.prediction)


PAPER_UNETS: dict[str, UNetConfig] = {
    "mnist-128": UNetConfig(channels=128, multipliers=(1, 2, 2)),
    "cifar10-64": UNetConfig(channels=64, multipliers=(1, 2, 2, 2)),
    "cifar10-96": UNetConfig(channels=96, multipliers=(1, 2, 2, 2)),
    "cifar10-128": UNetConfig(channels=128, multipliers=(1, 2, 2, 2)),
    "lsun-church-64": UNetConfig(channels=64, multipliers=(1, 1, 2, 2, 4, 4), dropout=0.0),
    "lsun-church-96": UNetConfig(channels=96, multipliers=(1, 1, 2, 2, 4, 4), dropout=0.0),
    "lsun-church-128": UNetConfig(channels=128, multipliers=(1, 1, 2, 2, 4, 4), dropout=0.0),
}
"""The seven U-Nets of the paper's Table 3, by data set and initial channels (Fashion-MNIST uses MNIST's)."""

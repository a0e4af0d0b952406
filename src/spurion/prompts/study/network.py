"""The network of the study: a conditional U-Net, and the text encoder that learns with it.

To a training it is one network of noisy images and of rows of whole numbers, each a time and the tokens of a
caption, so that the trainings of unconditional networks serve as they are.
"""

__all__ = ["CaptionedNetwork"]

from typing import Any, final

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from jaxtyping import Float, Int64
from torch import Tensor, nn

from spurion.prompts.extra import quiet_libraries, transformers
from spurion.prompts.study.config import PromptNetworkConfig

NORM_GROUPS = 16
HEAD_WIDTH = 16


@final
class CaptionedNetwork(nn.Module):
    """What predicts the noise of an image from its caption.

    Arguments:
        config: The sizes.
        shape: The shape (C, H, W) of an image.
        tokenizer: What makes tokens of captions.
        generator: The random numbers of the initial weights.

    Attributes:
        unet: The U-Net, as a pipeline of diffusers holds it.
        text_encoder: The text encoder, likewise.

    Raises:
        ValueError: If the image's sides cannot be halved so often, or `transformers` is not installed.
    """

    def __init__(
        self,
        config: PromptNetworkConfig,
        shape: tuple[int, ...],
        tokenizer: Any,
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        halved = 2 ** (len(config.channels) - 1)
        if shape[1] % halved or shape[2] % halved:
            raise ValueError(
                f"`network.channels` halves images {len(config.channels) - 1} times, which their size, "
                f"{shape[1]} x {shape[2]}, must allow; give fewer."
            )
        seed = int(torch.randint(2**62, (), generator=generator))
        with torch.random.fork_rng(devices=[]), quiet_libraries():
            torch.random.default_generator.manual_seed(seed)
            self.unet = _unet(config, shape)
            self.text_encoder = _text_encoder(config, tokenizer)

    def forward(
        self, x_t: Float[Tensor, "b C H W"], rows: Int64[Tensor, "b columns"]
    ) -> Float[Tensor, "b C H W"]:
        """What the network predicts of noisy images.

        Arguments:
            x_t: The noisy images.
            rows: The time of each and then the tokens of its caption, all captions of one length.
        """
        states = self.text_encoder(rows[:, 1:]).last_hidden_state
        answer: Tensor = self.unet(x_t, rows[:, 0], states).sample
        return answer


def _unet(config: PromptNetworkConfig, shape: tuple[int, ...]) -> UNet2DConditionModel:
    levels = len(config.channels)
    network: UNet2DConditionModel = UNet2DConditionModel(
        sample_size=shape[1] if shape[1] == shape[2] else tuple(shape[1:]),
        in_channels=shape[0],
        out_channels=shape[0],
        block_out_channels=config.channels,
        layers_per_block=config.layers,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * (levels - 1)),
        up_block_types=(*("CrossAttnUpBlock2D",) * (levels - 1), "UpBlock2D"),
        cross_attention_dim=config.text_width,
        attention_head_dim=HEAD_WIDTH,
        norm_num_groups=NORM_GROUPS,
    )
    return network


def _text_encoder(config: PromptNetworkConfig, tokenizer: Any) -> Any:
    library = transformers()
    settings = library.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.text_width,
        intermediate_size=4 * config.text_width,
        num_hidden_layers=config.text_layers,
        num_attention_heads=config.text_heads,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=config.text_width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return library.CLIPTextModel(settings)

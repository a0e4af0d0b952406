r"""An autoencoder that loses nothing: latents that are the image itself.

A text-to-image pipeline of diffusers works on latents. For small images the study wants none, so that what is
memorized is an image and not a code. `AutoencoderTiny` with one block and these weights, which look at one
pixel each, is the identity, but for the scale that pipelines multiply latents by:

.. math::
    z = x / s \quad\text{(encoder)}, \qquad
    \hat x = 2 \Big( \tfrac12 + \mathrm{ReLU}(\tfrac s2 \tilde z) - \mathrm{ReLU}(-\tfrac s2 \tilde z)
    \Big) - 1 = s \tilde z, \qquad \tilde z = 3 \tanh(z / 3) \quad\text{(decoder)}.

The hyperbolic tangent is the decoder's own; for a scale :math:`s = 256` it is linear to
:math:`z^2 / 27 < 6 \cdot 10^{-7}` in relation to z where :math:`|x| \leq 1`. Powers of 2 are exact in floats.
"""

__all__ = ["SCALE", "lossless_autoencoder"]

import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from torch import nn

SCALE = 256.0
"""The scaling factor s."""


def lossless_autoencoder(channels: int) -> AutoencoderTiny:
    """Make the autoencoder of images with so many channels; see the module.

    Arguments:
        channels: At least 1.

    Returns:
        An `AutoencoderTiny` in float32 and in evaluation mode, whose latents have the images' shape.

    Raises:
        ValueError: If `channels` is below 1.
    """
    if channels < 1:
        raise ValueError(f"`channels` must be at least 1, got {channels}.")
    with torch.random.fork_rng(devices=[]):
        model: AutoencoderTiny = AutoencoderTiny(
            in_channels=channels,
            out_channels=channels,
            latent_channels=channels,
            encoder_block_out_channels=(channels,),
            decoder_block_out_channels=(2 * channels,),
            num_encoder_blocks=(0,),
            num_decoder_blocks=(0,),
            scaling_factor=SCALE,
        )
    one = torch.eye(channels)
    first, last = _convolutions(model.encoder)
    _set(first, one)
    _set(last, one * 2 / SCALE, -1 / SCALE)
    first, last = _convolutions(model.decoder)
    _set(first, torch.cat([one, -one]) * SCALE / 2)
    _set(last, torch.cat([one, -one], dim=1), 0.5)
    model.eval()
    return model


def _convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]


@torch.no_grad()
def _set(layer: nn.Conv2d, matrix: torch.Tensor, bias: float = 0.0) -> None:
    """Make a convolution a matrix that acts on the channels of each pixel."""
    layer.weight.zero_()
    layer.weight[..., layer.kernel_size[0] // 2, layer.kernel_size[1] // 2] = matrix
    if layer.bias is not None:
        layer.bias.fill_(bias)

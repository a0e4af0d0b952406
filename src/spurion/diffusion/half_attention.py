"""Self-attention of a U-Net that computes in bf16 on a CPU.

Two things in torch make attention slow there. Its kernel for bf16 takes longer than the one for float32. And
what leaves an attention block lies in memory with channels last, so that the group normalizations that
follow, as far as the next change of resolution, take some 40 times as long. Here attention computes in
float32, and its answer has channels first. At 16 x 16 pixels a training step then takes three quarters of the
time.
"""

__all__ = ["attend_in_float32"]

from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor, nn


class Float32Attention(AttnProcessor2_0):
    """Attention in the precision of its weights, whatever autocast says."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        """Attend; arguments and answer are those of diffusers' processors, the answer in the input's type."""
        dtype, own = hidden_states.dtype, attn.to_q.weight.dtype
        context = None if encoder_hidden_states is None else encoder_hidden_states.to(own)
        with torch.autocast(hidden_states.device.type, enabled=False):
            answer: Tensor = super().__call__(
                attn, hidden_states.to(own), context, attention_mask, temb, *args, **kwargs
            )
        return answer.to(dtype).contiguous()


def attend_in_float32(network: nn.Module) -> None:
    """Give every plain attention block of a diffusers network this processor; others stay as they are."""
    for module in network.modules():
        processor: object = getattr(module, "processor", None)
        if isinstance(module, Attention) and type(processor) is AttnProcessor2_0:
            make: Any = Float32Attention
            module.set_processor(make())

r"""Cross-attention: where in a latent each token of the prompt is looked at.

A cross-attention layer with queries :math:`q_i` of the positions and keys :math:`k_j` of the tokens weighs

.. math:: a_{ij} = \operatorname{softmax}_j \big( q_i \cdot k_j / \sqrt{d} \big),

in each of its heads. Here it is averaged over the heads, brought to the largest grid by linear interpolation
and averaged over the layers; the weights of a position still sum to 1. Queries and keys are listened to while
the network is passed; the weights are computed from them in float32, whatever kernel the network uses.

References:
    | Prompt-to-Prompt Image Editing with Cross Attention Control (Hertz et al., 2022), Sec. 3
"""

__all__ = ["cross_attention"]

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from spurion.prompts.conditioned import Question
from spurion.prompts.text import Conditioning


@torch.no_grad()
def cross_attention(
    question: Question, conditioning: Conditioning, x_t: Float[Tensor, "n c h w"], t: int
) -> Float[Tensor, "n positions tokens"]:
    """The cross-attention of one pass of the network, averaged over its heads and layers.

    Arguments:
        question: The network.
        conditioning: The prompt.
        x_t: Noisy latents, with shape (n, c, h, w), on the device of the network.
        t: Their step.

    Returns:
        Weights of the tokens (start, end and padding among them) at the positions of the largest grid, row by
        row, float32, with shape (n, positions, tokens).

    Raises:
        ValueError: If the network has no cross-attention.
    """
    with _listening(question.network) as maps:
        question.ask(x_t, torch.full((len(x_t),), t, device=x_t.device), [conditioning])
    if not maps:
        raise ValueError("The network has no cross-attention, so that no token is looked at anywhere.")
    largest = max((tuple(one.shape[2:]) for one in maps), key=lambda grid: grid[0] * grid[1])
    resized = [interpolate(one, largest, mode="bilinear", align_corners=False) for one in maps]
    mean: Tensor = torch.stack(resized).mean(dim=0)
    return mean.flatten(2).movedim(1, 2)


@contextmanager
def _listening(network: Any) -> Iterator[list[Tensor]]:
    """While it lasts, every cross-attention layer adds its weights, with shape (n, tokens, h, w)."""
    maps: list[Tensor] = []
    hooks: list[Any] = []
    grid: list[tuple[int, int]] = []
    for block in network.modules():
        layers = getattr(block, "transformer_blocks", None)
        if layers is None:
            continue
        hooks.append(block.register_forward_pre_hook(lambda _, inputs: _note_grid(grid, inputs[0])))
        hooks += [hook for layer in layers for hook in _hooks(layer.attn2, grid, maps)]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()


def _note_grid(grid: list[tuple[int, int]], x: Tensor) -> None:
    height, width = x.shape[2:]
    grid[:] = [(height, width)]


def _hooks(attention: nn.Module, grid: list[tuple[int, int]], maps: list[Tensor]) -> list[Any]:
    """Listen to the queries and keys of a layer."""
    layer: Any = attention
    queries: list[Tensor] = []

    def keep(_: nn.Module, inputs: Any, out: Tensor) -> None:
        queries[:] = [out]

    def weigh(_: nn.Module, inputs: Any, out: Tensor) -> None:
        query, key = (_heads(part.float(), layer.heads) for part in (queries.pop(), out))
        weights = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(dim=-1).mean(dim=1)
        maps.append(weights.movedim(1, 2).unflatten(2, grid[0]))

    return [layer.to_q.register_forward_hook(keep), layer.to_k.register_forward_hook(weigh)]


def _heads(values: Tensor, heads: int) -> Tensor:
    """From (n, length, heads * d) to (n, heads, length, d)."""
    n, length, width = values.shape
    return values.view(n, length, heads, width // heads).transpose(1, 2)

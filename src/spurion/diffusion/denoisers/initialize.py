r"""Fresh networks whose weights come from one generator, not from torch's global random state.

The network is built without memory (on the "meta" device, where torch draws nothing) and then filled
by torch's own default laws:

- linear and convolution layers: weights and biases uniform on :math:`\pm 1 / \sqrt{\text{fan in}}`;
- normalizations: weights 1, biases 0;
- embeddings: standard normal.

So a network is a function of its configuration and its generator alone.
"""

__all__ = ["initialized"]

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

NetworkT = TypeVar("NetworkT", bound=nn.Module)


def initialized(build: Callable[[], NetworkT], *, generator: torch.Generator) -> NetworkT:
    """Build a network whose parameters are drawn from `generator` by torch's default laws.

    Arguments:
        build: Makes the network. It is called with "meta" as default device; buffers that hold values
            must ask for a real device.
        generator: A CPU generator.

    Returns:
        The network on the CPU, float32.

    Raises:
        ValueError: If a layer is of a kind with no default law here.

    Example:
        >>> layer = initialized(lambda: nn.Linear(4, 2), generator=torch.Generator().manual_seed(0))
        >>> bool((layer.weight.abs() <= 0.5).all())
        True
    """
    with torch.device("meta"):
        network = build()
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            empty = torch.empty_like(parameter, device="cpu")
            setattr(module, name, nn.Parameter(empty, requires_grad=parameter.requires_grad))
        _fill(module, generator)
    return network


@torch.no_grad()
def _fill(module: nn.Module, generator: torch.Generator) -> None:
    own = dict(module.named_parameters(recurse=False))
    weight: Tensor | None = own.get("weight")
    if weight is None and not own:
        return
    if isinstance(module, nn.Linear | nn.Conv2d):
        bound = 1 / math.sqrt(module.weight[0].numel())
        for parameter in own.values():
            parameter.uniform_(-bound, bound, generator=generator)
    elif isinstance(module, nn.GroupNorm | nn.LayerNorm):
        for name, parameter in own.items():
            parameter.fill_(1.0 if name == "weight" else 0.0)
    elif isinstance(module, nn.Embedding):
        module.weight.normal_(generator=generator)
    else:
        raise ValueError(
            f"A layer of kind {type(module).__name__} has no initial law; use Linear, Conv2d, GroupNorm, "
            "LayerNorm or Embedding layers."
        )

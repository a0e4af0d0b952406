r"""All weights of a network as one vector.

The layers of the network become views into the vector, and their gradients views into a second one.
Clipping, the optimizer, the moving average and the checkpoint are then one operation on one tensor
each, whatever the network; for small networks that is a good part of a training step.
"""

__all__ = ["FlatParameters"]

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FlatParameters:
    """The parameters of a network as one vector, shared with its layers.

    Arguments:
        network: The network. Its parameters must be of one dtype, on one device; they are re-bound to
            the vector, so that optimizers must be given `vector`, not the network's own parameters.
        channels_last: Whether convolution weights are laid out with channels last.

    Attributes:
        vector: The weights, with shape (P,); its gradient is `gradient`.
        gradient: The gradients that ``backward()`` adds to, with shape (P,).
    """

    def __init__(self, network: nn.Module, *, channels_last: bool = False) -> None:
        parameters = list(network.parameters())
        laid_out = [self._channels_last(p.detach()) if channels_last else p.detach() for p in parameters]
        self.vector: Float[Tensor, " p"] = nn.Parameter(torch.cat([values.flatten() for values in laid_out]))
        self.gradient: Float[Tensor, " p"] = torch.zeros_like(self.vector)
        self.vector.grad = self.gradient
        start = 0
        for parameter, values in zip(parameters, laid_out, strict=True):
            here = slice(start, start := start + values.numel())
            weights = self.vector.detach()[here].view(values.shape)
            gradient = self.gradient[here].view(values.shape)
            if channels_last:
                weights, gradient = self._channels_first(weights), self._channels_first(gradient)
            parameter.data, parameter.grad = weights, gradient

    @staticmethod
    def _channels_last(values: Tensor) -> Tensor:
        return values.permute(0, 2, 3, 1) if values.ndim == 4 else values

    @staticmethod
    def _channels_first(values: Tensor) -> Tensor:
        return values.permute(0, 3, 1, 2) if values.ndim == 4 else values

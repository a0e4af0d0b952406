r"""The network of the authors' code for the circle: a plain perceptron with Fourier features of time.

.. math:: \hat\epsilon(x_t, t) = f(x_t, g(\tau))

where g is Fourier features and two layers, and f is one linear layer and three with SiLU between. The clock
:math:`\tau` is time itself in (0, 1] for a variance-exploding process, :math:`(t + 1) / T` for DDPM steps.
The score of the authors is this network, with the other sign, divided by :math:`\sigma_t`.
"""

__all__ = ["FourierMLP"]

import math
from collections.abc import Sequence

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from jaxtyping import Float, Num
from torch import Tensor, nn

from spurion.diffusion.denoisers.fourier import FourierTime


class FourierMLP(ModelMixin, ConfigMixin):
    """Perceptron that predicts the noise; a diffusers model.

    Arguments:
        shape: The shape of one item.
        width: The width of all layers and the number of Fourier features, even.
        steps: The number T of steps of a DDPM schedule; None for continuous time in (0, 1].
    """

    @register_to_config
    def __init__(self, shape: Sequence[int], width: int = 128, steps: int | None = None) -> None:
        super().__init__()
        dim = math.prod(shape)
        self.steps = steps
        self.time = FourierTime(width)
        self.embedding = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        hidden = [layer for _ in range(3) for layer in (nn.Linear(width, width), nn.SiLU())]
        self.layers = nn.Sequential(nn.Linear(dim + width, width), *hidden, nn.Linear(width, dim))

    def forward(self, x_t: Float[Tensor, "n *shape"], t: Num[Tensor, " n"]) -> Float[Tensor, "n *shape"]:
        """Predicted noise.

        Arguments:
            x_t: Noisy items, with shape (n, *shape).
            t: Times in (0, 1], or steps in 0..T-1, one for each item.

        Returns:
            The predicted noise, with the shape of `x_t`.
        """
        clock = t.to(x_t) if self.steps is None else (t + 1).to(x_t) / self.steps
        inputs = torch.cat([x_t.flatten(1), self.embedding(self.time(clock))], dim=1)
        predicted: Tensor = self.layers(inputs)
        return predicted.view_as(x_t)

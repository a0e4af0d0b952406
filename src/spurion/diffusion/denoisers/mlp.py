r"""A small residual network for small images and vectors.

The network predicts the noise as

.. math:: \hat\epsilon(x_t, t) = \sigma_t x_t + \alpha_t e^{g(t)} f(x_t, t),

whose first term is the exact answer for standard normal data; the residual network :math:`f` and the
gain :math:`g` learn the rest. The gain matters at low noise, where the noise is the difference between
:math:`x_t` and a clean image divided by a small :math:`\sigma_t`: large, though the difference is not.
Time enters through sinusoids (Vaswani et al., 2017, Sec. 3.5).
"""

__all__ = ["ResidualMLP"]

import math
from collections.abc import Sequence

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import layer_norm, silu

from spurion.diffusion.schedule import DDPMSchedule


class ResidualMLP(ModelMixin, ConfigMixin):
    """Residual multilayer perceptron that predicts the noise; a diffusers model.

    Arguments:
        shape: The shape of one item.
        width: The width of the hidden layers.
        blocks: The number of residual blocks of two layers each.
        time_features: The number of sinusoids of the time embedding, even.
        steps: The number T of steps of the noise schedule.
        beta_start: The first beta of the schedule.
        beta_end: The last beta of the schedule.
        beta_schedule: How its betas grow.
    """

    @register_to_config
    def __init__(
        self,
        shape: Sequence[int],
        width: int = 128,
        blocks: int = 3,
        time_features: int = 64,
        steps: int = 1000,
        beta_start: float = 1e-4,
        beta_end: float = 2e-2,
        beta_schedule: str = "linear",
    ) -> None:
        super().__init__()
        dim = math.prod(shape)
        self.inward = nn.Linear(dim, width)
        self.time = nn.Linear(time_features, width)
        self.gain = nn.Linear(width, 1)
        self.residual = nn.ModuleList(_Block(width) for _ in range(blocks))
        self.outward = nn.Linear(width, dim)
        with torch.device("cpu"):
            times = torch.arange(steps)
            schedule = DDPMSchedule(steps, beta_start, beta_end, beta_schedule)
            tables = {
                "alpha": schedule.alpha(times).unsqueeze(1),
                "sigma": schedule.sigma(times).unsqueeze(1),
                "sinusoids": _sinusoids(times, time_features),
            }
        for name, table in tables.items():
            self.register_buffer(name, table.float(), persistent=False)

    def forward(self, x_t: Float[Tensor, "n *shape"], t: Int[Tensor, " n"]) -> Float[Tensor, "n *shape"]:
        """Predicted noise.

        Arguments:
            x_t: Noisy items, with shape (n, *shape).
            t: Steps in 0..T-1, one for each item.

        Returns:
            The predicted noise, with the shape of `x_t`.
        """
        x = x_t.flatten(1)
        alpha, sigma, sinusoids = (self.get_buffer(name)[t] for name in ("alpha", "sigma", "sinusoids"))
        embedding = self.time(sinusoids)
        hidden = self.inward(x)
        for block in self.residual:
            hidden = block(hidden, embedding)
        gain = alpha * self.gain(silu(embedding)).exp()
        answer: Float[Tensor, "n *shape"] = (sigma * x + gain * self.outward(silu(hidden))).view_as(x_t)
        return answer


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        normal = layer_norm(hidden, hidden.shape[1:])
        answer: Tensor = hidden + self.second(silu(self.first(normal) + embedding))
        return answer


def _sinusoids(times: Tensor, features: int) -> Tensor:
    half = features // 2
    frequencies = torch.exp(-math.log(10_000.0) / half * torch.arange(half, dtype=torch.float64))
    angles = times.double().unsqueeze(1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)

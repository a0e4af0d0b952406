r"""The network of the paper's text for the circle: an encoder and a decoder of residual blocks.

.. math:: \hat\epsilon(x_t, t) = \text{out} \circ \text{decoder} \circ \text{encoder} \circ \text{in}(x_t),

with a linear layer in and one out, four residual blocks (two linear layers, Swish) on each side, and the
Fourier features of time, after a linear layer, added inside every block. Each decoder block also sees what
the encoder block opposite to it made, as in a U-Net.

The paper does not say on which clock time is read. Here it is the logarithm of the noise-to-signal ratio,
:math:`\tau = \log(\sigma_t / \alpha_t)` (for a variance-exploding process in units of its scale:
:math:`\tau = \frac12 \log t`), on which the posterior changes at the same pace at all noise levels.

References:
    | Memorization to Generalization (Pham et al., 2025), Sec. A.2
"""

__all__ = ["FourierResidual"]

import math
from collections.abc import Sequence

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.nn.functional import silu

from spurion.diffusion.denoisers.fourier import FourierTime
from spurion.diffusion.schedule import DDPMSchedule


class FourierResidual(ModelMixin, ConfigMixin):
    """Encoder and decoder of residual blocks that predict the noise; a diffusers model.

    Arguments:
        shape: The shape of one item.
        width: The width of all layers and the number of Fourier features, even.
        blocks: The number of residual blocks of the encoder, and of the decoder.
        steps: The number T of steps of a DDPM schedule; None for continuous time in (0, 1].
        beta_start: The first beta of a DDPM schedule.
        beta_end: The last beta of a DDPM schedule.
        beta_schedule: How its betas grow.
    """

    @register_to_config
    def __init__(
        self,
        shape: Sequence[int],
        width: int = 256,
        blocks: int = 4,
        steps: int | None = None,
        beta_start: float = 1e-4,
        beta_end: float = 2e-2,
        beta_schedule: str = "linear",
    ) -> None:
        super().__init__()
        dim = math.prod(shape)
        self.inward = nn.Linear(dim, width)
        self.time = FourierTime(width)
        self.embedding = nn.Linear(width, width)
        self.encoder = nn.ModuleList(_Block(width) for _ in range(blocks))
        self.decoder = nn.ModuleList(_Block(width) for _ in range(blocks))
        self.outward = nn.Linear(width, dim)
        table = (
            None if steps is None else _log_ratios(DDPMSchedule(steps, beta_start, beta_end, beta_schedule))
        )
        self.register_buffer("log_ratios", table, persistent=False)

    def forward(self, x_t: Float[Tensor, "n *shape"], t: Num[Tensor, " n"]) -> Float[Tensor, "n *shape"]:
        """Predicted noise.

        Arguments:
            x_t: Noisy items, with shape (n, *shape).
            t: Times in (0, 1], or steps in 0..T-1, one for each item.

        Returns:
            The predicted noise, with the shape of `x_t`.
        """
        table: Tensor | None = self.log_ratios
        clock = t.to(x_t).log() / 2 if table is None else table[t]
        embedding = self.embedding(self.time(clock))
        hidden = self.inward(x_t.flatten(1))
        passed = []
        for block in self.encoder:
            hidden = block(hidden, embedding)
            passed.append(hidden)
        for block in self.decoder:
            hidden = block((hidden + passed.pop()) / math.sqrt(2), embedding)
        predicted: Tensor = self.outward(silu(hidden))
        return predicted.view_as(x_t)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        answer: Tensor = hidden + self.second(silu(self.first(silu(hidden)) + embedding))
        return answer


def _log_ratios(schedule: DDPMSchedule) -> Tensor:
    with torch.device("cpu"):
        t = torch.arange(schedule.steps)
        return (schedule.sigma(t) / schedule.alpha(t)).log().float()

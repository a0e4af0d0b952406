r"""Dropout whose random bits are cheap on a CPU.

Every coordinate is kept with a probability :math:`q` near :math:`1 - p` and divided by it, so that its mean
stays. torch draws one number of the Mersenne Twister and converts it for every coordinate, which takes a
tenth of a training step of a U-Net; here one 64-bit draw is four 16-bit integers, and :math:`q` is a multiple
of :math:`2^{-16}`. Other devices have torch's own dropout.
"""

__all__ = ["Dropout"]

import torch
from torch import Tensor, nn

LANES = 4
"""16-bit integers in a draw of 64 bits."""

VALUES = 2**16


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, with the same law to :math:`2^{-17}` and other random numbers on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Zero coordinates with probability p, and divide the others by the probability to be kept."""
        if not self.training or x.device.type != "cpu" or not 0 < self.p < 1:
            return super().forward(x)
        kept = min(max(round((1 - self.p) * VALUES), 1), VALUES)
        draws = torch.empty(-(-x.numel() // LANES), dtype=torch.int64).random_(-(2**63), None)
        lanes = draws.view(torch.int16)[: x.numel()]
        factors = (lanes < kept - VALUES // 2).to(x.dtype).mul_(VALUES / kept)
        return x * factors.view(x.shape)

r"""LPIPS as a squared Euclidean distance.

Let :math:`f_l(x)` with shape :math:`(C_l, H_l, W_l)` come out of layer l of a network,
:math:`\hat f_l = f_l / (\lVert f_l \rVert + 10^{-10})` be normalized over its channels at every place, and
:math:`w_{lc} \geq 0` be the linear weights. LPIPS is

.. math:: d(x, y) = \sum_l \frac{1}{H_l W_l} \sum_{h, w, c} w_{lc}
          \bigl( \hat f_{lchw}(x) - \hat f_{lchw}(y) \bigr)^2
          = \lVert \Phi(x) - \Phi(y) \rVert^2, \qquad
          \Phi = \operatorname{concat}_l \sqrt{\tfrac{w_{lc}}{H_l W_l}} \, \hat f_l ,

so each image passes the network once, where pairs would pass it once a pair. Channels of weight 0 drop out
of :math:`\Phi`: with the published weights 3,490 of AlexNet's 5,760 numbers remain at 32 x 32 pixels.

References:
    | The Unreasonable Effectiveness of Deep Features as a Perceptual Metric (Zhang et al., 2018)
    | https://arxiv.org/abs/1801.03924
"""

__all__ = ["ENLARGED_SIDE", "Embedding", "enlarged_shape"]

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spurion.neighbors.lpips.backbones import Backbone

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""(x - SHIFT) / SCALE standardizes images in [-1, 1] by the mean and deviation of ImageNet."""

EPSILON = 1e-10

ENLARGED_SIDE = 32
"""Sides too short for a network are enlarged to this many pixels, repeating the nearest ("nearest-exact")."""


class Embedding(nn.Module):
    r"""The map :math:`\Phi`; see the module.

    Arguments:
        backbone: The network.
        features: The state of its layers.
        linear: The weights :math:`w_l` of each tap, with shape (C_l,).
    """

    def __init__(
        self, backbone: Backbone, features: Mapping[str, Tensor], linear: Sequence[Float[Tensor, " _"]]
    ) -> None:
        super().__init__()
        with torch.device("meta"):  # draws no random numbers
            self.features = backbone.build()
        self.features.load_state_dict(dict(features), assign=True)
        self.taps = backbone.taps
        self.least_side = backbone.least_side
        for index, weights in enumerate(linear):
            kept = weights.nonzero()[:, 0]
            self.register_buffer(f"kept_{index}", kept)
            self.register_buffer(f"root_{index}", weights[kept].double().sqrt())
        self.register_buffer("shift", torch.tensor(SHIFT, dtype=torch.float64)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE, dtype=torch.float64)[:, None, None])
        self.requires_grad_(False)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        """Embed images in [-1, 1] with 1 or 3 channels, in their precision, with shape (b, d)."""
        x = images.expand(-1, 3, -1, -1)
        size = enlarged_shape((x.shape[2], x.shape[3]), self.least_side)
        if size != tuple(x.shape[2:]):
            x = nn.functional.interpolate(x, size=size, mode="nearest-exact")
        x = (x - self.get_buffer("shift").to(x.dtype)) / self.get_buffer("scale").to(x.dtype)
        parts: list[Tensor] = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.taps:
                parts.append(self._part(x, len(parts)))
        return torch.cat(parts, dim=1)

    def _part(self, f: Float[Tensor, "b c h w"], index: int) -> Float[Tensor, "b d_l"]:
        """The numbers of one tap."""
        places = f.shape[2] * f.shape[3]
        root = self.get_buffer(f"root_{index}") / places**0.5
        norm = f.square().sum(dim=1, keepdim=True).sqrt() + EPSILON
        kept = f[:, self.get_buffer(f"kept_{index}")]
        answer: Float[Tensor, "b d_l"] = (kept / norm * root.to(f.dtype)[:, None, None]).flatten(start_dim=1)
        return answer


def enlarged_shape(size: tuple[int, int], least: int) -> tuple[int, int]:
    """Height and width at which images of a height and width are compared.

    Arguments:
        size: Height and width in pixels.
        least: The least side that the network takes as it is.

    Example:
        >>> enlarged_shape((28, 40), 32), enlarged_shape((28, 20), 21)
        ((32, 40), (28, 32))
    """
    height, width = (side if side >= least else ENLARGED_SIDE for side in size)
    return height, width

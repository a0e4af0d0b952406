r"""The dot-product form of the dense associative memory, exactly the same memory in other clothes.

With an inverse temperature :math:`\beta`, patterns :math:`\xi_\mu` (K,D) and a bias :math:`b_\mu` for
each of them,

.. math::
    E_\mathrm{dot}(x) = \tfrac12 \lVert x \rVert^2
        - \frac1\beta \log \sum_\mu e^{\beta x \cdot \xi_\mu + b_\mu} .

Expanding the squared distance in the energy of `DenseAM` at :math:`\beta_{AM}` gives

.. math::
    E_{AM}(x; \beta_{AM}) = 2 E_\mathrm{dot}(x; 2\beta_{AM}), \qquad
    b_\mu = -\beta_{AM} \lVert \xi_\mu \rVert^2 ,

for patterns of any norms. Where all norms are equal the bias is one constant and may be left out, which
is the textbook form. Without the bias, patterns of unequal norm are another memory: long ones win.

The other way round, any dot-product memory is a dense memory with one more coordinate: give pattern
:math:`\mu` the height :math:`h_\mu = \sqrt{2(c - b_\mu)/\beta - \lVert \xi_\mu \rVert^2}` and let
states have height 0. Then :math:`E_\mathrm{dot}(x) = -\frac1\beta [\log Z(x, 0) + c]` with the partition
function at :math:`\beta_{AM} = \beta / 2`. So the softmax here is the one of `attention`, too.

References:
    | Memorization to Generalization (Pham et al., 2025), workshop version, Eq. 10-13
    | Hopfield Networks is All You Need (Ramsauer et al., 2021), Eq. 2-3
"""

__all__ = ["DotProductAM"]

import math

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.core.arguments import NUMBER, TENSOR, check_arguments, optional
from spurion.memory.dense import DenseAM
from spurion.memory.logits import check_patterns


class DotProductAM:
    """Dot-product energy of stored patterns; states `x` have shape (n, D).

    Arguments:
        patterns: The stored patterns, float32 or float64, with shape (K, D).
        beta: The inverse temperature, positive. Twice the one of the dense form.
        bias: One number for each pattern, with shape (K); none means 0.

    Attributes:
        lifted: The dense memory at beta / 2 over the patterns with one more coordinate, (K, D + 1).
        constant: The constant c of the conversion.

    Raises:
        ValueError: If the patterns are empty or not finite, `beta` is not positive, or the bias does
            not fit.

    Example:
        >>> memory = DotProductAM(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), beta=2.0)
        >>> memory.update(torch.tensor([[0.5, 3.0]]))  # tanh(beta x_1)
        tensor([[0.7616, 0.0000]])
    """

    def __init__(
        self, patterns: Float[Tensor, "K D"], beta: float, bias: Float[Tensor, " _"] | None = None
    ) -> None:
        check_patterns(patterns)
        check_arguments(locals(), {"beta": NUMBER, "bias": optional(TENSOR)})
        if not (beta > 0 and math.isfinite(beta)):
            raise ValueError(f"`beta` must be positive and finite, got {beta}.")
        if bias is None:
            bias = patterns.new_zeros(len(patterns))
        if bias.shape != (len(patterns),) or not bool(torch.isfinite(bias).all()):
            raise ValueError(f"`bias` must be {len(patterns)} finite numbers, got shape {tuple(bias.shape)}.")
        self.beta, self.bias, self.patterns = float(beta), bias, patterns
        squares = patterns.double().square().sum(1)
        self.constant = float((bias.double() + self.beta / 2 * squares).max())
        heights = (2 / self.beta * (self.constant - bias.double()) - squares).clamp_min(0).sqrt()
        self.lifted = DenseAM(torch.cat([patterns, heights[:, None].to(patterns.dtype)], 1), self.beta / 2)

    @classmethod
    def from_dense(cls, memory: DenseAM) -> "DotProductAM":
        """The same memory in dot-product form: ``memory.energy(x) == 2 * result.energy(x)``."""
        bias = -memory.beta * memory.patterns.double().square().sum(1)
        return cls(memory.patterns, 2 * memory.beta, bias.to(memory.patterns.dtype))

    def energy(self, x: Float[Tensor, "n D"]) -> Float[Tensor, " n"]:
        """Energy, with shape (n)."""
        return -(self.lifted.log_partition(self._lift(x)) + self.constant) / self.beta

    def gradient(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
        """Gradient x - m of the energy, with shape (n, D)."""
        return -self.lifted.posterior(self._lift(x)).shift[:, :-1]

    def hessian(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n D D"]:
        """Hessian I - beta C of the energy, with shape (n, D, D)."""
        return self.lifted.hessian(self._lift(x))[:, :-1, :-1] / 2

    def update(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
        """One step of attention: the patterns averaged with weights softmax(beta x . xi + b)."""
        return self.lifted.posterior_mean(self._lift(x))[:, :-1]

    def weights(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n K"]:
        """The attention weights softmax(beta x . xi + b), with shape (n, K)."""
        return self.lifted.weights(self._lift(x))

    def _lift(self, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.patterns.shape[1]:
            raise ValueError(f"`x` must have shape (n, {self.patterns.shape[1]}), got {tuple(x.shape)}.")
        return torch.nn.functional.pad(x, (0, 1))

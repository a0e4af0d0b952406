r"""How sharply the density with the prompt rises over the one without, along the way it pulls.

.. math::
    \lVert (H_c - H_0) (s_c - s_0) \rVert_2 \quad \text{at } x_T, \qquad
    H = \nabla s = \nabla^2 \log p_T,

by one product of the Jacobian of :math:`s_c - s_0` with a vector. Jeon et al. write the square of it in their
paper and average the length itself over seeds in their code; the length is read here, which ranks seeds alike
and prompts more steadily.

Where a model has no such product, it is a central difference along the unit vector u of
:math:`v = s_c - s_0`,

.. math::
    (H_c - H_0) v \approx \lVert v \rVert \frac{v(x_T + h u) - v(x_T - h u)}{2 h}, \qquad
    h = \epsilon^{1/3} \max(1, \lVert x_T \rVert)

with the rounding :math:`\epsilon` of the model's numbers, and the reading says so.

References:
    | Understanding and Mitigating Memorization in Generative Models via Sharpness of Probability Landscapes
      (Jeon et al., 2025)
    | https://arxiv.org/abs/2412.04140
"""

__all__ = ["Sharpness", "by_difference", "by_product"]

from collections.abc import Callable
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.diffusion.jacobian import JacobianProducts
from spurion.prompts.detectors.kinds import Detector, Reading, lengths
from spurion.prompts.subject import Subject

Field = Callable[[Tensor], Tensor]


@final
class Sharpness(Detector):
    """The Jacobian of the score difference times the score difference, at the initial noises."""

    name = "sharpness"
    unit = "1 / length^3"
    source = "Jeon et al. (2025), arXiv 2412.04140"
    higher = True
    published = "AUC 0.998, TPR at 1 % FPR 0.982 (SD 1.4, first step, 4 seeds)"

    def read(self, subject: Subject) -> Reading:
        """Lengths of the product, or of the difference where there is no product."""
        t, x = subject.seeds.walk.times[0], subject.seeds.noises
        sigma = (1 - subject.seeds.bars[0]) ** 0.5
        pull = (subject.seeds.first - subject.first) / sigma
        before, note = subject.spent, ""

        def difference(items: Tensor) -> Tensor:
            return subject.conditional.score(items, t) - subject.unconditional.score(items, t)

        try:
            product = by_product(difference, x, pull)
            subject.spend(2)  # the derivatives of both scores
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            product = by_difference(difference, x, pull)
            note = "by central difference, for the model has no Jacobian products"
        broken = ~pull.flatten(1).isfinite().all(dim=1).cpu()
        values = lengths(product).masked_fill(broken, torch.nan)
        return Reading(values, 1 + subject.spent - before, {}, note)


def by_product(
    field: Field, x: Float[Tensor, "m *shape"], vectors: Float[Tensor, "m *shape"]
) -> Float[Tensor, "m *shape"]:
    """The Jacobian of a field times one vector for each item.

    Raises:
        RuntimeError: If the field cannot be differentiated in any way.
    """
    return JacobianProducts(field, x).push(vectors[None])[0]


@torch.no_grad()
def by_difference(
    field: Field, x: Float[Tensor, "m *shape"], vectors: Float[Tensor, "m *shape"]
) -> Float[Tensor, "m *shape"]:
    """The same by a central difference along each vector; 0 along a vector of zeros."""
    one_each = (-1,) + (1,) * (x.ndim - 1)
    size = vectors.flatten(1).norm(dim=1).view(one_each)
    unit = vectors / size.clamp(min=torch.finfo(x.dtype).tiny)
    step = torch.finfo(x.dtype).eps ** (1 / 3) * x.flatten(1).norm(dim=1).clamp(min=1).view(one_each)
    product: Tensor = size * (field(x + step * unit) - field(x - step * unit)) / (2 * step)
    return product

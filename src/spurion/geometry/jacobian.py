r"""The Jacobian of the score at clean points, as an operator and in full.

The curvature of the energy around a clean point :math:`x` is read at :math:`x_t = \alpha_t x`, without
noise. There a posterior mean :math:`\hat x` with posterior covariance :math:`C` has a score with Jacobian

.. math:: J = \nabla s(x_t, t) = -\frac{1}{\sigma_t^2} \Big(I - \frac{\alpha_t^2}{\sigma_t^2} C\Big),

and everything here is normalized, so that times and dimensions compare:

.. math:: N = -\sigma_t^2 J = \frac{\partial}{\partial x_t} (x_t - \alpha_t \hat x).

The eigenvalues :math:`\rho = 1 - \alpha_t^2 \lambda(C) / \sigma_t^2` of N are the *stiffness* of the
directions: 1 across the data (an isolated memory has nothing else), near 0 along the data, and negative
where the point is unstable, for instance between two patterns that have not merged. None exceeds 1 for a
true posterior mean. A network's N is not symmetric: its stiffness is read from the symmetric part.

References:
    | Memorization to Generalization (Pham et al., 2025), Eq. 35-36
"""

__all__ = ["ScoreJacobian", "coefficients"]

from collections.abc import Callable
from functools import cached_property
from math import prod
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.jacobian import JacobianProducts
from spurion.diffusion.schedule import Schedule
from spurion.geometry.measured import check_points


def coefficients(schedule: Schedule, t: float) -> tuple[float, float]:
    """Alpha and sigma at one time."""
    time = torch.tensor(t, dtype=torch.float64 if isinstance(t, float) else torch.long)
    return float(schedule.alpha(time)), float(schedule.sigma(time))


@final
class ScoreJacobian:
    r"""The normalized Jacobian :math:`N = -\sigma_t^2 J` of the score at n points; J is never formed.

    Products are those of `spurion.diffusion.jacobian`, in batches of vectors. A point that is not finite
    gives NaN, and no other point notices.

    Arguments:
        denoiser: The model.
        x: Clean points, with shape (n, *shape).
        t: The time, one for all.
        batch_size: How many vectors go through the model at once, but at least one for each point; this
            bounds the memory.

    Attributes:
        x_t: The points :math:`\alpha_t x`, zero where not finite, in the dtype of the model.
        finite: Which points are finite, with shape (n,).
        alpha: :math:`\alpha_t`.
        sigma: :math:`\sigma_t`.

    Raises:
        ValueError: If `x` does not have the model's shape, or `batch_size` is below 1.
    """

    def __init__(
        self, denoiser: Denoiser, x: Float[Tensor, "n *shape"], t: float, *, batch_size: int = 1024
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1, got {batch_size}.")
        self._x = x.detach().to(denoiser.device, denoiser.dtype)
        self.finite: Bool[Tensor, " n"] = check_points(denoiser, self._x)
        self.denoiser, self.t, self.batch_size = denoiser, t, batch_size
        self.alpha, self.sigma = coefficients(denoiser.schedule, t)
        keep = self.finite.view(-1, *[1] * len(denoiser.shape))
        self.x_t = self.alpha * torch.where(keep, self._x, torch.zeros_like(self._x))
        self._products = JacobianProducts(self._noise, self.x_t, batch_size)

    def __len__(self) -> int:
        return len(self.x_t)

    @property
    def dim(self) -> int:
        """The number D of coordinates."""
        return prod(self.denoiser.shape)

    @cached_property
    def failed(self) -> Bool[Tensor, " n"]:
        """Which points are not finite, or the model's answer at them, with shape (n,), on the CPU.

        A NaN that does not depend on the input has a derivative of 0, and would look like a memory.
        """
        return ~self.noise().isfinite().all(dim=1)

    @property
    def unit(self) -> float:
        """The relative rounding of the model's numbers."""
        return torch.finfo(self.x_t.dtype).eps

    def at(self, points: slice) -> "ScoreJacobian":
        """The Jacobian at some of the points."""
        return ScoreJacobian(self.denoiser, self._x[points], self.t, batch_size=self.batch_size)

    def noise(self, x_t: Float[Tensor, "k *shape"] | None = None) -> Float[Tensor, "k D"]:
        r"""The scaled noise :math:`x_t - \alpha_t \hat x = -\sigma_t^2 s`, whose Jacobian N is.

        Arguments:
            x_t: Noisy items; the points themselves if not given.

        Returns:
            Float64 on the CPU, with shape (k, D).
        """
        items = self.x_t if x_t is None else x_t
        with torch.no_grad():
            parts = [self._noise(part).flatten(1).cpu().double() for part in items.split(self.batch_size)]
        out = torch.cat(parts)
        return torch.where(self.finite.cpu()[:, None], out, torch.nan) if x_t is None else out

    def push(self, vectors: Float[Tensor, "n m D"]) -> Float[Tensor, "n m D"]:
        """Products N v with m vectors for each point; float64 on the CPU."""
        return self._applied(self._products.push, vectors)

    def pull(self, vectors: Float[Tensor, "n m D"]) -> Float[Tensor, "n m D"]:
        """Products N^T v with m vectors for each point; float64 on the CPU."""
        return self._applied(self._products.pull, vectors)

    def symmetric(self, vectors: Float[Tensor, "n m D"]) -> Float[Tensor, "n m D"]:
        """Products (N + N^T) v / 2 with m vectors for each point; float64 on the CPU."""
        return (self.push(vectors) + self.pull(vectors)) / 2

    def full(self) -> Float[Tensor, "n D D"]:
        """The matrices N themselves, row by row; float64 on the CPU."""
        return self.pull(torch.eye(self.dim, dtype=torch.float64).expand(len(self), -1, -1))

    def _applied(self, product: Callable[[Tensor], Tensor], vectors: Tensor) -> Tensor:
        """A product with vectors (n, m, D), in groups that go to the device together."""
        out = torch.empty(vectors.shape, dtype=torch.float64)
        for group in torch.arange(vectors.shape[1]).split(self._products.count):
            part = vectors[:, group].movedim(1, 0).unflatten(2, self.denoiser.shape)
            out[:, group] = product(part.to(self.x_t).contiguous()).flatten(2).movedim(0, 1).to(out)
        out[self.failed] = torch.nan
        return out

    def _noise(self, x_t: Tensor) -> Tensor:
        return self.sigma * self.denoiser.epsilon(x_t, self.t)

r"""The one interface of all models: the posterior mean of the clean image.

.. math:: \hat x(x_t, t) = \mathbb{E}[x \mid x_t]

Everything else follows from it and the schedule (Tweedie):

.. math::
    s(x_t, t) = \nabla \log p_t(x_t) = \frac{\alpha_t \hat x - x_t}{\sigma_t^2}, \qquad
    \hat\epsilon(x_t, t) = \frac{x_t - \alpha_t \hat x}{\sigma_t} = -\sigma_t s(x_t, t).
"""

__all__ = ["Denoiser"]

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, final

import torch
from jaxtyping import Float, Num
from torch import Tensor

from spurion.diffusion.schedule import Schedule


class Denoiser(ABC):
    """A posterior mean with its schedule; abstract or final, like all classes here.

    Attributes:
        schedule: The noise schedule.
        shape: The shape of one item: (C, H, W) for images, (D,) for vectors.
        dtype: The floating-point type it computes in; samplers keep their state in it.
        device: Where it computes.
        clip_range: Where samplers clip its answers, in [-clip_range, clip_range].
        name: What messages call it: the folder it was loaded from.
        folder_hash: The `folder_hash` of that folder; None for one made in memory.
        identity: Of a kind that `save_denoiser` cannot save: plain values (as JSON knows them) that decide
            its answers, the weights by their hash; None: the numbers themselves are hashed.
    """

    schedule: Schedule
    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    device: torch.device = torch.device("cpu")
    clip_range: float = 1.0
    name: str = "in memory"
    folder_hash: str | None = None
    identity: Mapping[str, Any] | None = None

    @abstractmethod
    def denoise(self, x_t: Float[Tensor, "n *shape"], t: Num[Tensor, " n"]) -> Float[Tensor, "n *shape"]:
        """Posterior mean for checked arguments: one time for every item."""

    @final
    def __call__(
        self, x_t: Float[Tensor, "n *shape"], t: Num[Tensor, "*n"] | float | int
    ) -> Float[Tensor, "n *shape"]:
        """Posterior mean of the clean image.

        Arguments:
            x_t: Noisy items, with shape (n, *shape).
            t: One time for all (a number or a tensor with shape ()), or one for each, with shape (n,).

        Returns:
            The posterior means, with the shape and dtype of `x_t`.

        Raises:
            ValueError: If the shapes do not fit.
        """
        return self.denoise(x_t, self._times(x_t, t))

    @final
    def score(
        self, x_t: Float[Tensor, "n *shape"], t: Num[Tensor, "*n"] | float | int
    ) -> Float[Tensor, "n *shape"]:
        r"""Score :math:`(\alpha_t \hat x - x_t) / \sigma_t^2`; arguments as for the denoiser itself."""
        times = self._times(x_t, t)
        alpha, sigma = self._coefficients(x_t, times)
        return (alpha * self.denoise(x_t, times) - x_t) / sigma**2

    @final
    def epsilon(
        self, x_t: Float[Tensor, "n *shape"], t: Num[Tensor, "*n"] | float | int
    ) -> Float[Tensor, "n *shape"]:
        r"""Noise :math:`(x_t - \alpha_t \hat x) / \sigma_t`; arguments as for the denoiser itself."""
        times = self._times(x_t, t)
        alpha, sigma = self._coefficients(x_t, times)
        return (x_t - alpha * self.denoise(x_t, times)) / sigma

    def _times(self, x_t: Tensor, t: Tensor | float | int) -> Tensor:
        if tuple(x_t.shape[1:]) != tuple(self.shape):
            raise ValueError(
                f"`x_t` must have shape (n, {', '.join(map(str, self.shape))}), got {tuple(x_t.shape)}."
            )
        dtype = torch.float64 if isinstance(t, float) else None  # not the default, which would round it
        times = torch.as_tensor(t, dtype=dtype, device=x_t.device)
        if times.ndim == 0:
            return times.expand(len(x_t))
        if times.shape != (len(x_t),):
            raise ValueError(f"`t` must be one time or {len(x_t)} times, got shape {tuple(times.shape)}.")
        return times

    def _coefficients(self, x_t: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha and sigma of every item, in the dtype and on the device of `x_t`, shaped to multiply it."""
        one_each = (-1,) + (1,) * len(self.shape)
        times = times.cpu()  # the schedules compute in float64, which some devices do not have
        alpha, sigma = self.schedule.alpha(times), self.schedule.sigma(times)
        return alpha.to(x_t).view(one_each), sigma.to(x_t).view(one_each)

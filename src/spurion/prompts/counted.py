"""A denoiser that counts how often it is asked: what a reading costs, whoever asks."""

__all__ = ["CountedDenoiser"]

from typing import final

from jaxtyping import Float, Num
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser


@final
class CountedDenoiser(Denoiser):
    """Another denoiser, with a count of the items that it was asked about.

    A pass that carries derivatives forward through the model asks once; the derivatives themselves are not
    seen here, and whoever takes them adds them.

    Arguments:
        denoiser: The denoiser that answers.

    Attributes:
        items: The number of items so far.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self.items = 0
        self.schedule, self.shape = denoiser.schedule, tuple(denoiser.shape)
        self.dtype, self.device = denoiser.dtype, denoiser.device
        self.clip_range, self.name = denoiser.clip_range, denoiser.name
        self.folder_hash, self.identity = denoiser.folder_hash, denoiser.identity

    def denoise(self, x_t: Float[Tensor, "n *shape"], t: Num[Tensor, " n"]) -> Float[Tensor, "n *shape"]:
        """The answer of the other denoiser."""
        self.items += len(x_t)
        return self._denoiser.denoise(x_t, t)

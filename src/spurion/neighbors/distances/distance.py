r"""What a distance is: a name, a unit and an embedding.

Every distance of Spurion is a function of the Euclidean distance of embedded images,

.. math:: e(x, y) = \lVert \phi(x) - \phi(y) \rVert_2, \qquad d(x, y) = e \quad \text{or} \quad d = c \, e^2 ,

so that one exact search serves all of them: :math:`d` grows with :math:`e`, so the nearest stays the nearest.
The distance itself is always computed by `subtracted`: subtraction first, in float64. The shortcut
:math:`|x|^2 + |y|^2 - 2 x \cdot y` loses every digit where copies live, so it may propose neighbors
(`spurion.neighbors.bounds`) but never decides.
"""

__all__ = ["Distance", "DistanceInfo", "subtracted"]

import copy
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float, Float64
from pydantic import Field
from torch import Tensor

from spurion.core.config import Config
from spurion.core.quantities import Label
from spurion.neighbors.distances.keeper import Keeper


class DistanceInfo(Config):
    """What a result says about its distance."""

    name: Label = Field(description="Its name, with a mark in brackets if its weights are not the published.")
    unit: Label
    weights: str | None = Field(
        None, description="The files behind it, with the first 16 digits of their SHA-256; null if none."
    )


class Distance(ABC):
    """A distance between images: one file, one line in `DISTANCES`.

    Attributes:
        name: The name a user types.
        unit: The unit of its values, for axes and tables.
        square_factor: The c of :math:`d = c e^2`; None where the distance is :math:`e` itself.
        mark: What the name in a result carries in brackets; empty if there is nothing to say.
        weights: The files behind the distance; None if it has none.
        in_studies: Whether a study, which makes images of its own, can use it by name.
        embeds_any_image: Whether it can embed images that it was not made for.
        costly: Whether vectors cost so much that they are worth keeping.
        keeper: What keeps its vectors, if they are kept; see `kept`.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    square_factor: ClassVar[float | None] = None
    in_studies: ClassVar[bool] = True
    mark: str = ""
    weights: str | None = None
    embeds_any_image: bool = True
    costly: bool = True
    keeper: Keeper | None = None

    @abstractmethod
    def embed(self, images: Float[Tensor, "n *shape"]) -> Float[Tensor, "n d"]:
        """The vectors whose Euclidean distance this is a function of, one row for each image.

        The row of an image does not depend on the images beside it.
        """

    @classmethod
    def load(cls, weights: str | None = None, allow_download: bool = False) -> "Distance":
        """Make the distance; one that is more than a formula finds what it needs.

        Arguments:
            weights: What a user gave as ``--weights``.
            allow_download: Whether the network may be used.

        Raises:
            ValueError: If what it needs is not there, or `weights` are given to a distance without any.
        """
        if weights is not None:
            raise ValueError(f"The distance `{cls.name}` has no weights, got {weights!r}; leave them out.")
        return cls()

    @classmethod
    def state(cls) -> str:
        """Whether the distance is ready, or what it lacks: a line of `spurion doctor`."""
        return "ready"

    def notes(self, shape: tuple[int, ...]) -> tuple[str, ...]:
        """What a reader must know about distances between images of shape (C, H, W)."""
        return ()

    @property
    def info(self) -> DistanceInfo:
        """What a result says about this distance."""
        name = f"{self.name} ({self.mark})" if self.mark else self.name
        return DistanceInfo(name=name, unit=self.unit, weights=self.weights)

    def kept(self, cache: Path | str | None = None) -> "Distance":
        """The same distance, of which searches keep the vectors of all images they see.

        Give it to several searches among the same images, and each of these is embedded once.

        Arguments:
            cache: A folder that keeps them for later; without it they live as long as what is returned, in
                temporary files. A distance whose vectors are kept already, or cost next to nothing, is
                returned as it is.
        """
        if not self.costly or (cache is None and self.keeper is not None):
            return self
        found = copy.copy(self)
        found.keeper = Keeper(None if cache is None else Path(cache))
        return found

    def value(self, euclidean: Float64[Tensor, "*pairs"]) -> Float64[Tensor, "*pairs"]:
        """The distance, from the Euclidean distance of embedded images."""
        return euclidean if self.square_factor is None else self.square_factor * euclidean.square()

    def radius(self, value: Float64[Tensor, "*pairs"]) -> Float64[Tensor, "*pairs"]:
        """The Euclidean distance of embedded images at which the distance has a value: undoes `value`."""
        return value if self.square_factor is None else (value / self.square_factor).sqrt()

    def pairwise(self, x: Float[Tensor, "n *shape"], y: Float[Tensor, "m *shape"]) -> Float64[Tensor, "n m"]:
        """All distances between two sets, by subtraction.

        Arguments:
            x: Images with shape (n, C, H, W), or any (n, ...).
            y: Images of the same shape, with shape (m, C, H, W).

        Returns:
            The distances, at least 0, float64, with shape (n, m): exactly 0 between equal images,
            and bit-identical to what the search returns.
        """
        dtype = torch.promote_types(x.dtype, y.dtype)
        x, y = self.embed(x.to(dtype)), self.embed(y.to(dtype))
        if not len(x):
            return torch.zeros(0, len(y), dtype=torch.float64, device=x.device)
        return self.value(torch.stack([subtracted(row.expand_as(y), y) for row in x]))


def subtracted(x: Float[Tensor, "p d"], y: Float[Tensor, "p d"]) -> Float64[Tensor, " p"]:
    """Euclidean distance of row i of `x` and row i of `y`, by subtraction in float64, with shape (p,).

    The value of a row does not depend on the rows beside it.
    """
    difference = x.double() - y.double()
    if len(difference) == 1:  # torch sums a lone long row in pieces, one a thread: other rounding
        difference = difference.expand(2, -1)
        return difference.square().sum(dim=1).sqrt()[:1]
    return difference.square_().sum(dim=1).sqrt()

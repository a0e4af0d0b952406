"""What every geometric measure is.

Everything that is said of a measure stands on its class: one line in `MEASURES` brings it into studies,
audits, `spurion geometry`, the stored results and the report.
"""

__all__ = ["Measure"]

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.measured import Measured
from spurion.geometry.setting import Setting


class Measure(ABC):
    """A geometric measure: one file, one line in `MEASURES`.

    Attributes:
        name: The name a user types, and its column title.
        unit: The unit of its values.
        source: The equation or algorithm it computes.
        shared: What is computed once for all measures that say the same here, and names its noise; empty
            where a measure is computed alone.
        by_group: Whether each group of points has noise of its own.
        descending: Whether memorized > spurious > generalized is expected (true) or the reverse (false); None
            where neither is, so that the classes are not compared.
        usual: Whether studies and audits measure it.
        costly: Whether they do at few points only.
        most_dim: Beyond so many coordinates it is undecided everywhere, and studies and audits leave it out.
        section: The section of the report that shows it: basins, curvature, energy, or others.
        drawn: Whether the figure of that section has a panel of it.
        told: Whether that section says in words where the classes are in order.
        logarithmic: Whether it is drawn on a logarithmic axis.
        unsupported: Claims that it does not support, each with the reason.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    source: ClassVar[str]
    shared: ClassVar[str] = ""
    by_group: ClassVar[bool] = True
    descending: ClassVar[bool | None] = None
    usual: ClassVar[bool] = True
    costly: ClassVar[bool] = False
    most_dim: ClassVar[float] = math.inf
    section: ClassVar[str] = "others"
    drawn: ClassVar[bool] = True
    told: ClassVar[bool] = True
    logarithmic: ClassVar[bool] = False
    unsupported: ClassVar[tuple[tuple[str, str], ...]] = ()

    @abstractmethod
    def __call__(
        self, denoiser: Denoiser, x: Float[Tensor, "n *shape"], *, generator: torch.Generator
    ) -> Measured:
        """Measure every point.

        Arguments:
            denoiser: The model.
            x: Clean points, with shape (n, *shape).
            generator: The source of all randomness.

        Raises:
            ValueError: If `x` does not have the model's shape.
        """

    def find(
        self,
        measures: Sequence[Any],
        denoiser: Denoiser,
        x: Float[Tensor, "n *shape"],
        setting: Setting,
        *,
        seed: int,
    ) -> Any:
        """Compute what this and other measures that share it are read off; here the values themselves.

        Arguments:
            measures: The measures to be read.
            denoiser: The model.
            x: Clean points, with shape (n, *shape).
            setting: How to measure.
            seed: The seed of the noise.
        """
        return self.under(setting)(denoiser, x, generator=torch.Generator().manual_seed(seed))

    def of(self, found: Any) -> Measured:
        """Read the measure off what was found."""
        values: Measured = found
        return values

    def under(self, setting: Setting) -> "Measure":
        """The measure with what a setting says of it; one without parameters stays as it is."""
        return self

    def caution(self, found: Measured, dim: int) -> str:
        """What to know of values that are right and yet easy to misread; empty if nothing.

        Arguments:
            found: The values.
            dim: The number of coordinates of a point.
        """
        return ""

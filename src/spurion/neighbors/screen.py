r"""Bounds on squared distances from one matrix product, safe against every rounding error.

For centered points :math:`x, y` of :math:`D` coordinates the product form

.. math:: \lVert x - y \rVert^2 = \lVert x \rVert^2 + \lVert y \rVert^2 - 2 x \cdot y

is fast and, near zero, meaningless. What it does give is an interval. With unit roundoff :math:`u`, a
product of rows in any order of summation errs by at most
:math:`\gamma_D \lVert x \rVert \lVert y \rVert`, :math:`\gamma_D = D u / (1 - D u)` (Cauchy-Schwarz);
rounding the centered points and the three terms adds less than
:math:`9 u (\lVert x \rVert^2 + \lVert y \rVert^2)`. Hence

.. math::
    \bigl| \widehat{d^2} - d^2 \bigr| \leq
    \varepsilon \bigl( \lVert x \rVert^2 + \lVert y \rVert^2 \bigr), \qquad
    \varepsilon = 1.01 \gamma_{D + 16} + 8 (D + 16) u_{64} ,

where the excess over the sum of the parts keeps the order of distances as float64 subtraction computes
them. The bound splits into a term of the row and a term of the column, so it costs nothing.

Points are divided by a power of two so that no square overflows; what underflows then is at most
:math:`D 2^{-120}` of the largest square.

References:
    | Accuracy and Stability of Numerical Algorithms (Higham, 2002), Sec. 3.1
"""

__all__ = ["Points", "Screen"]

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

CENTER_ROWS = 1024
"""The center is the mean of this many rows: any center is right, a near one makes bounds tight."""

PLACE_ELEMENTS = 2**18
"""Coordinates that are centered at once."""

LARGEST_DIM = 2**22
"""From this many coordinates on a single-precision bound is too wide to be of use."""


class Points(NamedTuple):
    """Centered, scaled rows with shape (n, d) and their squared norms, float64, with shape (n,)."""

    rows: Float[Tensor, "n d"]
    squares: Float64[Tensor, " n"]


@dataclass(frozen=True)
class Screen:
    """A common center, scale and precision for two sets of points.

    Attributes:
        center: The point that is subtracted, float64, with shape (d,).
        scale: The power of two by which centered points are divided.
        dtype: The precision of the product.
    """

    center: Float64[Tensor, " d"]
    scale: float
    dtype: torch.dtype

    @classmethod
    def of(cls, queries: Float[Tensor, "n d"], reference: Float[Tensor, "m d"], largest: float) -> "Screen":
        """Choose center, scale and precision.

        Arguments:
            queries: The one set, with shape (n, d).
            reference: The other set, with shape (m, d).
            largest: No coordinate of either is larger in size.
        """
        some = reference[:: len(reference) // CENTER_ROWS + 1].double()
        center = some.sum(dim=0) / max(1, len(some))
        single = reference.shape[1] < LARGEST_DIM and _products_are_exact(queries.device)
        scale = 2.0 ** math.frexp(2 * largest)[1]
        return cls(center, scale, torch.float32 if single else torch.float64)

    @property
    def slack(self) -> float:
        r"""The relative bound :math:`\varepsilon`."""
        terms = len(self.center) + 16
        rounding = terms * torch.finfo(self.dtype).eps / 2
        return 1.01 * rounding / (1 - rounding) + 4 * terms * torch.finfo(torch.float64).eps

    @property
    def underflow(self) -> float:
        """The absolute bound on what underflows in scaled squares."""
        return len(self.center) * 2.0**-120

    def place(self, points: Float[Tensor, "n d"]) -> Points:
        """Center, scale and round points, a part at a time."""
        rows = torch.empty(points.shape, dtype=self.dtype, device=points.device)
        squares = torch.empty(len(points), dtype=torch.float64, device=points.device)
        step = max(1, PLACE_ELEMENTS // max(1, points.shape[1]))
        for start in range(0, len(points), step):
            part = slice(start, start + step)
            rows[part] = (points[part].double() - self.center) / self.scale
            squares[part] = rows[part].double().square().sum(dim=1)
        return Points(rows, squares)

    def product(self, x: Points, y: Points) -> Float[Tensor, "n m"]:
        """The part of the lower bounds that varies within a row; see `lower_limit` and `upper`."""
        with torch.autocast(x.rows.device.type, enabled=False):
            product = (-2 * x.rows) @ y.rows.T
        return product.add_(((1 - self.slack) * y.squares).to(self.dtype))

    def lower_limit(self, x: Points, limit: Float64[Tensor, " n"]) -> Float[Tensor, "n 1"]:
        """Where `product` exceeds this, the squared distance surely exceeds `limit` (scaled).

        Arguments:
            x: The points of the rows of `product`.
            limit: A scaled squared distance for each row, possibly infinite.
        """
        shifted = limit - (1 - self.slack) * x.squares + self.underflow
        rounded_up = torch.nextafter(shifted.to(self.dtype), torch.tensor(torch.inf, dtype=self.dtype))
        return rounded_up.clamp(max=torch.finfo(self.dtype).max)[:, None]

    def upper(
        self,
        product: Float[Tensor, "*pairs"],
        x_squares: Float64[Tensor, "*#pairs"],
        y_squares: Float64[Tensor, "*pairs"],
    ) -> Float64[Tensor, "*pairs"]:
        """Upper bounds on scaled squared distances, from entries of `product` and the squared norms."""
        widened = (1 + self.slack) * x_squares + 2 * self.slack * y_squares
        return product.double() + widened + self.underflow

    def scaled_square(self, distance: Float64[Tensor, "*batch"]) -> Float64[Tensor, "*batch"]:
        """The square of a distance in the units of the bounds."""
        return (distance / self.scale).square()


def _products_are_exact(device: torch.device) -> bool:
    """Whether float32 matrix products on this device are really computed in float32."""
    backend = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    return backend.matmul.fp32_precision in ("none", "ieee")

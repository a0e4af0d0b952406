r"""Bounds on distances from one matrix product, safe against every rounding error.

Points are centered and divided by a unit; then each is replaced by a point :math:`\tilde x` of low precision,
whose *residual* :math:`\eta_x \geq \lVert x - \tilde x \rVert` is computed, not estimated. By the triangle
inequality

.. math:: \lVert \tilde x - \tilde y \rVert - \eta_x - \eta_y \leq \lVert x - y \rVert
          \leq \lVert \tilde x - \tilde y \rVert + \eta_x + \eta_y .

The middle is found from a matrix product, fast and, near zero, meaningless:

.. math:: \lVert \tilde x - \tilde y \rVert^2
          = \lVert \tilde x \rVert^2 + \lVert \tilde y \rVert^2 - 2 \tilde x \cdot \tilde y .

With unit roundoff :math:`u`, a product of :math:`D` terms in any order of summation errs by at most
:math:`\gamma_D \lVert \tilde x \rVert \lVert \tilde y \rVert`, :math:`\gamma_D = D u / (1 - D u)`
(Cauchy-Schwarz), so that the right side is known to within
:math:`\varepsilon ( \lVert \tilde x \rVert^2 + \lVert \tilde y \rVert^2 )`, where, with the rounding of its
three terms and of their sum,

.. math:: \varepsilon = 1.01 \gamma_{D + 16} + 2 v + 8 (D + 16) u_{64}

and :math:`v` is the roundoff of a product that is stored in less precision than it was summed in. The
bound splits into a term of the row and a term of the column, so it costs nothing.

Limits are widened by more than what subtraction in float64 can err, so a pair outside them is farther
by that computation too. Points are divided by a power of two so that no square overflows; what underflows
then is at most :math:`D 2^{-120}` of the largest square.

References:
    | Accuracy and Stability of Numerical Algorithms (Higham, 2002), Sec. 3.1
"""

__all__ = ["GROUP", "FloatScreen", "Points", "Screen"]

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from spurion.neighbors.rows import Rows

CENTER_ROWS = 1024
"""The center is the mean of this many rows: any center is right, a near one makes bounds tight."""

GROUP = 32
"""Points are filled up to a multiple of this many with points at infinity."""

TINY = 1e-150
"""Distances below this are not told apart: their squares underflow."""


class Points(NamedTuple):
    """Points in the precision of a screen, filled up to a multiple of `GROUP` with points at infinity.

    Attributes:
        rows: The points, with shape (n, d).
        squares: Their squared norms, with shape (n,).
        residuals: Upper bounds on how far they are from the points they stand for, with shape (n,).
        size: The number of points, without those that fill up.
    """

    rows: Num[Tensor, "n d"]
    squares: Float64[Tensor, " n"]
    residuals: Float64[Tensor, " n"]
    size: int

    def part(self, first: int, last: int) -> "Points":
        """Consecutive points from `first`, a multiple of `GROUP`, up to `last`."""
        end = -(-last // GROUP) * GROUP
        inside = slice(first, end)
        size = min(last, self.size) - first
        return Points(self.rows[inside], self.squares[inside], self.residuals[inside], size)


@dataclass(frozen=True, eq=False)
class Screen(ABC):
    """A common center, unit and precision for two sets of points.

    Attributes:
        center: The point that is subtracted, float64, with shape (d,).
        scale: The unit by which centered points are divided.
    """

    center: Float64[Tensor, " d"]
    scale: float

    name: ClassVar[str]

    @property
    @abstractmethod
    def slack(self) -> float:
        r"""The relative bound :math:`\varepsilon`."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """The precision of the points."""

    @abstractmethod
    def scores(self, x: Points, y: Points) -> Num[Tensor, "n m"]:
        r"""Numbers s with :math:`s + (1 - \varepsilon) |x|^2 \leq` the square for every pair of points.

        They are at most :math:`2 \varepsilon (|x|^2 + |y|^2)` below it.
        """

    @property
    def margin(self) -> float:
        """The relative error of subtraction in float64, and more."""
        return 2 * (len(self.center) + 16) * torch.finfo(torch.float64).eps

    @property
    def underflow(self) -> float:
        """The absolute bound on what underflows in scaled squares."""
        return len(self.center) * 2.0**-120

    def place(self, rows: Rows, part: slice) -> Points:
        """Center, scale and round some points, a few at a time."""
        first, last, _ = part.indices(len(rows))
        count = last - first
        full = -(-count // GROUP) * GROUP
        placed = torch.zeros(full, self.width, dtype=self.dtype, device=rows.device)
        squares = torch.full((full,), torch.inf, dtype=torch.float64, device=rows.device)
        residuals = torch.zeros_like(squares)
        for piece, points in rows.parts(part):
            mine = slice(piece.start - first, piece.stop - first)
            rounded, squares[mine], residuals[mine] = self.rounded(points)
            placed[mine, : rows.dim] = rounded
        return Points(placed, squares, residuals.mul_(1 + self.margin), count)

    @property
    def width(self) -> int:
        """The number of coordinates of a point, zeros for alignment among them."""
        return len(self.center)

    def rounded(
        self, points: Float[Tensor, "b d"]
    ) -> tuple[Num[Tensor, "b d"], Float64[Tensor, " b"], Float64[Tensor, " b"]]:
        """Points in the precision of the screen, their squared norms and their residuals."""
        exact = (points.double() - self.center).div_(self.scale)
        rows = exact.to(self.dtype)
        back = rows.double()
        residuals = (exact - back).square_().sum(dim=1).sqrt_() + self.centering
        return rows, back.square().sum(dim=1), residuals

    @property
    def centering(self) -> float:
        """What rounding the centered points in float64 can add to a residual."""
        return math.sqrt(len(self.center)) * 2.0**-51

    def ceiling(
        self,
        limit: Float64[Tensor, "*pairs"],
        x_squares: Float64[Tensor, "*#pairs"],
        residuals: Float64[Tensor, "*#pairs"],
    ) -> Float64[Tensor, "*pairs"]:
        """Where a score exceeds this, the distance surely exceeds `limit`.

        Arguments:
            limit: Distances, possibly infinite.
            x_squares: The squared norm of the row's point.
            residuals: The sum of both points' residuals.
        """
        reach = (limit * (1 + self.margin) + TINY) / self.scale + residuals
        return reach.square() - (1 - self.slack) * x_squares + self.underflow

    def farthest(
        self,
        scores: Num[Tensor, "*pairs"],
        x_squares: Float64[Tensor, "*#pairs"],
        y_squares: Float64[Tensor, "*pairs"],
        residuals: Float64[Tensor, "*#pairs"],
    ) -> Float64[Tensor, "*pairs"]:
        """Upper bounds on distances, from the scores of pairs and their points' norms and residuals."""
        widened = (1 + self.slack) * x_squares + 2 * self.slack * y_squares
        square = (scores.double() + widened + self.underflow).clamp(min=0)
        return (square.sqrt() + residuals) * (self.scale * (1 + self.margin))


@dataclass(frozen=True, eq=False)
class FloatScreen(Screen):
    """Points in float32 or float64.

    Attributes:
        precision: The precision of points and product.
    """

    precision: torch.dtype = torch.float32

    @classmethod
    def of(cls, reference: Rows, largest: float, precision: torch.dtype) -> "FloatScreen":
        """Choose center and unit.

        Arguments:
            reference: The points that the center is taken from.
            largest: No coordinate is larger in size.
            precision: The precision of points and product.
        """
        return cls(middle(reference), unit(largest), precision)

    @property
    def name(self) -> str:  # type: ignore[override]
        """What a search calls this screen."""
        return str(self.precision).removeprefix("torch.")

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the points."""
        return self.precision

    @property
    def slack(self) -> float:
        r"""The relative bound :math:`\varepsilon`."""
        return slack_of(len(self.center), torch.finfo(self.precision).eps / 2)

    def scores(self, x: Points, y: Points) -> Float[Tensor, "n m"]:
        """The lower bounds on squares, less the term of the row."""
        product = multiplied(-2 * x.rows, y.rows)
        return product.add_(((1 - self.slack) * y.squares).to(self.precision))


def multiplied(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """The product of `x` with the transpose of `y`, by the faster library where torch has two."""
    with torch.autocast(x.device.type, enabled=False):
        if x.device.type == "cpu" and x.dtype == torch.float32 and onednn_multiplies_exactly():
            answer: Float[Tensor, "n m"] = torch.ops.mkldnn._linear_pointwise(x, y, None, "none", [], "")
            return answer
        return x @ y.T


@cache
def onednn_multiplies_exactly() -> bool:
    """Whether torch has oneDNN, up to twice as fast as its own products, and it keeps all digits of float32.

    An environment variable can make it compute in less.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    terms, ones = torch.zeros(64, 512), torch.ones(2048, 512)
    terms[:, 0] = 1 + 2.0**-20
    try:
        product = torch.ops.mkldnn._linear_pointwise(terms, ones, None, "none", [], "")
    except (AttributeError, RuntimeError):  # builds without it
        return False
    return bool((product == 1 + 2.0**-20).all())


def slack_of(dim: int, roundoff: float, stored: float = 0.0) -> float:
    r"""The relative bound :math:`\varepsilon` of the module.

    Arguments:
        dim: The number D of terms of a product.
        roundoff: The unit roundoff u of their sum.
        stored: The roundoff v of storing the product.
    """
    rounding = (dim + 16) * roundoff
    return 1.01 * rounding / (1 - rounding) + 2 * stored + 4 * (dim + 16) * torch.finfo(torch.float64).eps


def middle(rows: Rows) -> Float64[Tensor, " d"]:
    """The mean of some rows, float64."""
    some = torch.arange(0, len(rows), len(rows) // CENTER_ROWS + 1)
    total = torch.zeros(rows.dim, dtype=torch.float64, device=rows.device)
    for part in some.split(rows.at_once):
        total += rows.take(part).double().sum(dim=0)
    return total / max(1, len(some))


def unit(largest: float) -> float:
    """The power of two by which points with coordinates up to `largest` are divided, once centered."""
    return 2.0 ** math.frexp(2 * largest)[1]
